//! The keys of a process.

use super::{HEALTH, HOOK, Key, Kind, LIMITS, LOGS, NOTIFY, READY, SCHEDULE, WATCH, key, refused};

const CONTAINERS: &str = "tsm runs programs and no containers; declare `docker run …` or `docker compose up` as the script";
const BALANCER: &str =
    "tsm balances no load; put nginx or haproxy in front of the instances' ports";

/// The keys of a process.
pub const PROCESS: &[Key] = &[
    key("name", Kind::Text, "Its name"),
    key("script", Kind::Text, "A path, a program, or a command line").also(&["command", "cmd"]),
    key("args", Kind::Words, "Its arguments"),
    key(
        "interpreter",
        Kind::Text,
        "What executes the script; none: the file itself",
    ),
    key(
        "cwd",
        Kind::Text,
        "Where it runs; from the directory of this file",
    ),
    key(
        "env",
        Kind::Variables,
        "Variables on top of the environment of the command",
    ),
    key(
        "envFile",
        Kind::Texts,
        "Files of variables, in the language of dotenv",
    )
    .also(&["dotEnv", "dotenv"]),
    key(
        "port",
        Kind::Port,
        "The port that it listens on, handed to it as PORT; 4000+: each instance has one, from that on; auto: one that nobody has",
    ),
    key("namespace", Kind::Text, "A label to select it by, as @NAME"),
    key(
        "type",
        Kind::OneOf(&["service", "task", "daemon"]),
        "service: kept up; task: runs once, and has to end with exit status 0; daemon: puts itself into the background",
    ),
    key(
        "restart",
        Kind::OneOf(&["no", "on-failure", "always"]),
        "When it is started again by itself",
    ),
    key(
        "autorestart",
        Kind::Bool,
        "true is `restart: always`, false is `restart: no`",
    )
    .also(&["autoRestart"]),
    key(
        "maxRestarts",
        Kind::Count,
        "Give up after so many restarts in a row",
    ),
    key("stopSignal", Kind::Text, "The signal that asks it to end").also(&["killSignal"]),
    key(
        "killTimeout",
        Kind::Duration,
        "How long a stop waits before SIGKILL",
    )
    .also(&["stopTimeout"]),
    key(
        "user",
        Kind::Text,
        "The user that it runs as; only root may say so",
    ),
    key(
        "extends",
        Kind::Text,
        "The name of a process whose keys it takes over",
    ),
    key(
        "dependsOn",
        Kind::Needs,
        "What has to be started, ready, completed or healthy before it is started",
    ),
    key(
        "instances",
        Kind::CountOr(&["max"]),
        "How many of it run, as NAME@0, NAME@1 …; max: as many as there are cores",
    ),
    key(
        "instanceVar",
        Kind::Text,
        "The variable that tells an instance its number [NODE_APP_INSTANCE]",
    ),
    key(
        "ready",
        Kind::OrMap(&Kind::Text, READY),
        "When it counts as ready: port, http, log, command, notify or fd, within a timeout",
    ),
    key(
        "healthCheck",
        Kind::OrMap(&Kind::Text, HEALTH),
        "Whether it is healthy: http, https, tcp, command or watchdog, and how often that is looked at",
    )
    .also(&["health"]),
    key(
        "limits",
        Kind::Map(LIMITS),
        "What it may use: memory, cpu, tasks, nofile, nice, oomScoreAdj",
    ),
    key("maxMemory", Kind::Size, "As limits: {memory}"),
    key("maxCpu", Kind::Number, "As limits: {cpu}"),
    key("nice", Kind::Nice, "As limits: {nice}"),
    key(
        "preStart",
        Kind::OrMap(&Kind::Command, HOOK),
        "Before each start; where it fails, the start has failed",
    ),
    key("postStart", Kind::OrMap(&Kind::Command, HOOK), "When it runs"),
    key(
        "preStop",
        Kind::OrMap(&Kind::Command, HOOK),
        "Before it is asked to end",
    ),
    key(
        "postStop",
        Kind::OrMap(&Kind::Command, HOOK),
        "When nothing of a run is left",
    ),
    key(
        "watch",
        Kind::OrMap(&Kind::BoolOrTexts, WATCH),
        "Files whose changes restart it; true: all below its working directory",
    ),
    key(
        "hookTimeout",
        Kind::Duration,
        "How long each of these four may take, where it does not say so itself [30s]",
    ),
    key("ignoreWatch", Kind::Texts, "As watch: {ignore}"),
    key("watchDelay", Kind::Duration, "As watch: {debounce}"),
    key("watchSignal", Kind::Text, "As watch: {signal}"),
    key(
        "schedule",
        Kind::OrMap(&Kind::Text, SCHEDULE),
        "When a task runs, or a service is restarted, as crontab has it: by local time, or 'UTC 0 3 * * *' in UTC",
    )
    .also(&["cron", "cronRestart"]),
    key(
        "notify",
        Kind::OrMap(&Kind::Maps(NOTIFY), NOTIFY),
        "Who is told of what happens to it",
    ),
    key(
        "logs",
        Kind::Map(LOGS),
        "How its logs are kept: maxSize, keep, maxAge, compress, mode, onFull, out, err",
    ),
    key("outFile", Kind::Text, "As logs: {out}").also(&["stdout"]),
    key("errFile", Kind::Text, "As logs: {err}").also(&["stderr", "errorFile"]),
    key(
        "combineLogs",
        Kind::Bool,
        "true: standard error goes into the log of standard output",
    ),
    key(
        "mergeLogs",
        Kind::Bool,
        "true: all instances write into the file that outFile, errFile or logDir names; else each into one with its number",
    ),
    key(
        "logType",
        Kind::OneOf(&["raw", "json"]),
        "json: `tsm logs` shows its lines as JSON; on disk they are what it wrote",
    ),
    key(
        "logDateFormat",
        Kind::Text,
        "How `tsm logs` writes the time before each of its lines, such as YYYY-MM-DD HH:mm:ss",
    ),
    key(
        "reloadSignal",
        Kind::Text,
        "The signal that `tsm reload` sends [HUP]",
    ),
    key(
        "pidFile",
        Kind::Text,
        "Where a `type: daemon` writes its pid",
    ),
    key(
        "restartDelay",
        Kind::Duration,
        "How long each restart waits",
    ),
    key(
        "minRestartDelay",
        Kind::Duration,
        "How long the second restart in a row waits [250ms]",
    ),
    key(
        "maxRestartDelay",
        Kind::Duration,
        "How long a restart waits at most [60s]",
    ),
    key(
        "restartBackoff",
        Kind::Count,
        "By so much longer each restart in a row waits [2]",
    ),
    key(
        "minUptime",
        Kind::Duration,
        "After so long up, restarts are counted anew [60s]",
    ),
    refused(
        "watchOptions",
        "write `watch: {paths: […], ignore: […], debounce: 500ms, signal: HUP}`",
    ),
    refused(
        "listenTimeout",
        "write `ready: {port: 3000, timeout: 8s}`",
    ),
    refused(
        "waitReady",
        "write by what it is told: `ready: {port: 3000}`, `{http: /health}`, `{log: \"listening\"}` or `{notify: true}`",
    ),
    refused("instanceId", "the number of an instance is given by tsm"),
    refused("instanceWeight", BALANCER),
    refused("lbStrategy", BALANCER),
    refused("clusterGroup", "use `namespace`, and select by @NAME"),
    refused(
        "execMode",
        "every process runs as it is (`fork`); for a cluster of node use node's own cluster module, or instances",
    ),
    refused("group", "a process runs with all groups of its `user`"),
    refused(
        "install",
        "run it before `tsm start -c`, in your deployment",
    ),
    refused("build", "run it before `tsm start -c`, in your deployment"),
    refused(
        "log",
        "both streams have a log of their own; `tsm logs NAME` merges them by time",
    ),
    refused("labels", "use `namespace`"),
    refused("annotations", "write a comment"),
    refused("docker", CONTAINERS),
    refused("kubernetes", CONTAINERS),
    refused("k8s", CONTAINERS),
];
