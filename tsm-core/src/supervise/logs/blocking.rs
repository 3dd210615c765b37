//! What cannot be written: it waits in its pipe and is tried again, or is dropped, or is told of where it is lost.

use super::dropping::{count_dropped, drop_what_waits, take_back_torn_line};
use super::mover::{is_no_room, word};
use super::rules::LogPlace;
use crate::error::Error;
use crate::events::EventKind;
use crate::logs::Stream;
use crate::spec::OnFull;
use crate::supervise::launching::stream_kind;
use crate::supervise::supervisor::{Supervisor, token};
use crate::sys::fd;
use crate::sys::poll::Interest;

impl Supervisor {
    /// What cannot be written stays in the pipe, and its service waits; it is tried again in a while.
    pub(super) fn block_log(&mut self, id: u32, stream: Stream, error: &Error) {
        let (kind, _) = stream_kind(stream);
        // Closed, so that the next try opens the file anew: it may have been replaced in the
        // meantime.
        self.logs.open.close((id, stream));
        let place = self.log_place(id, stream).filter(|_| is_full(error));
        let drops = place.filter(|place| place.rules.on_full == OnFull::Drop);
        if drops.is_some() {
            self.begin_tally(id, stream);
        }
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let end = service.log_end(stream);
        if let Some(LogPlace { path, .. }) = drops {
            // The part of a line that was written already must not stand there as if it were whole.
            let torn = take_back_torn_line(&path).unwrap_or(0);
            if drop_what_waits(end) {
                count_dropped(end, torn, 0);
                return self.retry_later();
            }
        }
        // Told once for each time that it is blocked.
        if !end.blocked {
            end.blocked = true;
            self.log
                .say(format_args!("{error}; what is printed waits in its pipe"));
        }
        if !std::mem::replace(&mut end.is_block_noted, true) {
            let reason = error.to_string();
            let stream = word(stream);
            self.note(id, EventKind::LogBlocked { stream, reason });
        }
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let end = service.log_end(stream);
        // A pipe that is left full would wake the loop again and again.
        if let Some(pipe) = &end.reader
            && !end.paused
        {
            self.poll.rewatch(pipe, token(kind, id), Interest::None);
            end.paused = true;
            end.paced = false;
        }
        self.retry_later();
    }

    /// Tries blocked logs again, and notes what was dropped, and which are written again.
    pub(in crate::supervise) fn unblock_logs(&mut self) {
        self.note_dropped();
        let mut written = Vec::new();
        for (&id, service) in &mut self.services {
            for stream in [Stream::Out, Stream::Err] {
                let end = service.log_end(stream);
                if end.is_block_noted && !end.blocked {
                    end.is_block_noted = false;
                    written.push((id, word(stream)));
                }
            }
        }
        for (id, stream) in written {
            self.note(id, EventKind::LogUnblocked { stream });
        }
        for (&id, service) in &mut self.services {
            for stream in [Stream::Out, Stream::Err] {
                let (kind, _) = stream_kind(stream);
                let end = service.log_end(stream);
                if let Some(pipe) = end.reader.as_ref().filter(|_| end.blocked) {
                    end.paused = false;
                    self.poll.rewatch(pipe, token(kind, id), Interest::Read);
                }
            }
        }
    }

    /// Says which bytes end with this supervisor and its keeper: those of runs that have ended, which nobody else holds and
    /// no disk took.
    pub(in crate::supervise) fn tell_of_lost_bytes(&mut self) {
        let ended: Vec<u32> = self
            .services
            .iter()
            .filter(|(_, service)| service.live_pid().is_none())
            .map(|(id, _)| *id)
            .collect();
        for id in ended {
            self.tell_of_lost_bytes_of(id);
        }
    }

    /// The same, of one process.
    pub(in crate::supervise) fn tell_of_lost_bytes_of(&mut self, id: u32) {
        let Some(service) = self.services.get(&id) else {
            return;
        };
        for end in [&service.out, &service.err] {
            let waiting = end.reader.as_ref().map_or(0, fd::bytes_waiting);
            if waiting > 0 {
                self.log.say(format_args!(
                    "the last {waiting} bytes that '{}' printed could not be written and are lost",
                    service.name
                ));
            }
        }
    }
}

fn is_full(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if is_no_room(source))
}
