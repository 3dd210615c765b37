//! The keys of maps inside a process.

use super::{Key, Kind, key};

/// The keys of `limits`.
pub(in crate::config) const LIMITS: &[Key] = &[
    key("memory", Kind::Size, "Memory of all its processes"),
    key(
        "cpu",
        Kind::Number,
        "CPU time in cores, such as 1.5, or 50%",
    ),
    key("tasks", Kind::Count, "Processes and threads"),
    key("nofile", Kind::Count, "Open files of each of its processes"),
    key("nice", Kind::Nice, "Its nice value"),
    key(
        "oomScoreAdj",
        Kind::Number,
        "How soon the kernel's OOM killer takes it, from -1000 to 1000",
    ),
];

/// The keys of a hook.
pub(in crate::config) const HOOK: &[Key] = &[
    key("command", Kind::Command, "What is executed"),
    key("timeout", Kind::Duration, "How long it may take [30s]"),
];

/// The keys of a question over HTTP.
pub(in crate::config) const HTTP: &[Key] = &[
    key("url", Kind::Text, "The whole address"),
    key("host", Kind::Text, "The host [127.0.0.1]"),
    key("port", Kind::Count, "The port [that of the process]"),
    key("path", Kind::Text, "The path [/]"),
    key("method", Kind::Text, "The method [GET]"),
    key(
        "status",
        Kind::Texts,
        "The statuses that are good [200 to 399]",
    )
    .also(&["expectedStatus"]),
    key("body", Kind::Text, "What the answer contains").also(&["responseBody"]),
    key("insecure", Kind::Bool, "Any certificate will do"),
];

/// The keys of `ready`.
pub(in crate::config) const READY: &[Key] = &[
    key("port", Kind::OwnPort, "It listens on this port"),
    key(
        "http",
        Kind::OrMap(&Kind::Text, HTTP),
        "An HTTP server answers: an address, a path, or a map",
    ),
    key(
        "log",
        Kind::Text,
        "It prints a line that matches this regular expression",
    ),
    key("command", Kind::Command, "A command exits with 0"),
    key("notify", Kind::Bool, "It says READY=1, as sd_notify does"),
    key(
        "fd",
        Kind::Count,
        "It writes a newline into this file descriptor",
    ),
    key("timeout", Kind::Duration, "How long it may take [60s]"),
];

/// The keys of `healthCheck`: those of a question over HTTP stand in it as they are.
pub(in crate::config) const HEALTH: &[Key] =
    &joined::<{ WHETHER.len() + HTTP.len() + CHECKS.len() }>([WHETHER, HTTP, CHECKS]);

/// Whether it is checked, and by what.
const WHETHER: &[Key] = &[
    key("enabled", Kind::Bool, "false: it is not checked"),
    key(
        "protocol",
        Kind::OneOf(&["http", "https", "tcp", "command", "watchdog", "none"]),
        "By what it is told",
    ),
];

/// What else is asked, and how often.
const CHECKS: &[Key] = &[
    key("command", Kind::Command, "A command that exits with 0"),
    key("interval", Kind::Duration, "Between two checks [30s]"),
    key("timeout", Kind::Duration, "How long a check may take [5s]"),
    key(
        "retries",
        Kind::Count,
        "How many fail in a row before it counts [3]",
    ),
    key(
        "initialDelay",
        Kind::Duration,
        "Before the first check [interval]",
    ),
    key(
        "startPeriod",
        Kind::Duration,
        "For so long failures do not count [0]",
    ),
    key(
        "action",
        Kind::OneOf(&["restart", "report"]),
        "What becomes of one that is not healthy [restart]",
    ),
];

/// The keys of several tables, one after the other; `N` of them.
const fn joined<const N: usize>(tables: [&[Key]; 3]) -> [Key; N] {
    let mut all = [key("", Kind::Anything, ""); N];
    let (mut table, mut filled) = (0, 0);
    while table < tables.len() {
        let mut at = 0;
        while at < tables[table].len() {
            all[filled] = tables[table][at];
            filled += 1;
            at += 1;
        }
        table += 1;
    }
    all
}

/// The keys of `watch`.
pub(in crate::config) const WATCH: &[Key] = &[
    key("paths", Kind::Texts, "Files, directories and globs").also(&["path"]),
    key(
        "ignore",
        Kind::Texts,
        "What does not count, as .gitignore has it",
    ),
    key(
        "debounce",
        Kind::Duration,
        "How long it is quiet before it acts [500ms]",
    )
    .also(&["delay"]),
    key(
        "signal",
        Kind::Text,
        "The signal that it gets instead of a restart",
    ),
];

/// The keys of `schedule`.
pub(in crate::config) const SCHEDULE: &[Key] = &[
    key("cron", Kind::Text, "Five fields, or @daily and its like"),
    key(
        "zone",
        Kind::OneOf(&["local", "utc", "UTC"]),
        "Which clock is meant [local]",
    ),
];

/// The keys of a notice.
pub(in crate::config) const NOTIFY: &[Key] = &[
    key(
        "command",
        Kind::Command,
        "A command that is told, with the event as JSON on its standard input",
    ),
    key(
        "url",
        Kind::Text,
        "An address that the event is posted to as JSON",
    )
    .also(&["webhook"]),
    key(
        "events",
        Kind::Texts,
        "Which events; all that a person may have to do something about",
    )
    .also(&["on"]),
    key("headers", Kind::Variables, "Headers of the request"),
    key("enabled", Kind::Bool, "false: nobody is told"),
];

/// The keys of `logs`.
pub(in crate::config) const LOGS: &[Key] = &[
    key(
        "maxSize",
        Kind::Size,
        "At which size a log is rotated; 0: never [20M]",
    ),
    key(
        "keep",
        Kind::Count,
        "How many rotated segments are kept [5]",
    ),
    key("maxAge", Kind::Duration, "How old they may become"),
    key("compress", Kind::Bool, "Whether they are compressed [true]"),
    key(
        "mode",
        Kind::OneOf(&["pipe", "direct"]),
        "Who writes the file: the supervisor, or the process itself",
    ),
    key("force", Kind::Bool, "direct for a process of root, too"),
    key(
        "onFull",
        Kind::OneOf(&["wait", "drop"]),
        "What becomes of bytes that the disk has no room for",
    ),
    key(
        "out",
        Kind::Text,
        "Where standard output goes: a file, or null",
    ),
    key(
        "err",
        Kind::Text,
        "Where standard error goes: a file, null, or same",
    ),
];
