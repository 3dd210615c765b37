//! Whether the home is still this supervisor's, and whether commands still find it there.
//!
//! A supervisor has its home by an open `.lock` and is found by `supervisor.sock`, both of which somebody may remove or
//! rename, or with the whole home. The kernel says when that happens (`inotify(7)`, on these files themselves, so that
//! nothing else ever wakes the loop); it is looked at a moment later, when what is being done to the home is done.

use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{BestEffort as _, IoContext as _, Result};
use crate::home::Home;
use crate::store::Writer;
use crate::supervise::supervisor::{Ending, Kind, Supervisor, token};
use crate::sys::inotify::{Inotify, Mask};
use crate::sys::poll::{Interest, Poll};
use crate::sys::{self, clock};

/// How long after something happened to the home it is looked at: who removes it needs a moment.
const SETTLE: Duration = Duration::from_millis(200);

/// A file, told from another that takes its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn at(path: &Path) -> Option<Self> {
        // By device and inode, which stay the same when a file is renamed.
        fs::metadata(path).ok().as_ref().map(Self::of)
    }

    fn of(meta: &fs::Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
        }
    }
}

/// Where this supervisor is found.
pub(in crate::supervise) struct Place {
    root: Option<FileId>,
    socket: Option<FileId>,
    watch: Option<Inotify>,
    /// When it is looked at.
    look_at: Option<Duration>,
}

/// What has become of the home.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// All is where it was.
    Same,
    /// The lock has no name any more, or a file of another supervisor has it.
    NoLock,
    /// The lock is there, the socket is not.
    NoSocket,
    /// Another directory has the home's path, or none.
    Gone,
}

impl Place {
    /// Watches a home that has just been taken. Where that cannot be (the user may watch no more), it is looked at when
    /// something changes.
    pub(in crate::supervise) fn watch(home: &Home, poll: &Poll) -> Self {
        let watch = Inotify::new().ok().filter(|watch| {
            poll.add(watch, token(Kind::Home, 0), Interest::Read)
                .is_ok()
        });
        let mut place = Self {
            root: None,
            socket: None,
            watch,
            look_at: None,
        };
        place.note(home);
        place
    }

    /// Takes the home as it is now for what it should be.
    fn note(&mut self, home: &Home) {
        self.root = FileId::at(home.root());
        self.socket = FileId::at(&home.socket());
        let Some(watch) = &self.watch else { return };
        let ends = Mask::DELETE_SELF.union(Mask::MOVE_SELF);
        for (path, mask) in [
            (home.root().to_owned(), ends),
            // A file that is open loses its last name by a change of its attributes.
            (home.lock(), ends.union(Mask::ATTRIB)),
            (home.socket(), ends.union(Mask::ATTRIB)),
        ] {
            watch
                .watch(&path, mask)
                .best_effort("what is not there now is found missing when it is looked at");
        }
    }

    fn look(&self, home: &Home, lock: &fs::File) -> Found {
        let root = FileId::at(home.root());
        if root.is_none() || root != self.root || !home.processes().is_dir() {
            return Found::Gone;
        }
        // If our own lock cannot be looked at, that says nothing about the home.
        let own = lock.metadata().ok().as_ref().map(FileId::of);
        if own.is_some() && FileId::at(&home.lock()) != own {
            return Found::NoLock;
        }
        let socket = FileId::at(&home.socket());
        if socket.is_none() || socket != self.socket {
            return Found::NoSocket;
        }
        Found::Same
    }

    /// When the home is looked at.
    pub(in crate::supervise) fn deadline(&self) -> Option<Duration> {
        self.look_at
    }
}

impl Supervisor {
    /// Something happened to the home.
    pub(in crate::supervise) fn on_home(&mut self) {
        if let Some(watch) = &self.place.watch {
            watch
                .read_events()
                .best_effort("what it was is seen when it is looked at");
        }
        self.look_at_home_soon();
    }

    pub(super) fn look_at_home_soon(&mut self) {
        self.place
            .look_at
            .get_or_insert_with(|| clock::monotonic() + SETTLE);
    }

    /// Looks whether the home is still ours, when it is time to.
    pub(in crate::supervise) fn look_at_home_if_due(&mut self) {
        if self.ending == Ending::No
            && self
                .place
                .look_at
                .is_some_and(|at| at <= clock::monotonic())
        {
            self.look_at_home();
        }
    }

    /// Looks whether the home is still ours, and sees to it that it is.
    pub(in crate::supervise) fn look_at_home(&mut self) {
        self.place.look_at = None;
        let home = self.writer.home().clone();
        match self.place.look(&home, self.writer.lock()) {
            Found::Same => {}
            Found::Gone => {
                self.log.say(format_args!(
                    "the home {} was moved or removed; this supervisor ends, and what runs goes on unsupervised",
                    home.root().display()
                ));
                // There is nothing left to write into.
                self.ending = Ending::HandedOver;
            }
            Found::NoLock => match Writer::acquire(home.clone()) {
                Ok(Some(writer)) => {
                    self.log.say(format_args!(
                        "{} was removed or replaced; it is made anew",
                        home.lock().display()
                    ));
                    self.store.forget("lock");
                    self.store.put("lock", writer.lock().as_fd());
                    self.writer = writer;
                    self.listen_anew(&home);
                }
                Ok(None) => {
                    self.log.say("another supervisor has taken the home; this one ends and leaves everything to it");
                    self.ending = Ending::HandedOver;
                }
                Err(error) => self.log.say_seldom("lock", error),
            },
            Found::NoSocket => self.listen_anew(&home),
        }
    }

    /// Makes the control socket anew where its file is gone or is another's.
    fn listen_anew(&mut self, home: &Home) {
        if FileId::at(&home.socket()).is_none_or(|found| Some(found) != self.place.socket) {
            let listener = listen(home).and_then(|listener| {
                self.poll
                    .add(&listener, token(Kind::Listener, 0), Interest::Read)
                    .doing("watch the control socket")?;
                Ok(listener)
            });
            match listener {
                Ok(listener) => {
                    // Connections that the old socket has not accepted yet are lost; their commands see
                    // the end and ask again.
                    self.poll.unwatch(&self.listener);
                    self.store.forget("socket");
                    self.store.put("socket", listener.as_fd());
                    self.listener = listener;
                    self.clients.accept_at = None;
                    self.log.say(format_args!(
                        "{} was removed or replaced; it is made anew",
                        home.socket().display()
                    ));
                }
                Err(error) => self.log.say_seldom("socket", error),
            }
        }
        // The watches are on the files and not on their names: new files need new ones.
        self.place.note(home);
    }
}

/// Makes the control socket; what a dead supervisor left behind is replaced in one step.
///
/// It is bound by a name that no other socket was ever bound by, which stays its address: so [`is_found`] tells it from
/// every other.
pub(in crate::supervise) fn listen(home: &Home) -> Result<OwnedFd> {
    let path = home.socket();
    let temporary = temporary(&path);
    fs::remove_file(&temporary).best_effort("it may be left from an attempt that was interrupted");
    // Under another name until it has its mode, so that nobody connects before.
    let listener = sys::socket::listen(&temporary).at("listen at", &path)?;
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&temporary, private).at("set the mode of", &path)?;
    // In one step: at no moment is there no socket for a command to find.
    fs::rename(&temporary, &path).at("listen at", &path)?;
    Ok(listener)
}

fn temporary(socket: &Path) -> PathBuf {
    let own = format!(
        "sock.{}.{}.tmp",
        std::process::id(),
        clock::monotonic().as_nanos()
    );
    socket.with_extension(own)
}

/// The control socket that a keeper held, if it is the one that commands find. Where that cannot be told it is not kept:
/// making it anew is never wrong.
pub(in crate::supervise) fn found(home: &Home, listener: OwnedFd) -> Option<OwnedFd> {
    sys::socket::is_found_at(&listener, &home.socket())
        .unwrap_or(false)
        .then_some(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_that_is_no_more_the_same_is_told_from_one_that_is() {
        let parent = tempfile::tempdir().unwrap();
        let home = Home::at(parent.path().join("home"));
        home.prepare().unwrap();
        let writer = Writer::acquire(home.clone()).unwrap().unwrap();
        let poll = Poll::new(4).unwrap();
        let listener = listen(&home).unwrap();
        assert!(sys::socket::is_found_at(&listener, &home.socket()).unwrap());
        let mut place = Place::watch(&home, &poll);
        assert_eq!(place.look(&home, writer.lock()), Found::Same);

        let other = listen(&home).unwrap();
        assert!(!sys::socket::is_found_at(&listener, &home.socket()).unwrap());
        assert!(sys::socket::is_found_at(&other, &home.socket()).unwrap());
        assert_eq!(place.look(&home, writer.lock()), Found::NoSocket);
        place.note(&home);
        fs::remove_file(home.socket()).unwrap();
        assert!(!sys::socket::is_found_at(&other, &home.socket()).unwrap());
        assert_eq!(place.look(&home, writer.lock()), Found::NoSocket);

        fs::rename(home.lock(), home.root().join("aside")).unwrap();
        assert_eq!(place.look(&home, writer.lock()), Found::NoLock);
        fs::write(home.lock(), "").unwrap();
        assert_eq!(place.look(&home, writer.lock()), Found::NoLock);

        fs::rename(home.root(), parent.path().join("moved")).unwrap();
        assert_eq!(place.look(&home, writer.lock()), Found::Gone);
        home.prepare().unwrap();
        assert_eq!(place.look(&home, writer.lock()), Found::Gone);
    }
}
