//! Logs that a service writes itself, through a descriptor that appends: their heads are cut off under the writer.
//!
//! Beside such a log stands its state, named as the file with `.head` added: the inode that it is about, how many bytes
//! were taken out of its head so far (so that a position that counts these stays the same for ever), and while a cut is
//! under way, where it begins and how long it is. A cut goes like this:
//!
//! 1. `.1.tmp` is made, empty; the state says what is going to be cut, and is synced;
//! 2. the bytes are copied into `.1.tmp`, which is synced, and the number 1 is made free;
//! 3. the first block is punched out of the log: from here on the bytes are those of the segment;
//! 4. `.1.tmp` becomes `.1`; the bytes are collapsed out of the log, or where the file system cannot do that, punched;
//! 5. the state says that no cut is under way.
//!
//! Whoever finds a cut under way knows how far it came: the first block has data and there is a `.1.tmp`: nothing counts
//! yet; the first block is a hole: it counts, and is finished; data and no `.1.tmp`: only step 5 is left.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::index::{self, Index, LARGEST, index_path, read_full_at};
use super::rotate::{absent_is_fine, drop_oldest, make_room, remove_segments};
use super::segments::{FileId, numbered};
use crate::error::BestEffort as _;
use crate::fail;
use crate::sys::holes;

/// How much is copied between two chances to do something else.
const STEP: usize = 1 << 20;

/// What the state beside a log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    inode: u64,
    /// How many bytes were collapsed out of the file.
    base: u64,
    /// What is being cut: from where on, and how much.
    cut: Option<(u64, u64)>,
}

/// How far a cut has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// There is none.
    None,
    /// Nothing counts yet.
    Begun,
    /// The segment has the bytes, under its temporary name.
    Punched,
    /// The segment has its name; the bytes are still to be taken out of the log.
    Named,
    /// They are, and the state is still to say so.
    Done,
}

/// What a reader has to know of such a log, all of one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    /// The bytes of the log begin here in the file …
    pub(crate) skip: u64,
    /// … and so many were taken out of the file before.
    pub(crate) base: u64,
    /// The newest segment has its temporary name.
    pub(crate) pending: bool,
    /// How many bytes the file had at that moment, those before `skip` counted.
    pub(crate) end: u64,
}

impl Place {
    /// Where the first byte of the file that counts stands, of all that were ever written.
    pub(crate) fn first(&self) -> u64 {
        self.base + self.skip
    }

    /// How many bytes are in the file.
    pub(crate) fn len(&self) -> u64 {
        self.end.saturating_sub(self.skip)
    }

    /// Whether the bytes of the file are where they are there, however many were added.
    pub(crate) fn is_as(&self, other: &Self) -> bool {
        (self.base, self.skip) == (other.base, other.skip)
    }
}

fn head_path(live: &Path) -> PathBuf {
    with_suffix(live, ".head")
}

/// Where a segment is made.
pub(super) fn pending_path(live: &Path) -> PathBuf {
    with_suffix(&numbered(live, 1), ".tmp")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

impl Head {
    /// The state of a log; `None` where it is not (any more) one that its service writes itself.
    fn read(live: &Path, inode: u64) -> Option<Self> {
        // Where another file has its name now, the state is void.
        Self::parse(live).filter(|head| head.inode == inode)
    }

    /// What stands beside a log, whatever file it is about.
    fn parse(live: &Path) -> Option<Self> {
        let text = fs::read_to_string(head_path(live)).ok()?;
        let numbers = text.strip_suffix('\n')?.split(' ').map(str::parse::<u64>);
        let numbers = numbers.collect::<Result<Vec<_>, _>>().ok()?;
        // The inode may be any number; of the others, sums are made.
        if numbers.iter().skip(1).any(|number| *number > LARGEST) {
            return None;
        }
        let (head, cut) = numbers.split_at_checked(2)?;
        Some(Self {
            inode: head[0],
            base: head[1],
            cut: (cut.len() == 2).then(|| (cut[0], cut[1])),
        })
    }

    fn write(self, live: &Path, synced: bool) -> io::Result<()> {
        let path = head_path(live);
        let temporary = with_suffix(&path, ".tmp");
        let (inode, base) = (self.inode, self.base);
        let text = match self.cut {
            Some((start, length)) => format!("{inode} {base} {start} {length}\n"),
            None => format!("{inode} {base}\n"),
        };
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&temporary)?;
        file.write_all(text.as_bytes())?;
        if synced {
            file.sync_all()?;
        }
        fs::rename(temporary, path)
    }

    fn phase(&self, file: &File, live: &Path) -> io::Result<Phase> {
        let Some((start, _)) = self.cut else {
            return Ok(Phase::None);
        };
        let has_data = holes::next_data(file, start)? == Some(start);
        Ok(match (has_data, pending_path(live).exists()) {
            (true, true) => Phase::Begun,
            (false, true) => Phase::Punched,
            (false, false) => Phase::Named,
            (true, false) => Phase::Done,
        })
    }
}

/// Where the bytes of a log are in its file. A log that TSM writes has no state, and begins where its file begins.
pub(crate) fn place(file: &File, live: &Path) -> io::Result<Option<Place>> {
    let inode = file.metadata()?.ino();
    loop {
        fail::moment("place-1-before");
        let Some(head) = Head::read(live, inode) else {
            return Ok(None);
        };
        let phase = head.phase(file, live)?;
        let (start, length) = head.cut.unwrap_or((0, 0));
        let data = holes::next_data(file, 0)?;
        fail::moment("place-2-seen");
        let end = file.metadata()?.len();
        let (skip, base) = match phase {
            Phase::None => (data.unwrap_or(end), head.base),
            Phase::Begun => (start, head.base),
            Phase::Punched | Phase::Named => (start + length, head.base),
            Phase::Done => (0, head.base + length),
        };
        // Seen while it changed, it would be anything. The length is one of these things: taken before or after, it
        // would count a head that is gone.
        if Head::read(live, inode) == Some(head) && head.phase(file, live)? == phase {
            let pending = phase == Phase::Punched;
            return Ok(Some(Place {
                skip,
                base,
                pending,
                end,
            }));
        }
    }
}

/// Whether this log is one that its service writes itself.
pub(crate) fn is_direct(live: &Path) -> bool {
    fs::metadata(live).is_ok_and(|metadata| Head::read(live, metadata.ino()).is_some())
}

/// The file that a service writes itself, where it has its name still: `None` where there is none, or where the state is
/// another one's.
pub(crate) fn its_file(live: &Path) -> Option<FileId> {
    let metadata = fs::metadata(live).ok()?;
    let is_anothers = Head::parse(live).is_some_and(|head| head.inode != metadata.ino());
    (!is_anothers).then(|| FileId::of(&metadata))
}

/// Writes the state of a log anew that somebody removed or damaged; `written` is how much was written into it, as far as that is
/// known. Returns whether there was something to mend.
pub(crate) fn mend(live: &Path, written: u64) -> io::Result<bool> {
    if Head::parse(live).is_some() {
        return Ok(false);
    }
    let metadata = match fs::metadata(live) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        found => found?,
    };
    let pending = pending_path(live);
    if fs::metadata(&pending).is_ok_and(|pending| pending.len() > 0) {
        // How far that cut came is not known: some bytes may be there twice, and none are lost.
        make_room(live, u32::MAX)?;
        fs::rename(pending, numbered(live, 1))?;
    }
    let head = Head {
        inode: metadata.ino(),
        base: written.saturating_sub(metadata.len()),
        cut: None,
    };
    head.write(live, true)?;
    Ok(true)
}

/// Opens a log for its service, and sees to it that nobody else opens it: `echo x > /dev/stderr` would empty it. Root is
/// not kept from that by a mode.
pub(crate) fn open_for_service(live: &Path) -> io::Result<File> {
    let file = open(live, File::options().append(true).create(true))?;
    let inode = file.metadata()?.ino();
    if Head::read(live, inode).is_none() {
        let head = Head {
            inode,
            base: 0,
            cut: None,
        };
        head.write(live, false)?;
    }
    file.set_permissions(fs::Permissions::from_mode(0o400))?;
    Ok(file)
}

/// Adds to a log beside its service: behind what that has written by then.
pub(crate) fn append(live: &Path, bytes: &[u8]) -> io::Result<()> {
    open_for_service(live)?.write_all(bytes)
}

/// Opens a log that may be protected from its own user.
fn open(live: &Path, options: &mut fs::OpenOptions) -> io::Result<File> {
    options.mode(0o600).custom_flags(crate::sys::fd::NONBLOCK);
    let opened = match options.open(live) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // Its mode keeps even its own user from opening it, except for this moment.
            fs::set_permissions(live, fs::Permissions::from_mode(0o600))?;
            let opened = options.open(live);
            // Also where opening failed: the log must not stay open to a `> /dev/stderr`.
            fs::set_permissions(live, fs::Permissions::from_mode(0o400))?;
            opened
        }
        opened => opened,
    };
    let file = opened?;
    crate::sys::only_regular(&file)?;
    Ok(file)
}

/// Makes a log empty, under its writer.
pub(crate) fn empty(live: &Path) -> io::Result<()> {
    open(live, File::options().write(true))?.set_len(0)
}

/// Goes on with a cut that was interrupted.
pub(crate) fn recover(live: &Path) -> io::Result<()> {
    let file = match open(live, File::options().read(true).write(true)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let Some(head) = Head::read(live, file.metadata()?.ino()) else {
        return Ok(());
    };
    let Some((start, length)) = head.cut else {
        // Without a cut on record it was made for one that never began.
        return absent_is_fine(fs::remove_file(pending_path(live)));
    };
    match head.phase(&file, live)? {
        Phase::None => Ok(()),
        Phase::Begun => give_up(live, head),
        Phase::Punched => {
            name_segment(live, &head, start, length)?;
            take_out(&file, live, head, start, length)
        }
        Phase::Named => take_out(&file, live, head, start, length),
        Phase::Done => Head {
            base: head.base + length,
            cut: None,
            ..head
        }
        .write(live, false),
    }
}

/// Undoes a cut of which nothing counts yet.
fn give_up(live: &Path, head: Head) -> io::Result<()> {
    let pending = pending_path(live);
    // The room that it takes is given back first, since the disk may be full. Then in this order:
    // without `.1.tmp` the cut would count as done.
    File::options().write(true).open(&pending)?.set_len(0)?;
    Head { cut: None, ..head }.write(live, true)?;
    fs::remove_file(pending)
}

/// Cuts at most `length` bytes off the head of a log and makes them its newest segment. Whole blocks are cut, and one
/// stays. Returns how many bytes that were. What cannot be done because there is no room is undone.
pub(crate) fn cut(
    live: &Path,
    length: u64,
    keep: u32,
    mut between: impl FnMut(),
) -> io::Result<u64> {
    // An earlier cut that was interrupted would be taken for this one.
    recover(live)?;
    let file = open(live, File::options().read(true).write(true))?;
    let Some((head, start, length)) = what_to_cut(&file, live, length)? else {
        return Ok(0);
    };
    // The oldest would go in any case: all together never take more than they may.
    drop_oldest(live, keep)?;
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut segment = options.open(pending_path(live))?;
    fail::point("cut-1-begun");
    let under_way = Head {
        cut: Some((start, length)),
        ..head
    };
    let copied = under_way.write(live, true).and_then(|()| {
        fail::point("cut-2-intended");
        copy(&file, &mut segment, (start, length), &mut between)
    });
    match copied {
        Ok(true) => {}
        // Somebody has truncated it, so there is nothing left to cut.
        Ok(false) => return give_up(live, head).map(|()| 0),
        Err(error) => {
            give_up(live, head).best_effort("the next cut tries it again, where this fails too");
            return Err(error);
        }
    }
    fail::point("cut-3-copied");
    make_room(live, keep)?;
    fail::point("cut-4-room");
    holes::punch(&file, start, holes::block_size(&file)?)?;
    fail::point("cut-5-punched");
    name_segment(live, &head, start, length)?;
    fail::point("cut-6-named");
    take_out(&file, live, head, start, length)?;
    Ok(length)
}

/// Copies a part of a file, safely. False where the file has no such part any more.
fn copy(
    file: &File,
    to: &mut File,
    (start, length): (u64, u64),
    between: &mut impl FnMut(),
) -> io::Result<bool> {
    let mut block = vec![0; STEP];
    let mut copied = 0;
    while copied < length {
        fail::error("cut-copy")?;
        let most = (length - copied).min(STEP as u64) as usize;
        let n = read_full_at(file, &mut block[..most], start + copied)?;
        if n == 0 {
            return Ok(false);
        }
        to.write_all(&block[..n])?;
        copied += n as u64;
        between();
    }
    // Before the first block is punched: from then on only the segment has these bytes.
    to.sync_all()?;
    Ok(true)
}

/// Drops at most `length` bytes from the head of a log, and all segments: what is older than what is kept.
pub(crate) fn discard(live: &Path, length: u64) -> io::Result<()> {
    recover(live)?;
    remove_segments(live)?;
    let file = open(live, File::options().read(true).write(true))?;
    if let Some((head, start, length)) = what_to_cut(&file, live, length)? {
        // The hole comes first: data without a `.1.tmp` would look like a cut that is done.
        holes::punch(&file, start, holes::block_size(&file)?)?;
        let under_way = Head {
            cut: Some((start, length)),
            ..head
        };
        under_way.write(live, true)?;
        take_out(&file, live, head, start, length)?;
    }
    Ok(())
}

/// Where a cut begins and how long it is: whole blocks, and one is left.
fn what_to_cut(file: &File, live: &Path, length: u64) -> io::Result<Option<(Head, u64, u64)>> {
    let metadata = file.metadata()?;
    let Some(head) = Head::read(live, metadata.ino()) else {
        return Ok(None);
    };
    let block = holes::block_size(file)?;
    let Some(start) = holes::next_data(file, 0)? else {
        return Ok(None);
    };
    let start = start / block * block;
    // One byte is left at least, so that a block with data marks where the log begins.
    let most = metadata.len().saturating_sub(start + 1).min(length);
    let length = most / block * block;
    Ok((length > 0).then_some((head, start, length)))
}

/// Whether there is so much in a log that something can be cut off: one block stays.
pub(crate) fn can_be_cut(live: &Path) -> io::Result<bool> {
    let file = match open(live, File::options().read(true)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    Ok(what_to_cut(&file, live, u64::MAX)?.is_some())
}

/// When the first byte came of those that can be cut off a log; `None` where there are none, or nobody noted it.
pub(crate) fn first_time(live: &Path) -> Option<u64> {
    let file = crate::sys::open_without_waiting(live).ok()?;
    what_to_cut(&file, live, u64::MAX).ok()??;
    let first = place(&file, live).ok()??.first();
    Index::load(&index_path(live)).time_of(first)
}

/// Gives a segment its name, and the times of its bytes.
fn name_segment(live: &Path, head: &Head, start: u64, length: u64) -> io::Result<()> {
    // After an interruption it may be taken, by nothing but an older one.
    make_room(live, u32::MAX)?;
    let path = numbered(live, 1);
    let first = head.base + start;
    if let Err(error) = index::copy_part(live, &index_path(&path), first, length) {
        // Lines without a time are still lines.
        if error.kind() == io::ErrorKind::StorageFull {
            absent_is_fine(fs::remove_file(index_path(&path)))?;
        }
    }
    fs::rename(pending_path(live), path)
}

/// Takes bytes out of the log that a segment has.
fn take_out(file: &File, live: &Path, head: Head, start: u64, length: u64) -> io::Result<()> {
    let collapsed = start == 0 && holes::collapse(file, 0, length)?;
    if !collapsed {
        holes::punch(file, start, length)?;
    }
    fail::point("cut-7-taken-out");
    // Where blocks were only punched, the offsets stay as they are.
    let base = head.base + if collapsed { length } else { 0 };
    Head {
        base,
        cut: None,
        ..head
    }
    .write(live, false)
}

/// Makes a log one that TSM writes: its file begins with its first byte, and there is no state. Nobody writes into it.
pub(crate) fn leave(live: &Path) -> io::Result<()> {
    recover(live)?;
    let file = match open(live, File::options().read(true).write(true)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return absent_is_fine(fs::remove_file(head_path(live)));
        }
        opened => opened?,
    };
    let place = place(&file, live)?.unwrap_or_default();
    // The times are counted by position, and the copy begins at 0.
    index::shift(live, place.first())?;
    fs::set_permissions(live, fs::Permissions::from_mode(0o600))?;
    if place.skip > 0 {
        let temporary = with_suffix(live, ".tmp");
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut copy = options.open(&temporary)?;
        let mut source = &file;
        io::Seek::seek(&mut source, io::SeekFrom::Start(place.skip))?;
        io::copy(&mut source, &mut copy)?;
        copy.sync_all()?;
        // From here on the state is void: it names the inode of the file before.
        fs::rename(temporary, live)?;
    }
    absent_is_fine(fs::remove_file(head_path(live)))
}

/// Removes what stands beside such a log.
pub(crate) fn remove_state(live: &Path) -> io::Result<()> {
    absent_is_fine(fs::remove_file(pending_path(live)))?;
    absent_is_fine(fs::remove_file(head_path(live)))
}
