//! A terminal (tmux's): real keys in, the screen out.

use crate::bed::{Bed, TSM};
use crate::wait::{DEADLINE, within};

/// A terminal of 80 columns and 24 rows, in which a shell runs `tsm`; it ends with the value.
pub(crate) struct Terminal<'a> {
    bed: &'a Bed,
    socket: String,
}

impl<'a> Terminal<'a> {
    /// Runs a line of shell in a new terminal, `$0` being `tsm`; `None`, with a message, where there is no tmux.
    pub(crate) fn open(bed: &'a Bed, line: &str) -> Option<Self> {
        if !crate::programs::has("tmux") {
            return None;
        }
        let socket = bed.root().join("tmux").to_str().unwrap().to_owned();
        let terminal = Self { bed, socket };
        // Ctrl-C reaches the shell around the program, too, as part of the terminal's foreground.
        let line = format!("trap : INT; {line}");
        // The pane stays when its program ends, so that what is left on the screen can be seen.
        let line = format!("{line}; status=$?; echo; echo \"status $status\"; exec sleep 100000");
        let sleeper = bed.sleeper();
        let line = line.replace("exec sleep", &format!("exec {}", sleeper.display()));
        terminal.tmux(&[
            "new-session",
            "-d",
            "-s",
            "main",
            "-x",
            "80",
            "-y",
            "24",
            "/bin/sh",
            "-c",
            &line,
            TSM,
        ]);
        Some(terminal)
    }

    #[track_caller]
    pub(crate) fn tmux(&self, args: &[&str]) -> String {
        let mut command = self.bed.command("tmux");
        command
            .env("TERM", "xterm-256color")
            .args(["-S", &self.socket, "-f", "/dev/null"])
            .args(args);
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "tmux {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Presses keys, as tmux calls them.
    #[track_caller]
    pub(crate) fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys", "-t", "main"], keys].concat());
    }

    #[track_caller]
    pub(crate) fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-t", "main"])
    }

    /// Waits until the screen is as it should be.
    #[track_caller]
    pub(crate) fn wait_screen(&self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let mut screen = String::new();
        let seen = within(DEADLINE, || {
            screen = self.screen();
            holds(&screen).then_some(())
        });
        assert!(seen.is_some(), "the screen never shows {what}:\n{screen}");
        screen
    }

    #[track_caller]
    pub(crate) fn wait_text(&self, text: &str) -> String {
        self.wait_screen(text, |screen| screen.contains(text))
    }

    /// Waits for a prompt with nothing typed behind it.
    #[track_caller]
    pub(crate) fn wait_prompt(&self) {
        self.wait_screen("an empty prompt", |screen| {
            let last = screen.trim_end().lines().last();
            last.is_some_and(|line| line.starts_with("tsm") && line.ends_with('>'))
        });
    }

    /// Whether a program has the terminal's other screen.
    pub(crate) fn is_alternate(&self) -> bool {
        self.tmux(&["display-message", "-p", "-t", "main", "#{alternate_on}"])
            .trim()
            == "1"
    }

    pub(crate) fn value(&self, format: &str) -> String {
        self.tmux(&["display-message", "-p", "-t", "main", format])
            .trim()
            .to_owned()
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let mut command = self.bed.command("tmux");
        // It may be gone already.
        let _ = command.args(["-S", &self.socket, "kill-server"]).output();
    }
}
