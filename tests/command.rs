//! Running commands, always with a deadline, and what they said.

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use rustix::process::Signal;

use crate::processes::Seen;
use crate::wait::DEADLINE;

/// The program under test.
pub(crate) const TSM: &str = env!("CARGO_BIN_EXE_tsm");

/// What a command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Output {
    line: String,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) status: i32,
}

impl Output {
    /// Requires an exit status.
    #[track_caller]
    pub(crate) fn exits(self, status: i32) -> Self {
        assert_eq!(
            self.status, status,
            "`{}` exited {} instead of {status}\nstdout: {}\nstderr: {}",
            self.line, self.status, self.stdout, self.stderr
        );
        self
    }

    /// Requires exit status 0.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.exits(0)
    }

    /// The message: exactly one line on standard error, and nothing on standard output.
    #[track_caller]
    pub(crate) fn message(&self) -> &str {
        assert_eq!(self.stdout, "", "`{}` prints to stdout", self.line);
        self.stderr_line()
    }

    /// The one line on standard error.
    #[track_caller]
    pub(crate) fn stderr_line(&self) -> &str {
        let lines: Vec<&str> = self.stderr.lines().collect();
        assert_eq!(lines.len(), 1, "`{}` says: {}", self.line, self.stderr);
        lines[0].strip_prefix("tsm: ").unwrap_or(lines[0])
    }
}

/// Runs a command to its end. Both the end of the process and the end of its output have to come in time: a descriptor
/// that a supervisor or service inherited is found here.
#[track_caller]
pub(crate) fn run(command: Command) -> Output {
    begin(command).end()
}

/// A command under way, while a test does something else.
pub(crate) struct Begun {
    child: Child,
    line: String,
}

/// Begins a command.
#[track_caller]
pub(crate) fn begin(mut command: Command) -> Begun {
    let line = words(&command);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Begun { child, line }
}

impl Begun {
    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(self) -> Output {
        finish(self.child, &self.line)
    }
}

/// What was typed, for messages.
pub(crate) fn words(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
    let mut line = words.join(" ").replacen(TSM, "tsm", 1);
    line.truncate(line.floor_char_boundary(300));
    line
}

/// Runs a command that reads all of `input`, and returns what it printed.
#[track_caller]
pub(crate) fn fed(mut command: Command, input: &str, line: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    finish(child, line)
}

/// Waits for a child whose output was piped.
#[track_caller]
pub(crate) fn finish(child: Child, line: &str) -> Output {
    let process = Seen::now(child.id());
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        // Nobody listens any more where the time was over.
        let _ = done.send(child.wait_with_output());
    });
    let output = match ended.recv_timeout(2 * DEADLINE) {
        Ok(output) => output.unwrap(),
        Err(error) if process.is_alive() => {
            process.signal(Signal::KILL);
            panic!("`{line}` did not end: {error}");
        }
        Err(error) => panic!("`{line}` ended, and somebody still holds its output: {error}"),
    };
    let status = output.status.code();
    Output {
        line: line.to_owned(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        bytes: output.stdout,
        status: status.unwrap_or_else(|| -output.status.signal().unwrap_or(0)),
    }
}

/// A command that goes on, such as `logs -f`, and what it has printed so far. It ends with the value.
pub(crate) struct Going {
    child: Child,
    heard: mpsc::Receiver<Vec<u8>>,
    pub(crate) text: String,
}

impl Going {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let (say, heard) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length) = stdout.read(&mut bytes)
                && length > 0
                && say.send(bytes[..length].to_vec()).is_ok()
            {}
        });
        Self {
            child,
            heard,
            text: String::new(),
        }
    }

    /// Waits until it has printed this.
    #[track_caller]
    pub(crate) fn wait_text(&mut self, text: &str) {
        while !self.text.contains(text) {
            match self.heard.recv_timeout(DEADLINE) {
                Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => panic!("no {text:?}, {error}; so far: {:?}", self.text),
            }
        }
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        // It is our own child and not waited for yet, so that it is still the same process.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
