//! `watch COMMAND`: runs it again at each change, until Ctrl-C.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use tsm_core::store::ProcessStore;
use tsm_core::sys::poll::{Interest, Poll};

use crate::Commands;

/// However much changes, a person can read no faster.
const AT_MOST_EVERY: Duration = Duration::from_millis(200);

/// Readable once Ctrl-C was pressed.
#[derive(Debug)]
pub(crate) struct Interrupts(UnixStream);

impl Interrupts {
    /// From here on Ctrl-C ends a command, and not this program. A handler, unlike "ignore", is not inherited.
    pub(crate) fn catch() -> io::Result<Self> {
        let (here, there) = UnixStream::pair()?;
        here.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(signal_hook::consts::SIGINT, there)?;
        Ok(Self(here))
    }

    /// Forgets those that came until now.
    fn clear(&self) {
        let mut bytes = [0; 64];
        while matches!((&self.0).read(&mut bytes), Ok(1..)) {}
    }

    /// Whether Ctrl-C was pressed since.
    fn came(&self) -> bool {
        matches!((&self.0).read(&mut [0; 64]), Ok(1..))
    }
}

/// Runs the command until Ctrl-C; gives its last exit status.
pub(crate) fn run(
    store: &ProcessStore,
    commands: &mut dyn Commands,
    words: &[OsString],
    every: Duration,
    interrupts: &Interrupts,
) -> io::Result<u8> {
    let mut changes = tsm_core::watch(store.clone()).map_err(io::Error::other)?;
    let mut poll = Poll::new(2)?;
    poll.add(&interrupts.0, 0, Interest::Read)?;
    let mut pause = Poll::new(1)?;
    pause.add(&interrupts.0, 0, Interest::Read)?;
    poll.add(&changes, 1, Interest::Read)?;
    let mut ready = Vec::new();
    interrupts.clear();
    loop {
        let mut stdout = io::stdout().lock();
        // Home, clear: the table is drawn anew.
        stdout.write_all(b"\x1b[H\x1b[2J")?;
        stdout.flush()?;
        drop(stdout);
        let status = commands.run(words.to_vec(), None);
        pause.wait(Some(AT_MOST_EVERY), &mut ready)?;
        if interrupts.came() {
            return Ok(status);
        }
        poll.wait(Some(every.saturating_sub(AT_MOST_EVERY)), &mut ready)?;
        if interrupts.came() {
            return Ok(status);
        }
        // Taken in, so that the descriptor falls silent; what they are is read by the command.
        changes
            .next_batch(Some(Duration::ZERO))
            .map_err(io::Error::other)?;
    }
}
