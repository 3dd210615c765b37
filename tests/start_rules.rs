//! What a TARGET may be, and what a process is called.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::bed::Bed;
use crate::processes;

const IDLE: &str = "#!/bin/sh\nexec sleep 100000\n";

/// The words that a process was executed with.
fn command_line(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    text.trim_end_matches('\0')
        .split('\0')
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_script_is_executed_by_its_shebang() {
    let bed = Bed::new();
    bed.script(
        "bin/server.sh",
        "#!/bin/sh -u\necho \"$0 $1\"; exec sleep 100000\n",
    );
    let started = bed.tsm(["start", "bin/server.sh", "a b"]).ok();
    assert!(started.stdout.starts_with("Starting process: server\n"));
    let path = bed.path("bin/server.sh");
    assert_eq!(
        bed.wait_log("server.out", "\n"),
        format!("{} a b\n", path.display())
    );
    assert_eq!(bed.view("server")["script"], "bin/server.sh");
    // A path that is absolute is the same script.
    bed.tsm([path.to_str().unwrap(), "a b"]).exits(2);
    bed.tsm(["start", path.to_str().unwrap(), "a b"]).exits(4);
}

#[test]
fn without_an_x_bit_the_extension_says_what_executes_it() {
    let bed = Bed::new();
    bed.file("one.sh", "echo \"sh $1\"; exec sleep 100000\n");
    bed.file(
        "two.py",
        "import sys, time\nprint('py', sys.argv[1], flush=True)\ntime.sleep(100000)\n",
    );
    for name in ["one.sh", "two.py"] {
        bed.tsm(["start", name, "x"]).ok();
    }
    assert_eq!(bed.wait_log("one.out", "\n"), "sh x\n");
    assert_eq!(bed.wait_log("two.out", "\n"), "py x\n");
    if crate::programs::has("node") {
        bed.file(
            "three.js",
            "console.log('js', process.argv[2]); setInterval(() => {}, 1e6)\n",
        );
        bed.tsm(["start", "three.js", "x"]).ok();
        assert_eq!(bed.wait_log("three.out", "\n"), "js x\n");
    }
    // An x bit without a first line that the kernel knows: the extension counts too, and without one the shell.
    bed.script(
        "four.py",
        "import time\nprint('py', flush=True)\ntime.sleep(100000)\n",
    );
    bed.script("five", "echo sh; exec sleep 100000\n");
    for name in ["./four.py", "./five"] {
        bed.tsm(["start", name]).ok();
    }
    assert_eq!(bed.wait_log("four.out", "\n"), "py\n");
    assert_eq!(bed.wait_log("five.out", "\n"), "sh\n");
}

#[test]
fn an_interpreter_that_is_named_wins() {
    let bed = Bed::new();
    bed.file("data.txt", "echo \"$0 $-\"; exec sleep 100000\n");
    bed.tsm(["start", "data.txt", "--interpreter", "sh -u"])
        .ok();
    let said = bed.wait_log("data.out", "\n");
    assert!(
        said.starts_with(bed.path("data.txt").to_str().unwrap()),
        "{said}"
    );
    assert!(said.trim_end().contains('u'), "{said}");
    assert_eq!(bed.info("data")["name"], "data");
}

#[test]
fn a_program_on_path_gets_the_words_behind_it() {
    let bed = Bed::new();
    bed.tsm(["start", "sleep", "100000"]).ok();
    assert_eq!(command_line(bed.pid("sleep")), ["sleep", "100000"]);
    let mut command = bed.tsm_command(["start", "idle", "7"]);
    bed.script("programs/idle", IDLE);
    let path = format!("{}:/usr/bin:/bin", bed.path("programs").display());
    command.env("PATH", path);
    crate::bed::run(command).ok();
    assert_eq!(bed.view("idle")["args"], json!(["7"]));
}

#[test]
fn a_command_line_is_split_and_only_shell_syntax_needs_a_shell() {
    let bed = Bed::new();
    bed.script(
        "say.sh",
        "#!/bin/sh\nprintf '<%s>' \"$@\"; echo; exec sleep 100000\n",
    );
    bed.tsm([
        "start",
        "./say.sh 'a b' \"c\" --d=e '$HOME' f\\ g",
        "--name",
        "words",
    ])
    .ok();
    assert_eq!(
        bed.wait_log("words.out", "\n"),
        "<a b><c><--d=e><$HOME><f g>\n"
    );
    bed.tsm(["start", "X=1 ./say.sh $((1 + 1)) | cat", "--name", "piped"])
        .ok();
    assert_eq!(bed.wait_log("piped.out", "\n"), "<2>\n");
    assert_eq!(command_line(bed.pid("piped"))[..2], ["/bin/sh", "-c"]);
    bed.tsm(["start", "sleep 100000", "--name", "bare"]).ok();
    assert_eq!(command_line(bed.pid("bare")), ["sleep", "100000"]);
}

#[test]
fn a_known_name_starts_the_known_process_and_a_path_the_file() {
    let bed = Bed::new();
    bed.script("api", IDLE);
    bed.start_idle("api");
    bed.tsm(["stop", "api"]).ok();
    // The word is the name of something known.
    bed.tsm(["start", "api"]).ok();
    assert_eq!(command_line(bed.pid("api")), ["sleep", "100000"]);
    bed.tsm(["start", "api", "--port", "4000"]).exits(2);
    // A path is always a file, and so is what stands behind `--`; the name is taken, so a number makes it unique.
    bed.tsm(["start", "./api"]).ok();
    assert_eq!(bed.names(), ["api", "api-2"]);
    bed.tsm(["start", "--", "api"]).exits(4);
    bed.tsm(["stop", "api-2"]).ok();
    bed.tsm(["start", "--", "api"]).ok();
    assert_eq!(bed.names(), ["api", "api-2"]);
    assert_eq!(bed.state("api-2"), "running");
}

#[test]
fn the_same_program_again_is_the_same_process() {
    let bed = Bed::new();
    bed.script("server.sh", IDLE);
    bed.script("other/server.sh", IDLE);
    bed.tsm(["start", "./server.sh"]).ok();
    assert!(
        bed.tsm(["start", "server.sh"])
            .exits(4)
            .message()
            .contains("'server'")
    );
    // Other arguments, another directory, another file: another process.
    bed.tsm(["start", "./server.sh", "x"]).ok();
    bed.tsm(["start", "./server.sh", "--cwd", "other"]).ok();
    bed.tsm(["start", "other/server.sh"]).ok();
    assert_eq!(bed.names(), ["server", "server-2", "server-3", "server-4"]);
    bed.tsm(["stop", "server"]).ok();
    let mut command = bed.tsm_command(["start", "server.sh"]);
    command.env("NOW", "later");
    let started = crate::bed::run(command).ok();
    assert!(started.stdout.starts_with("Starting process: server\n"));
    assert!(
        started.stdout.ends_with("TSM ID: 1\n"),
        "{}",
        started.stdout
    );
    assert_eq!(bed.names().len(), 4);
    // It has the environment of now.
    assert_eq!(
        processes::variable(bed.pid("server"), "NOW").unwrap(),
        "later"
    );
}

#[test]
fn a_name_comes_from_the_file_and_is_always_a_good_one() {
    let bed = Bed::new();
    for (file, name) in [
        ("my app!.sh", "my-app-"),
        ("42.sh", "_42"),
        ("all.sh", "_all"),
        (".hidden.sh", "_.hidden"),
        ("v1.2.sh", "v1.2"),
    ] {
        bed.script(file, IDLE);
        bed.tsm(["start", &format!("./{file}")]).ok();
        assert_eq!(bed.names().pop().unwrap(), name, "{file}");
    }
}

#[test]
fn several_known_processes_start_with_one_command() {
    let bed = Bed::new();
    for name in ["a", "b", "c"] {
        bed.start_idle(name);
    }
    bed.tsm(["stop", "a", "b"]).ok();
    let started = bed.tsm(["start", "a", "b"]).ok();
    assert_eq!(started.stdout.lines().count(), 4, "{}", started.stdout);
    // One that is up is said, and the others start all the same.
    bed.tsm(["stop", "a"]).ok();
    bed.tsm(["start", "a", "c"]).exits(4);
    assert_eq!(bed.state("a"), "running");
}

#[test]
fn start_json_says_the_outcome() {
    let bed = Bed::new();
    let started = bed
        .tsm(["start", "--json", "--name", "a", "--", "sleep", "100000"])
        .ok();
    let outcome: serde_json::Value = serde_json::from_str(&started.stdout).unwrap();
    assert_eq!(outcome[0]["id"], 1);
    assert_eq!(outcome[0]["name"], "a");
    assert_eq!(outcome[0]["pid"], bed.pid("a"));
}

#[test]
fn a_script_that_may_be_executed_and_not_read_starts() {
    let bed = Bed::new();
    let path = bed.script("locked.sh", IDLE);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o711)).unwrap();
    bed.tsm(["start", "./locked.sh"]).ok();
}

#[test]
fn what_is_no_regular_file_is_refused_and_not_waited_for() {
    let bed = Bed::new();
    bed.shell("mkfifo -m 755 pipe").ok();
    let refused = bed.tsm(["start", "./pipe"]).exits(1);
    assert!(
        refused.stderr.contains("it is no regular file"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_config_file_is_told_from_a_program() {
    let bed = Bed::new();
    bed.file("tspm.yaml", "processes: []\n");
    bed.file("ecosystem.config.js", "module.exports = {}\n");
    for (file, remedy) in [
        ("tspm.yaml", "tsm start -c"),
        ("ecosystem.config.js", "tsm config import"),
    ] {
        let refused = bed.tsm(["start", file]).exits(1);
        assert!(refused.stderr.contains(remedy), "{}", refused.stderr);
    }
}
