//! The file that this program was started from: how it is known that there is a newer one in its place.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use super::file_id;
use crate::error::BestEffort as _;
use crate::supervise::supervisor::{Ending, Kind, Supervisor, token};
use crate::sys::clock;
use crate::sys::inotify::Inotify;
use crate::sys::poll::Interest;

/// After a program file was replaced, how long until it is tried: who installs one may not be through.
const SETTLE: Duration = Duration::from_secs(2);

/// The file that this program was started from, as the kernel knew it then.
pub(in crate::supervise) struct OwnProgram {
    path: PathBuf,
    file: (u64, u64),
    /// The file in its place that was tried already.
    tried: Option<(u64, u64)>,
    /// When a file that took its place is to be tried.
    pub(in crate::supervise) look_at: Option<Duration>,
}

impl OwnProgram {
    pub(in crate::supervise) fn find() -> Option<Self> {
        let path = std::fs::read_link("/proc/self/exe").ok()?;
        let text = path.to_str()?;
        // The kernel marks a file that has lost its name (`proc_pid_exe(5)`).
        Some(Self {
            path: text.strip_suffix(" (deleted)").unwrap_or(text).into(),
            file: file_id("/proc/self/exe")?,
            tried: None,
            look_at: None,
        })
    }

    /// The file that is in its place now, where it was replaced by one that was not tried yet.
    fn successor(&mut self) -> Option<PathBuf> {
        let now = std::fs::metadata(&self.path).ok()?;
        let file = (now.dev(), now.ino());
        if !now.is_file() || file == self.file || self.tried == Some(file) {
            return None;
        }
        // One that failed its trial is not tried again until it is replaced itself.
        self.tried = Some(file);
        Some(self.path.clone())
    }

    /// Whether a file has taken its place, tried or not.
    fn was_replaced(&self) -> bool {
        file_id(&self.path).is_some_and(|now| now != self.file)
    }
}

impl Supervisor {
    /// Watches the file that this program was started from. Where the system has no watches left, a newer command that
    /// comes by is what lets it be looked at.
    pub(in crate::supervise) fn watch_program(&mut self) {
        let Some(program) = self
            .succession
            .program
            .as_ref()
            .filter(|_| self.options.upgrade.is_some())
        else {
            return;
        };
        let watch = Inotify::new().and_then(|watch| {
            watch.watch(&program.path, Self::PROGRAM_EVENTS)?;
            self.poll
                .add(&watch, token(Kind::Program, 0), Interest::Read)?;
            Ok(watch)
        });
        self.succession.program_watch = watch.ok();
    }

    /// Somebody who is newer asked for something: the program file may have been replaced, or there is another one.
    pub(in crate::supervise) fn meet(&mut self, client: Option<&str>) {
        let own = crate::version::own();
        let Some(newer) = client.filter(|client| crate::version::is_newer(client, &own)) else {
            return;
        };
        let Some(program) = &mut self.succession.program else {
            return;
        };
        if self.options.upgrade.is_some() && program.was_replaced() {
            program.look_at.get_or_insert_with(clock::monotonic);
            return;
        }
        let notice = format!(
            "tsm {newer} is newer than the supervisor ({own}); 'tsm supervisor upgrade' upgrades it"
        );
        if !self.notices.contains(&notice) {
            self.notices.push(notice);
        }
    }

    /// The kernel says that something became of the file that this program was started from.
    pub(in crate::supervise) fn on_program_changed(&mut self) {
        if let Some(watch) = &self.succession.program_watch {
            watch
                .read_events()
                .best_effort("what it was is looked at in a while, whatever it was");
        }
        if let Some(program) = &mut self.succession.program {
            // Each change puts it off: whoever installs a file writes it in several steps.
            program.look_at = Some(clock::monotonic() + SETTLE);
        }
    }

    /// Tries a program file that has taken the place of ours.
    pub(in crate::supervise) fn look_for_successor(&mut self) {
        let Some(program) = &mut self.succession.program else {
            return;
        };
        if program.look_at.is_none_or(|at| at > clock::monotonic()) {
            return;
        }
        program.look_at = None;
        if self.succession.upgrade.is_some() || self.ending != Ending::No {
            return;
        }
        let path = program.successor();
        // The file that is in its place now may be replaced in its turn.
        if let Some(watch) = &self.succession.program_watch {
            watch
                .watch(&program.path, Self::PROGRAM_EVENTS)
                .best_effort("a newer command that asks has it looked at, too");
        }
        if let Some(path) = path
            && let Err(error) = self.try_program(&path, None)
        {
            self.log.say(format_args!(
                "{} was replaced, and cannot be tried: {error}",
                path.display()
            ));
        }
    }
}
