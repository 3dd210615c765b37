//! A panic, in whichever thread, leaves no terminal behind that cannot be used.
#![cfg(test)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A terminal of tmux, which ends with the value.
struct Terminal(PathBuf);

impl Terminal {
    fn tmux(&self, args: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.0).args(["-f", "/dev/null"]);
        let output = command.args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "what a terminal shows is no event that a test could wait for; it has a deadline"
    )]
    fn wait(&self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let screen = self.tmux(&["capture-pane", "-p", "-t", "main"]);
            if holds(&screen) {
                return screen;
            }
            assert!(Instant::now() < until, "never {what}:\n{screen}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

/// The example `panics`, which cargo builds along with the tests.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    profile.join("examples/panics")
}

#[test]
fn a_thread_that_panics_leaves_no_terminal_behind_that_cannot_be_used() {
    let has_tmux = Command::new("tmux").arg("-V").output().is_ok();
    if !has_tmux || !program().exists() {
        println!("skipped: there is no tmux, or the example was not built");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let terminal = Terminal(directory.path().join("tmux"));
    let home = directory.path().join("home");
    let line = format!(
        "stty -a >{0}/before; '{1}' '{2}'; echo status $?; stty -a >{0}/after; echo done; exec sleep 1000",
        directory.path().display(),
        program().display(),
        home.display()
    );
    terminal.tmux(&[
        "new-session",
        "-d",
        "-s",
        "main",
        "-x",
        "100",
        "-y",
        "24",
        "/bin/sh",
        "-c",
        &line,
    ]);
    terminal.wait("a dashboard", |screen| screen.contains("No processes."));
    terminal.tmux(&["send-keys", "-t", "main", ":x"]);
    let screen = terminal.wait("the end", |screen| screen.contains("done"));
    assert!(screen.contains("as it should"), "{screen}");
    assert!(screen.contains("status 1"), "{screen}");
    let alternate = terminal.tmux(&[
        "display-message",
        "-p",
        "-t",
        "main",
        "#{alternate_on}#{mouse_any_flag}",
    ]);
    assert_eq!(alternate.trim(), "00");
    let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    assert_eq!(read("before"), read("after"));
}
