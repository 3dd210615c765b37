//! Commands of tsm that are under way.

use std::collections::HashMap;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tsm_core::error::BestEffort as _;
use tsm_core::sys::Signal;
use tsm_core::sys::pidfd::signal_group;

use super::Commands;
use crate::message::Message;

/// A command that is under way.
enum Run {
    /// It is being started; somebody may have asked it to end already.
    Starting { interrupted: bool },
    /// It runs and is not reaped, so that its pid is its own.
    Child(Child),
}

/// The commands that are under way, by their numbers.
type Running = Arc<Mutex<HashMap<u64, Run>>>;

/// What runs commands.
pub(super) struct Jobs {
    commands: Arc<dyn Commands>,
    say: SyncSender<Message>,
    running: Running,
}

impl Jobs {
    pub(super) fn new(commands: Arc<dyn Commands>, say: SyncSender<Message>) -> Self {
        Self {
            commands,
            say,
            running: Running::default(),
        }
    }

    /// Runs a command, and tells what it prints, so many columns wide, and how it ends.
    pub(super) fn run(&self, job: u64, words: &[String], columns: u16) {
        let (commands, say) = (Arc::clone(&self.commands), self.say.clone());
        let (running, words) = (Arc::clone(&self.running), words.to_vec());
        lock(&running).insert(job, Run::Starting { interrupted: false });
        std::thread::spawn(move || {
            let command = super::command(&*commands, &words, columns);
            let status = command.and_then(|command| follow(command, job, &say, &running));
            lock(&running).remove(&job);
            let status = status.unwrap_or_else(|error| {
                let bytes = format!("cannot run tsm: {error}\n").into_bytes();
                say.send(Message::Printed { job, bytes })
                    .best_effort("nobody draws any more");
                None
            });
            say.send(Message::Ended { job, status })
                .best_effort("nobody draws any more");
        });
    }

    /// Asks a command to end, as Ctrl-C would.
    pub(super) fn interrupt(&self, job: u64) {
        match lock(&self.running).get_mut(&job) {
            Some(Run::Starting { interrupted }) => *interrupted = true,
            Some(Run::Child(child)) => interrupt(child),
            // It has ended.
            None => {}
        }
    }

    /// Runs a command that has the terminal for itself, and gives its exit status.
    pub(super) fn foreground(&self, words: &[String]) -> Option<i32> {
        let status = self
            .commands
            .command(words)
            .and_then(|mut command| command.status());
        let code = status
            .as_ref()
            .ok()
            .and_then(std::process::ExitStatus::code);
        if code == Some(0) {
            return code;
        }
        // What it said would be gone with the next frame.
        let mut stderr = io::stderr().lock();
        if let Err(error) = status {
            writeln!(stderr, "tsm: cannot run tsm: {error}").best_effort("nobody is left to tell");
        }
        write!(stderr, "Enter goes back to the dashboard ").best_effort("nobody is left to tell");
        io::stdin()
            .lock()
            .read_line(&mut String::new())
            .best_effort("a terminal that is gone presses no Enter");
        code
    }
}

fn follow(
    mut command: Command,
    job: u64,
    say: &SyncSender<Message>,
    running: &Running,
) -> io::Result<Option<i32>> {
    let (mut reader, writer) = io::pipe()?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0);
    let child = command.spawn()?;
    // The writing ends that it holds itself would keep the pipe open.
    drop(command);
    let before = lock(running).insert(job, Run::Child(child));
    if let Some(Run::Starting { interrupted: true }) = before
        && let Some(Run::Child(child)) = lock(running).get(&job)
    {
        interrupt(child);
    }
    let mut bytes = [0; 8192];
    loop {
        match reader.read(&mut bytes) {
            Ok(0) => break,
            Ok(length) => {
                let bytes = bytes[..length].to_vec();
                if say.send(Message::Printed { job, bytes }).is_err() {
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let run = lock(running).remove(&job);
    match run {
        Some(Run::Child(mut child)) => Ok(child.wait()?.code()),
        _ => Ok(None),
    }
}

fn lock(running: &Running) -> MutexGuard<'_, HashMap<u64, Run>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

fn interrupt(child: &Child) {
    signal_group(child.id(), Signal::INT)
        .best_effort("it leads a group of its own. One that has ended needs no asking");
}
