//! Reaching the supervisor: over its socket, after it makes that anew, or by starting one.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use super::silence::{LOOK_AFTER, Silence};
use super::{ANSWER_TIMEOUT, Client, Launcher, unit};
use crate::error::{BestEffort as _, Error, ErrorKind, IoContext as _, Result};
use crate::store::ProcessStore;
use crate::sys;

/// How long a new supervisor may take until it listens.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a supervisor may take to make a socket anew that was removed.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(5);

impl Client {
    /// Connects to the supervisor that is there; `None` where none is.
    pub(super) fn connect(&self, patience: Duration) -> Result<Option<OwnedFd>> {
        let path = self.home.socket();
        let mut silence = Silence::new(&self.home, patience);
        let connected = loop {
            match sys::socket::connect(&path, LOOK_AFTER.min(patience)) {
                // The kernel's queue for the socket is full, which passes when the supervisor gets
                // to it.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    silence.look();
                    if silence.is_over() {
                        return Err(self.crowded(&silence));
                    }
                }
                connected => break connected,
            }
        };
        match connected {
            Ok(socket) => Ok(Some(socket)),
            Err(error)
                if matches!(
                    error.kind(),
                    // Nobody listens: the file is missing, or is left from a supervisor that died.
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                // The usual reason is a home of another user, which `check_owner` says more
                // plainly.
                self.home.check_owner()?;
                Err(error).at("connect to", &path)
            }
            Err(error) => Err(error).at("connect to", &path),
        }
    }

    /// As many connections wait to be accepted as the kernel lets wait.
    fn crowded(&self, silence: &Silence<'_>) -> Error {
        let (home, why) = (self.home.root().display(), silence.why());
        Error::Reported {
            kind: ErrorKind::Unreachable,
            message: format!(
                "too many connections to the supervisor of {home}; they wait, and it takes none: {why}"
            ),
        }
    }

    /// Connects to the supervisor that has this home; `None` where none does.
    pub(super) fn connect_if_there(&self, patience: Duration) -> Result<Option<OwnedFd>> {
        match self.connect(patience)? {
            Some(socket) => Ok(Some(socket)),
            None => self.connect_to_holder(),
        }
    }

    /// Connects to a supervisor that holds the lock of its home and whose socket is gone: it makes it anew within moments.
    /// `None` where nobody holds the lock.
    ///
    /// # Errors
    /// [`Error::Unreachable`] where it does not.
    fn connect_to_holder(&self) -> Result<Option<OwnedFd>> {
        let store = ProcessStore::new(self.home.clone());
        // A socket that is there and refuses is a dead supervisor's: nobody makes that one anew.
        if self.home.socket().exists() || !store.is_supervised() {
            return Ok(None);
        }
        let mut silence = Silence::new(&self.home, SOCKET_TIMEOUT);
        // The watch comes before the look, so that a socket made in between is still noticed.
        let names = sys::inotify::Inotify::new().doing("watch the home")?;
        names
            .watch(self.home.root(), sys::inotify::Mask::NAMES)
            .at("watch", self.home.root())?;
        loop {
            if let Some(socket) = self.connect(SOCKET_TIMEOUT)? {
                return Ok(Some(socket));
            }
            // It ended while it was waited for.
            if !store.is_supervised() {
                return Ok(None);
            }
            if silence.is_over() {
                return Err(self.unreachable(format!(
                    "holds the lock, but its socket {} is gone, and it makes no new one: {}. Where it does not go on, kill it and its guardian and try again: services run on",
                    self.home.socket().display(),
                    silence.why()
                )));
            }
            names.wait(Some(silence.left())).doing("watch the home")?;
            names.read_events().doing("watch the home")?;
            silence.look();
        }
    }

    pub(super) fn connect_or_start(&self) -> Result<OwnedFd> {
        if let Some(socket) = self.connect(ANSWER_TIMEOUT)? {
            return Ok(socket);
        }
        if let Some(socket) = self.connect_to_holder()? {
            return Ok(socket);
        }
        // Only now is the home made, where something is to be started in it.
        self.home.prepare()?;
        self.start_in_turn()
    }

    pub(super) fn start_in_turn(&self) -> Result<OwnedFd> {
        // Of many commands that find no supervisor, one starts it; the others wait here until the
        // kernel gives them the lock.
        let _turn = match sys::lock::wait_for_turn(self.home.root(), ANSWER_TIMEOUT) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                return Err(self.unreachable(format!(
                    "cannot be started: another program holds a lock on the directory ('lslocks' and 'fuser {}' tell which)",
                    self.home.root().display()
                )));
            }
            turn => turn.at("lock", self.home.root())?,
        };
        // Whoever had the turn before has most likely started it.
        if let Some(socket) = self.connect(ANSWER_TIMEOUT)? {
            return Ok(socket);
        }
        self.start_supervisor()?;
        match self.connect(ANSWER_TIMEOUT)? {
            Some(socket) => Ok(socket),
            None => Err(self.unreachable("was started and is gone again; see logs/tsm.log in it")),
        }
    }

    fn start_supervisor(&self) -> Result<()> {
        let log = self.home.supervisor_log();
        let stderr = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            // A FIFO that nobody reads would keep us waiting.
            .custom_flags(sys::OPEN_SAFELY)
            .open(&log)
            .and_then(|file| sys::only_regular(&file).map(|()| file))
            .at("open", &log)?;
        // It may be there from before, with another mode.
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        stderr
            .set_permissions(private)
            .at("set the mode of", &log)?;
        if let Some(runtime) = unit::manager(&self.launcher) {
            let mut silence = Silence::new(&self.home, START_TIMEOUT);
            match unit::start(&runtime, &self.home, &self.launcher, &mut silence)? {
                Ok(()) if self.connect(ANSWER_TIMEOUT)?.is_some() => return Ok(()),
                Ok(()) => self.note_why_not(
                    &stderr,
                    "systemd-run says that it is started, and no supervisor is there",
                ),
                // If it cannot start anywhere, the one that is started here says why.
                Err(reason) => self.note_why_not(&stderr, &reason),
            }
        }
        let Launcher {
            program,
            arguments,
            environment,
        } = &self.launcher;
        let (_guardian, said) =
            sys::spawn::detached(program, arguments, environment, stderr).at("execute", program)?;
        let mut said = File::from(said);
        let mut silence = Silence::new(&self.home, START_TIMEOUT);
        let mut text = Vec::new();
        let mut bytes = [0; 1024];
        loop {
            if !silence.readable(&said)? {
                let reason = format!(
                    "did not start within {} s; {}; see {}",
                    START_TIMEOUT.as_secs(),
                    silence.why(),
                    log.display()
                );
                return Err(self.unreachable(reason));
            }
            match said.read(&mut bytes) {
                Ok(0) => break,
                Ok(length) => text.extend_from_slice(&bytes[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).doing("hear the supervisor"),
            }
            // One line is all that is said; the end of the pipe is not waited for.
            if text.ends_with(b"\n") {
                break;
            }
        }
        let text = String::from_utf8_lossy(&text);
        match text.trim() {
            crate::supervise::READY => Ok(()),
            "" => Err(self.unreachable(format!("could not be started; see {}", log.display()))),
            reason => Err(self.unreachable(format!("could not be started: {reason}"))),
        }
    }

    /// Where the log cannot be written, there is nobody to tell that a command does without systemd.
    fn note_why_not(&self, mut log: &File, reason: &str) {
        let time = crate::events::rfc3339(sys::clock::unix_ms());
        let pid = std::process::id();
        writeln!(
            log,
            "{time} [{pid}] not in a unit of the user's systemd, but in the session of {}: {reason}",
            self.by
        )
        .best_effort("the services are started all the same");
    }
}
