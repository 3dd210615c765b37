//! Logs that services write themselves (`--log-mode direct`): their times, their rotation, and what others do to them.
//!
//! Such a log costs nothing while it is written: a watch tells once that it grew, and is set anew at most once a second.
//! What has to be copied is copied by the worker thread; while it is at work on a log, nobody else touches its segments.

mod noting;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::rules::LogPlace;
use super::upkeep::{Rotation, Upkeep};
use crate::control::ReportedError;
use crate::error::{BestEffort as _, Error, IoContext as _, Result};
use crate::logs::segments::FileId;
use crate::logs::{Stream, direct, index, rotate};
use crate::spec::{LogMode, LogRules, LogSettings, LogTarget, ProcessSpec};
use crate::supervise::service::Service;
use crate::supervise::supervisor::{Kind, Supervisor, token};
use crate::supervise::worker::{Turns, Urgency};
use crate::sys::inotify::{Inotify, Mask, WatchId};
use crate::sys::poll::Interest;
use crate::sys::{account, clock};

/// A log that floods is left alone for so many looks: taking blocks out of a file holds up who writes into it, and most
/// floods are over by then.
const LET_FLOOD: u32 = 3;

/// How long a log that grew is left alone.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The logs that services write themselves.
pub(in crate::supervise) struct DirectLogs {
    inotify: Inotify,
    watched: HashMap<WatchId, (u32, Stream)>,
    known: HashMap<(u32, Stream), Known>,
}

/// What is known of such a log.
#[derive(Clone, Copy, Default)]
struct Known {
    /// The file that its service has; `None` where another one had its name when that was looked for.
    file: Option<FileId>,
    /// That file has lost its name, and that was told.
    gone: bool,
    /// How many bytes were written so far, those counted that were cut off.
    written: u64,
    /// The worker is at work on it.
    busy: bool,
    /// For so many looks it has been flooding; what is too large is made segments of when it does not any more.
    floods: u32,
}

/// What is cut off a log.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// So much as it is too large, into segments.
    TooLarge,
    /// So much as is more than is kept of all. That goes: segments would be removed again before anybody reads them.
    TooMuch,
    /// All of it, into a segment.
    All,
}

impl Supervisor {
    /// Whether a stream is written into its file by the service.
    pub(in crate::supervise) fn is_direct(&self, id: u32, stream: Stream) -> bool {
        let Some(service) = self.services.get(&id) else {
            return false;
        };
        // Another mode that was declared meanwhile holds from the next run on.
        let end = match stream {
            Stream::Out => &service.out,
            Stream::Err => &service.err,
        };
        let target = service.logs.as_ref().and_then(|own| own.target(stream));
        end.reader.is_none()
            && matches!(target, None | Some(LogTarget::File(_)))
            && self
                .log_place(id, stream)
                .is_some_and(|place| place.rules.mode == LogMode::Direct)
    }

    /// The file that a service is to write its log into; `None` where it gets a pipe, or nothing.
    pub(in crate::supervise) fn direct_file(
        &mut self,
        id: u32,
        stream: Stream,
    ) -> io::Result<Option<File>> {
        let Some(LogPlace { path, .. }) = self.log_place(id, stream) else {
            return Ok(None);
        };
        if !self.is_direct(id, stream) {
            // The log may have been written directly before.
            if direct::is_direct(&path) {
                direct::leave(&path)?;
            }
            return Ok(None);
        }
        // The mover's handle writes at offsets of its own.
        self.logs.open.close((id, stream));
        let file = direct::open_for_service(&path)?;
        self.watch_direct(id, stream);
        self.note_beginning(id, stream, &path);
        Ok(Some(file))
    }

    /// Goes on to look after a log that a service writes itself, and has gone on to write while nobody looked.
    pub(in crate::supervise) fn adopt_direct(&mut self, id: u32, stream: Stream) {
        let runs = |s: &Service| s.live_pid().is_some();
        if let Some(LogPlace { path, .. }) = self.log_place(id, stream)
            && self.services.get(&id).is_some_and(runs)
        {
            self.compare_with_notes(id, stream, &path);
        }
        self.watch_direct(id, stream);
    }

    /// Begins to look after a log that a service writes itself.
    fn watch_direct(&mut self, id: u32, stream: Stream) {
        let Some(LogPlace { path, .. }) = self.log_place(id, stream) else {
            return;
        };
        let is_cut = self.is_being_cut(id, stream);
        if !is_cut && let Err(error) = direct::recover(&path) {
            self.log.say(format_args!(
                "cannot finish the rotation of {}: {error}",
                path.display()
            ));
        }
        if self.logs.direct.is_none() {
            let made = Inotify::new().and_then(|inotify| {
                self.poll
                    .add(&inotify, token(Kind::DirectLogs, 0), Interest::Read)?;
                Ok(inotify)
            });
            match made {
                Ok(inotify) => {
                    self.logs.direct = Some(Box::new(DirectLogs {
                        inotify,
                        watched: HashMap::new(),
                        known: HashMap::new(),
                    }));
                }
                Err(error) => {
                    return self.log.say(format_args!("cannot watch logs: {error}"));
                }
            }
        }
        if let Some(all) = &mut self.logs.direct {
            let known = all.known.entry((id, stream)).or_default();
            let file = direct::its_file(&path);
            if known.file != file {
                // A file that it has not looked at yet.
                *known = Known {
                    file,
                    written: written(&path).unwrap_or(0),
                    busy: known.busy,
                    ..Known::default()
                };
            }
        }
        // No watch reports what an earlier supervisor did not get round to.
        let is_large = |place: LogPlace| size(&place.path).is_ok_and(|n| n >= place.rules.max_size);
        if self.log_place(id, stream).is_some_and(is_large) {
            self.cut_direct(id, stream, Cut::TooLarge);
        }
        self.look_at_direct(id, stream);
    }

    /// Whether the worker changes the segments of a log.
    pub(super) fn is_being_cut(&self, id: u32, stream: Stream) -> bool {
        let known = self
            .logs
            .direct
            .as_ref()
            .and_then(|all| all.known.get(&(id, stream)));
        known.is_some_and(|known| known.busy)
    }

    /// Some logs have grown.
    pub(in crate::supervise) fn on_direct(&mut self) {
        let Some(all) = &mut self.logs.direct else {
            return;
        };
        let events = all.inotify.read_events().unwrap_or_default();
        let mut grown = Vec::new();
        for event in events {
            // A one-shot watch is gone with its event.
            grown.extend(all.watched.remove(&event.watch));
        }
        for (id, stream) in grown {
            self.note_direct(id, stream);
            self.due_in(LOOK_AGAIN, id, stream, Upkeep::Look);
        }
    }

    /// Notes what came, and waits for more: by a watch, or for a second where it is still growing.
    pub(super) fn look_at_direct(&mut self, id: u32, stream: Stream) {
        if self.note_direct(id, stream) {
            return self.due_in(LOOK_AGAIN, id, stream, Upkeep::Look);
        }
        let Some(LogPlace { path, .. }) = self.log_place(id, stream) else {
            return;
        };
        let Some(all) = &mut self.logs.direct else {
            return;
        };
        // A file that is open loses its last name by a change of its attributes.
        let changes = Mask::MODIFY.union(Mask::ATTRIB).union(Mask::MOVE_SELF);
        match all.inotify.watch(&path, changes.union(Mask::ONCE)) {
            Ok(watch) => drop(all.watched.insert(watch, (id, stream))),
            // That was noted, or is just below.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                self.log
                    .say(format_args!("cannot watch {}: {error}", path.display()));
                return;
            }
        }
        // Nobody reports what came between the look and the watch.
        if self.note_direct(id, stream) {
            self.due_in(LOOK_AGAIN, id, stream, Upkeep::Look);
        }
    }

    fn known_direct(&mut self, id: u32, stream: Stream) -> Option<&mut Known> {
        self.logs.direct.as_mut()?.known.get_mut(&(id, stream))
    }

    /// Whether the worker changes the segments of any log of a process.
    pub(in crate::supervise) fn are_logs_being_cut(&self, id: u32) -> bool {
        [Stream::Out, Stream::Err]
            .iter()
            .any(|stream| self.is_being_cut(id, *stream))
    }

    /// Has all that is in a log made a segment by the worker.
    pub(super) fn rotate_direct(
        &mut self,
        id: u32,
        stream: Stream,
        path: &Path,
    ) -> Result<Rotation> {
        self.refuse_gone(id, stream, path, "rotate")?;
        if !direct::can_be_cut(path).at("look at", path)? {
            return Ok(Rotation::Nothing);
        }
        self.cut_direct(id, stream, Cut::All);
        Ok(Rotation::Done)
    }

    /// Nothing can be done to a file that has lost its name.
    fn refuse_gone(&mut self, id: u32, stream: Stream, path: &Path, what: &str) -> Result<()> {
        self.note_direct(id, stream);
        let known = self.known_direct(id, stream);
        if known.is_some_and(|known| known.gone) {
            let reason = format!(
                "somebody removed or renamed {}, into which its service goes on writing; a restart gives it a new file",
                path.display()
            );
            return Err(Error::bad_value(what, reason));
        }
        Ok(())
    }

    /// Has the head of a log cut off by the worker.
    fn cut_direct(&mut self, id: u32, stream: Stream, cut: Cut) {
        let Some(LogPlace { path, rules }) = self.log_place(id, stream) else {
            return;
        };
        match self.known_direct(id, stream) {
            Some(known) if !known.busy => known.busy = true,
            _ => return,
        }
        let live = path.clone();
        self.worker.submit(
            // A rotation is never urgent, and it may copy gigabytes.
            Urgency::Background,
            move |turns| cut_off(&live, &rules, cut, turns).at("rotate", &live),
            move |supervisor, done| {
                let failed = done.as_ref().err().map(ReportedError::from);
                if let Err(error) = done {
                    supervisor.log.say(error);
                }
                if !supervisor.services.contains_key(&id) {
                    // The service was deleted in the meantime, and with it its logs if they are
                    // gone.
                    let gone = !path.exists();
                    if gone && let Err(error) = rotate::remove_log(&path).at("remove", &path) {
                        supervisor.log.say(error);
                    }
                    return;
                }
                if let Some(known) = supervisor.known_direct(id, stream) {
                    known.busy = false;
                }
                if let Err(error) = rotate::prune(&path, 0, &rules).at("prune", &path) {
                    supervisor.log.say(error);
                }
                if failed.is_none() {
                    supervisor.log_was_rotated(id, stream, &rules);
                }
                supervisor.due_in(LOOK_AGAIN, id, stream, Upkeep::Look);
                supervisor.answer_cut(id, cut == Cut::All, failed.as_ref());
            },
        );
    }

    /// Empties a log under its service.
    pub(super) fn flush_direct(&mut self, id: u32, stream: Stream, path: &Path) -> Result<()> {
        self.refuse_gone(id, stream, path, "flush")?;
        rotate::absent_is_fine(direct::empty(path)).at("empty", path)?;
        // Noted, so that the next look does not take it for a log that somebody truncated.
        let now = written(path).unwrap_or(0);
        if let Some(known) = self.known_direct(id, stream) {
            known.written = now;
        }
        index::append_note(path, now, clock::unix_ms(), u64::MAX).at("empty the index of", path)
    }

    /// Nothing more is looked at of the logs of a process.
    pub(super) fn forget_direct(&mut self, id: u32) {
        let Some(all) = &mut self.logs.direct else {
            return;
        };
        all.known.retain(|(known, _), _| *known != id);
        for (watch, _) in all.watched.extract_if(|_, (known, _)| *known == id) {
            all.inotify
                .unwatch(watch)
                .best_effort("its directory may be gone, and the watch with it");
        }
        if all.known.is_empty() {
            // Its descriptor goes with the last log that needed it.
            self.logs.direct = None;
        }
    }
}

/// Why the logs of a service cannot be written by itself, if that is what was asked for.
pub(in crate::supervise) fn refusal(spec: &ProcessSpec, home: &LogSettings) -> Option<String> {
    let rules = spec.logs.rules(home);
    let forced = spec.logs.force.or(home.force).unwrap_or(false);
    let uid = spec
        .user
        .as_ref()
        .map_or_else(account::effective_uid, |user| user.uid);
    let refused = rules.mode == LogMode::Direct && uid == 0 && !forced;
    refused.then(|| {
        "direct is not for services of root: `echo x > /dev/stderr` empties such a log, and no mode of the file keeps root \
         from that; use pipe, --user, or --log-force"
            .to_owned()
    })
}

/// Adds to a log beside its service.
pub(super) fn append(path: &Path, bytes: &[u8], bound: u64) -> io::Result<()> {
    let before = if path.exists() { written(path)? } else { 0 };
    index::append_note(path, before, clock::unix_ms(), bound)?;
    direct::append(path, bytes)
}

/// How many bytes were written into a log so far, those counted that were cut off.
fn written(path: &Path) -> io::Result<u64> {
    let file = File::open(path)?;
    match direct::place(&file, path)? {
        Some(place) => Ok(place.base + place.end),
        None => Ok(file.metadata()?.len()),
    }
}

/// How many bytes are in a log.
fn size(path: &Path) -> io::Result<u64> {
    let file = File::open(path)?;
    match direct::place(&file, path)? {
        Some(place) => Ok(place.len()),
        None => Ok(file.metadata()?.len()),
    }
}

/// Whether there is room for so many bytes more beside a log. Where that cannot be found out, there is none.
fn has_room_for(path: &Path, bytes: u64) -> bool {
    // Unknown room is taken for none: then a flood is cut sooner.
    crate::sys::room(path).is_ok_and(|room| room.free_bytes > bytes)
}

/// How much is kept of a log in segments.
fn kept(rules: &LogRules) -> u64 {
    rules.max_size.saturating_mul(u64::from(rules.keep))
}

/// Cuts off the head of a log. What would be removed at once because only so many segments are kept is not made a segment
/// first.
fn cut_off(live: &Path, rules: &LogRules, cut: Cut, turns: &Turns) -> io::Result<()> {
    if cut == Cut::All && rules.keep > 0 {
        return direct::cut(live, u64::MAX, rules.keep, || turns.give_way()).map(drop);
    }
    if cut == Cut::All || rules.keep == 0 {
        return direct::discard(live, u64::MAX);
    }
    let kept = kept(rules);
    loop {
        let size = size(live)?;
        if size > kept.saturating_add(rules.max_size) {
            direct::discard(live, size - kept)?;
            if cut == Cut::TooLarge {
                continue;
            }
        }
        if cut == Cut::TooMuch || size < rules.max_size || turns.is_finishing() {
            return Ok(());
        }
        if direct::cut(live, rules.max_size, rules.keep, || turns.give_way())? == 0 {
            return Ok(());
        }
    }
}
