//! `tsm repl`: fed from a file, and on a terminal.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use crate::bed::{Bed, Output, finish};
use crate::command::fed;
use crate::terminal::Terminal;
use crate::wait::{DEADLINE, within};

impl Bed {
    /// Feeds lines to `tsm repl ARGS`.
    #[track_caller]
    fn repl(&self, args: &[&str], lines: &str) -> Output {
        let command = self.tsm_command(["repl"].iter().chain(args));
        fed(command, lines, "tsm repl")
    }
}

#[test]
fn a_file_of_commands_goes_on_after_an_error_and_tells_of_the_first() {
    let bed = Bed::new();
    let told = bed.repl(
        &[],
        "# a comment, and an empty line\n\nstart --name 'api' -- sleep 100000\nstop nope\nfrobnicate\n\
         !echo from the shell\nlist --json\n",
    );
    let told = told.exits(3);
    assert!(
        told.stdout.starts_with("Starting process: api\n"),
        "{told:?}"
    );
    assert!(told.stdout.contains("from the shell\n["), "{told:?}");
    assert!(told.stdout.contains("\"name\": \"api\""), "{told:?}");
    assert!(told.stderr.contains("no process 'nope'"), "{told:?}");
    assert!(!told.stdout.contains("> "), "a prompt: {told:?}");
    assert_eq!(bed.state("api"), "running");
    assert!(!bed.home().join(".tsm_history").exists());
}

#[test]
fn exit_ends_a_file_and_wrong_lines_are_wrong_usage() {
    let bed = Bed::new();
    bed.repl(&[], "list\nexit\nfrobnicate\n").ok();
    bed.repl(&[], "").ok();
    assert!(!bed.home().exists());
    for line in ["stop 'x", "repl", "tui", "monit", "!"] {
        assert_eq!(bed.repl(&[], line).exits(2).stderr.lines().count(), 1);
    }
    bed.repl(&[], "!exit 9\nstop nope").exits(9);
}

#[test]
fn a_start_has_the_environment_the_directory_and_the_home_of_the_shell() {
    let bed = Bed::new();
    let mut command = bed.tsm_command(["--home", "../other", "repl"]);
    let mut child = command
        .env("COLOUR", "blue green")
        .env("TSM_HOME", bed.root().join("unused"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let script =
        "start --name e -- sh -c 'echo \"$COLOUR\"; pwd; echo \"$TSM_HOME\"; exec sleep 100000'";
    let lines = format!(
        "{script}\n!until grep -q unused ../other/logs/e.out; do :; done\nlogs e\nkill e\nsupervisor stop\n"
    );
    child
        .stdin
        .take()
        .unwrap()
        .write_all(lines.as_bytes())
        .unwrap();
    let told = finish(child, "tsm --home ../other repl").ok();
    let work = bed.work().display().to_string();
    let unused = bed.root().join("unused").display().to_string();
    let expected = format!("blue green\n{work}\n{unused}\n");
    assert!(told.stdout.contains(&expected), "{told:?}");
    assert!(!bed.root().join("unused").exists());
}

#[test]
fn the_shell_completes_names_remembers_lines_and_survives_ctrl_c() {
    let bed = Bed::new();
    bed.start_idle("worker");
    let Some(terminal) = Terminal::open(&bed, "\"$0\" repl") else {
        return;
    };
    terminal.wait_text("1 running>");
    terminal.press(&["rubbish", "C-c"]);
    terminal.wait_screen("a new prompt", |screen| {
        screen.matches("running>").count() == 2
    });
    terminal.press(&["sto", "Tab", "wo", "Tab"]);
    terminal.wait_text("> stop worker");
    terminal.press(&["Enter"]);
    terminal.wait_text("Process stopped: worker");
    assert_eq!(bed.state("worker"), "stopped");
    // A command that goes on ends, and the shell does not.
    terminal.press(&["logs -f worker", "Enter"]);
    terminal.wait_text("logs -f worker");
    let prompts = |screen: &str| screen.matches("tsm ").count() + screen.matches("tsm>").count();
    let before = prompts(&terminal.screen());
    within(DEADLINE, || {
        terminal.press(&["C-c"]);
        (prompts(&terminal.screen()) > before).then_some(())
    })
    .expect("a prompt after Ctrl-C");
    terminal.press(&["!echo --env", "Enter"]);
    terminal.press(&["!echo don", "e", "Enter"]);
    // Ctrl-D is one only where the editor reads it: the prompt has to be there again.
    terminal.wait_screen("what the shell command printed, and a prompt", |screen| {
        let mut after = screen.lines().skip_while(|line| *line != "done").skip(1);
        after.any(|line| line.ends_with('>'))
    });
    terminal.press(&["C-d"]);
    terminal.wait_text("status 0");
    let history = bed.home().join(".tsm_history");
    assert_eq!(
        fs::read_to_string(&history).unwrap(),
        "stop worker\nlogs -f worker\n!echo done\n"
    );
    assert_eq!(
        fs::metadata(&history).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn lines_go_on_and_go_through_the_shell() {
    let bed = Bed::new();
    bed.start_idle("api");
    let told = bed.repl(
        &[],
        "list --json | grep -c '\"name\": \"api\"'\ninfo \\\n  api\nlist | exit 9\n",
    );
    let told = told.exits(9);
    assert!(told.stdout.starts_with("1\nProcess: api"), "{told:?}");
    let told = bed
        .repl(&[], "use nope\nuse api\nstop\nenv set A=b\nuse\nstop\n")
        .exits(3);
    assert!(told.stderr.contains("no process 'nope'"), "{told:?}");
    assert_eq!(bed.state("api"), "stopped");
    let shown = bed.tsm(["env", "show", "api", "A"]).ok().stdout;
    assert!(shown.contains("A=b"), "{shown}");
    for line in ["watch list", "events on", "list |", "| wc", "use a b"] {
        assert_eq!(
            bed.repl(&[], line).exits(2).stderr.lines().count(),
            1,
            "{line}"
        );
    }
}

#[test]
fn the_shell_hints_continues_addresses_and_tells_events() {
    let bed = Bed::new();
    bed.start_idle("worker");
    let Some(terminal) = Terminal::open(&bed, "NO_COLOR= \"$0\" repl") else {
        return;
    };
    terminal.wait_text("1 running>");
    // A hint in grey is taken with the right arrow.
    terminal.press(&["restart wor"]);
    terminal.wait_text("restart worker");
    terminal.press(&["Right", "Enter"]);
    terminal.wait_text("PID: ");
    terminal.wait_prompt();
    // An open quote goes on in the next line.
    terminal.press(&["!printf '%s ' 'one", "Enter"]);
    terminal.press(&["two'", "Enter"]);
    terminal.wait_screen("both lines", |screen| screen.contains("one\ntwo"));
    terminal.wait_prompt();
    terminal.press(&["use wor", "Tab", "Enter"]);
    terminal.wait_text("[worker]");
    terminal.press(&["env set TS", "C-u", "env set COLOUR=blue", "Enter"]);
    terminal.wait_text("Environment changed");
    terminal.wait_prompt();
    // Its variables are completed, too, though it is not named.
    terminal.press(&["env show COLO", "Tab"]);
    terminal.wait_text("env show COLOUR");
    terminal.press(&["Enter"]);
    terminal.wait_screen("the variable", |screen| {
        screen.matches("COLOUR=blue").count() == 2
    });
    terminal.wait_prompt();
    // Ctrl-R finds a line that was typed before.
    terminal.press(&["C-r"]);
    terminal.wait_text("reverse-i-search");
    terminal.press(&["rest"]);
    terminal.wait_text("restart worker");
    terminal.press(&["C-c"]);
    terminal.wait_prompt();
    // What changes is told above the line that is being typed, which stays.
    terminal.press(&["events on", "Enter"]);
    terminal.wait_screen("the next prompt", |screen| {
        let mut after = screen
            .lines()
            .skip_while(|line| !line.ends_with("events on"))
            .skip(1);
        after.any(|line| line.ends_with('>'))
    });
    terminal.press(&["info wor"]);
    terminal.wait_text("info wor");
    bed.tsm(["stop", "worker"]).ok();
    terminal.wait_screen("the change, and the line below it", |screen| {
        let lines: Vec<&str> = screen.trim_end().lines().collect();
        let told = lines
            .iter()
            .position(|line| line.starts_with("* worker is stopped"));
        told.is_some_and(|at| {
            lines[at + 1..]
                .iter()
                .any(|line| line.contains("> info wor"))
        })
    });
    terminal.press(&["C-u"]);
    terminal.wait_prompt();
    // A table that is drawn anew at each change, until Ctrl-C.
    terminal.press(&["watch -n 1000 list", "Enter"]);
    terminal.wait_screen("a table alone", |screen| {
        screen.starts_with("ID") && screen.contains("stopped")
    });
    bed.tsm(["start", "worker"]).ok();
    terminal.wait_screen("the new state", |screen| {
        screen.starts_with("ID") && screen.contains("running")
    });
    terminal.press(&["C-c"]);
    terminal.wait_prompt();
    terminal.press(&["C-d"]);
    terminal.wait_text("status 0");
}

#[test]
fn two_shells_share_what_was_typed() {
    let bed = Bed::new();
    bed.start_idle("worker");
    let line = "\"$0\" repl";
    let Some(first) = Terminal::open(&bed, line) else {
        return;
    };
    first.wait_text("1 running>");
    let lines = bed.home().join(".tsm_history");
    fs::write(&lines, "info worker\n").unwrap();
    first.press(&["Enter"]);
    first.wait_screen("a second prompt", |screen| {
        screen.matches("running>").count() == 2
    });
    first.press(&["Up"]);
    first.wait_text("> info worker");
    first.press(&["C-u", "C-d"]);
    first.wait_text("status 0");
}
