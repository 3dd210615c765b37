//! The log of a service that floods is looked at by the clock, as network drivers do with a card that interrupts too often.
//!
//! Each write into a pipe that is waited for wakes whoever waits, which costs the writer as much as the write; and what is
//! moved at each of them begins and ends anywhere. So a pipe that has much in it is made wide and is not watched any more: it
//! is looked at a few thousand times a second, and whole pieces are moved, until looks in a row find too little. Then it is
//! watched again, and idle is idle. What waits meanwhile waits in the pipe, as always: nothing depends on the next look.

use std::time::Duration;

use super::mover::{Moved, Share};
use crate::logs::Stream;
use crate::supervise::launching::stream_kind;
use crate::supervise::supervisor::{Supervisor, token};
use crate::sys::poll::Interest;
use crate::sys::{clock, fd};

/// With so much in its pipe at once a service floods: that is all that a pipe holds before it is widened.
pub(super) const FLOOD: usize = 64 << 10;
/// The size of the pipe of a service that floods.
const WIDE_PIPE_BYTES: usize = 1 << 20;
/// The time between two looks: one who writes 1 GiB a second has filled a third of a wide pipe by then.
const BETWEEN_LOOKS: Duration = Duration::from_micros(350);
/// With so much in a wide pipe the next look is at once: its writer is about to wait.
const NEARLY_FULL: usize = WIDE_PIPE_BYTES / 2;
/// After so many looks in a row that found too little, the flood is over.
const VAIN_LOOKS: u8 = 3;

/// The logs that are looked at by the clock, and when that is.
#[derive(Default)]
pub(in crate::supervise) struct Paced {
    logs: Vec<(u32, Stream)>,
    at: Option<Duration>,
}

impl Paced {
    pub(in crate::supervise) fn deadline(&self) -> Option<Duration> {
        self.at
    }
}

impl Supervisor {
    /// Looks at a pipe by the clock from now on, which is watched and had much in it.
    pub(super) fn pace(&mut self, id: u32, stream: Stream) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let end = service.log_end(stream);
        let Some(pipe) = end.reader.as_ref().filter(|_| !end.paused) else {
            return;
        };
        let wide = *end
            .wide
            .get_or_insert_with(|| fd::widen_pipe(pipe, WIDE_PIPE_BYTES));
        // Where the user's share of pipe memory is used up, it stays as it is, and would be full long before the next look.
        if !wide {
            return;
        }
        let (kind, _) = stream_kind(stream);
        self.poll.rewatch(pipe, token(kind, id), Interest::None);
        (end.paced, end.vain_looks) = (true, 0);
        if !self.logs.paced.logs.contains(&(id, stream)) {
            self.logs.paced.logs.push((id, stream));
        }
        let next = clock::monotonic() + BETWEEN_LOOKS;
        self.logs.paced.at.get_or_insert(next);
    }

    /// Watches a pipe again that was looked at by the clock.
    pub(super) fn end_pacing(&mut self, id: u32, stream: Stream) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let end = service.log_end(stream);
        if let Some(pipe) = end.reader.as_ref().filter(|_| end.paced) {
            end.paced = false;
            let (kind, _) = stream_kind(stream);
            self.poll.rewatch(pipe, token(kind, id), Interest::Read);
        }
    }

    /// Looks at the logs that are looked at by the clock, if it is time.
    pub(in crate::supervise) fn look_at_paced_logs(&mut self) {
        let now = clock::monotonic();
        if self.logs.paced.at.is_none_or(|at| at > now) {
            return;
        }
        let mut soon = false;
        for (id, stream) in std::mem::take(&mut self.logs.paced.logs) {
            let Some(service) = self.services.get_mut(&id) else {
                continue;
            };
            let end = service.log_end(stream);
            // Its run may have ended, and another begun with a pipe of its own.
            let Some(pipe) = end.reader.as_ref().filter(|_| end.paced) else {
                continue;
            };
            let waiting = fd::bytes_waiting(pipe) as usize;
            soon |= waiting >= NEARLY_FULL;
            if self.move_pieces(id, stream, waiting) {
                self.logs.paced.logs.push((id, stream));
            } else {
                self.end_pacing(id, stream);
            }
        }
        let pause = if soon { Duration::ZERO } else { BETWEEN_LOOKS };
        let next = clock::monotonic() + pause;
        self.logs.paced.at = (!self.logs.paced.logs.is_empty()).then_some(next);
    }

    /// Moves whole pieces of what waits in a pipe. False where it is not to be looked at by the clock any more.
    fn move_pieces(&mut self, id: u32, stream: Stream, waiting: usize) -> bool {
        let moved = self.move_bytes(id, stream, waiting, Share::WholePieces);
        let found = matches!(moved, Ok(Moved::Some(1..)));
        match moved {
            // What ended or is empty is told by the watch.
            Ok(_) => {}
            Err(error) => {
                self.block_log(id, stream, &error);
                return false;
            }
        }
        self.look_at_log(id, stream);
        let Some(service) = self.services.get_mut(&id) else {
            return false;
        };
        let end = service.log_end(stream);
        end.vain_looks = if found { 0 } else { end.vain_looks + 1 };
        end.paced && end.vain_looks < VAIN_LOOKS
    }
}
