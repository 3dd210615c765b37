//! What changes the files of a log: rotation, removal of what is too old or too much, emptying.
//!
//! Only the supervisor calls this, the holder of the home's lock; of one log at a time one thread. Everything is done by
//! renames, each of which leaves a log that is whole: a rotation that was interrupted leaves a number free, and the next
//! one moves segments only up to there.

mod indexes;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indexes::give_back_index;
pub(crate) use indexes::{begin_index, finish_rotation, note_beginning, written_up_to};

use super::index::{heading, index_path};
use super::segments::{FileId, GAP, compressed_path, is_packed_from, numbered};
use crate::fail;
use crate::spec::LogRules;
use crate::sys::clock;

/// Makes the live file the newest segment, `.1`; what was `.1` becomes `.2`, and so on. There is no live file then.
///
/// With nothing to be kept, the live file is removed.
pub(crate) fn rotate(live: &Path, keep: u32) -> io::Result<()> {
    if keep == 0 {
        absent_is_fine(fs::remove_file(index_path(live)))?;
        return absent_is_fine(fs::remove_file(live));
    }
    make_room(live, keep)?;
    fail::point("rotate-2-room");
    fail::error("rotate-rename")?;
    fs::rename(live, numbered(live, 1))?;
    fail::point("rotate-3-renamed");
    // The log first: an index that is left behind is moved later, see `finish_rotation`.
    absent_is_fine(fs::rename(index_path(live), index_path(&numbered(live, 1))))?;
    fail::point("rotate-4-done");
    Ok(())
}

/// Frees the number 1. Where all numbers up to `keep` are taken, the oldest segment goes.
pub(crate) fn make_room(live: &Path, keep: u32) -> io::Result<()> {
    let mut number = 1;
    while number <= keep && is_taken(live, number) {
        separate(live, number, keep)?;
        number += 1;
    }
    free_number(live, 1, keep)
}

/// Gives a number to each of two segments that bear the same one: another program, which knows nothing of compressed
/// segments, has renamed a log to the number of one. That one is older, and goes behind all that are newer than it.
fn separate(live: &Path, number: u32, keep: u32) -> io::Result<()> {
    let plain = numbered(live, number);
    let packed = compressed_path(&plain);
    if !bears_two(&plain) {
        return Ok(());
    }
    let last_byte = fs::metadata(&packed)?.modified()?;
    let is_newer = |found: &fs::Metadata| found.modified().is_ok_and(|time| time > last_byte);
    let newer = present(live)
        .skip_while(|(other, _)| *other <= number)
        .take_while(|(_, found)| is_newer(found));
    let behind = newer.last().map_or(number, |(last, _)| last) + 1;
    if behind > keep {
        return fs::remove_file(packed);
    }
    free_number(live, behind, keep)?;
    let behind = numbered(live, behind);
    fs::rename(packed, compressed_path(&behind))?;
    absent_is_fine(fs::rename(index_path(&plain), index_path(&behind)))
}

/// Whether there is a compressed segment beside a plain one that was not made of it.
fn bears_two(plain: &Path) -> bool {
    let packed = compressed_path(plain);
    packed.exists() && fs::metadata(plain).is_ok_and(|metadata| !is_packed_from(&packed, &metadata))
}

/// Frees a number. Where all numbers from it up to `keep` are taken, the oldest segment goes.
fn free_number(live: &Path, first: u32, keep: u32) -> io::Result<()> {
    let mut free = first;
    while free <= keep && is_taken(live, free) {
        free += 1;
    }
    if free > keep {
        remove_segment(live, keep)?;
        free = keep;
        fail::point("rotate-1-removed");
    }
    give_back_index(live, free)?;
    // From the highest down, so that no rename lands on a segment.
    for number in (first..free).rev() {
        let (from, to) = (numbered(live, number), numbered(live, number + 1));
        let (packed, packed_to) = (compressed_path(&from), compressed_path(&to));
        if packed.exists() && !bears_two(&from) {
            // The compressed one is complete, and the plain one that it was made of has just not been
            // removed yet.
            absent_is_fine(fs::remove_file(&from))?;
        }
        absent_is_fine(fs::rename(&from, &to))?;
        absent_is_fine(fs::rename(&packed, &packed_to))?;
        fail::point("rotate-shift");
        absent_is_fine(fs::rename(index_path(&from), index_path(&to)))?;
    }
    Ok(())
}

/// Removes the segment for which there will be no number any more when another one comes, if there is one.
pub(crate) fn drop_oldest(live: &Path, keep: u32) -> io::Result<()> {
    if keep > 0 && (1..=keep).all(|number| is_taken(live, number)) {
        remove_segment(live, keep)?;
    }
    Ok(())
}

/// Removes the oldest segments: those beyond `keep`, those whose last byte is older than the rules allow, and those that
/// make all together larger than `keep` segments of the size that they should have; but the newest one is never too large,
/// since a line may end beyond that size. `live_len` is the length of the live file. Returns whether anything was removed.
pub(crate) fn prune(live: &Path, live_len: u64, rules: &LogRules) -> io::Result<bool> {
    // The live file may still grow to its full size.
    let mut total = live_len.max(rules.max_size);
    let bound = rules.max_size.saturating_mul(u64::from(rules.keep) + 1);
    // From the newest to the oldest: once one goes, all older ones go.
    let mut going = false;
    let mut gone = Vec::new();
    for (number, found) in present(live) {
        total = total.saturating_add(found.len());
        let is_too_much = total > bound && number > 1;
        going |= number > rules.keep || is_too_much || is_too_old(&found, rules);
        if going {
            gone.push(number);
        }
    }
    // The oldest first: an interruption leaves no gap in the middle.
    for number in gone.iter().rev() {
        remove_segment(live, *number)?;
    }
    Ok(!gone.is_empty())
}

/// The segments that there are, compressed or not, the newest first. The directory is not read: it may be large.
fn present(live: &Path) -> impl Iterator<Item = (u32, fs::Metadata)> {
    let mut absent = 0;
    let look = move |number| {
        let plain = numbered(live, number);
        let found = fs::metadata(&plain).or_else(|_| fs::metadata(compressed_path(&plain)));
        absent = if found.is_ok() { 0 } else { absent + 1 };
        (absent <= GAP).then_some((number, found.ok()))
    };
    (1..)
        .map_while(look)
        .filter_map(|(number, found)| Some((number, found?)))
}

fn is_too_old(found: &fs::Metadata, rules: &LogRules) -> bool {
    let age = clock::age_of(found);
    rules.max_age_ms > 0 && age.is_some_and(|age| age > Duration::from_millis(rules.max_age_ms))
}

/// How long ago, in milliseconds, the oldest segment got its last byte.
pub(crate) fn age_of_oldest(live: &Path) -> Option<u64> {
    let (_, oldest) = present(live).last()?;
    Some(clock::age_of(&oldest)?.as_millis() as u64)
}

/// Whether a log has segments.
pub(crate) fn has_segments(live: &Path) -> bool {
    present(live).next().is_some()
}

/// Removes all segments of a log, the oldest first. The live file stays.
pub(crate) fn remove_segments(live: &Path) -> io::Result<()> {
    let numbers: Vec<u32> = present(live).map(|(number, _)| number).collect();
    numbers
        .into_iter()
        .rev()
        .try_for_each(|number| remove_segment(live, number))
}

/// Removes a log with all that belongs to it.
pub(crate) fn remove_log(live: &Path) -> io::Result<()> {
    // The live file goes last: as long as it is there, the log is found and can be removed again.
    remove_segments(live)?;
    super::direct::remove_state(live)?;
    absent_is_fine(fs::remove_file(index_path(live)))?;
    absent_is_fine(fs::remove_file(live))
}

/// Removes a segment, compressed or not, with its index.
fn remove_segment(live: &Path, number: u32) -> io::Result<()> {
    let plain = numbered(live, number);
    // The compressed one first, since it counts where both are there.
    absent_is_fine(fs::remove_file(compressed_path(&plain)))?;
    absent_is_fine(fs::remove_file(&plain))?;
    absent_is_fine(fs::remove_file(index_path(&plain)))
}

/// The path that a plain segment has now, by what it is.
pub(crate) fn find_segment(live: &Path, id: &FileId) -> Option<PathBuf> {
    let found = present(live).find(|(_, metadata)| FileId::of(metadata) == *id);
    found.map(|(number, _)| numbered(live, number))
}

/// The oldest segment that is not compressed, of those that TSM made: they have an index, and that is not marked. What another
/// program renamed is left as it is, since that would not find it again.
pub(crate) fn oldest_plain(live: &Path) -> Option<PathBuf> {
    let plain = present(live).map(|(number, _)| numbered(live, number));
    let is_made = |index: &Path| index.exists() && !heading::is_marked(index);
    let is_ours = |path: &PathBuf| path.exists() && is_made(&index_path(path)) && !bears_two(path);
    plain.filter(is_ours).last()
}

/// Puts a compressed segment, complete and synced, in the place of the plain one that it was made of. Where that is gone
/// (too old by now, say), it is removed.
pub(crate) fn replace_by_packed(live: &Path, id: &FileId, packed: &Path) -> io::Result<()> {
    let Some(plain) = find_segment(live, id) else {
        return fs::remove_file(packed);
    };
    // Another program has renamed it to the number of another compressed one meanwhile: it stays as it is.
    if bears_two(&plain) {
        return fs::remove_file(packed);
    }
    // For a moment there are both, and the compressed one counts: it is complete.
    fs::rename(packed, compressed_path(&plain))?;
    fail::point("pack-2-renamed");
    fs::remove_file(plain)
}

fn is_taken(live: &Path, number: u32) -> bool {
    let plain = numbered(live, number);
    plain.exists() || compressed_path(&plain).exists()
}

pub(crate) fn absent_is_fine(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// Whether two names are the same file.
pub(crate) fn same_file(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    struct Logs(tempfile::TempDir);

    impl Logs {
        fn new(files: &[(&str, &str)]) -> Self {
            let logs = Self(tempfile::tempdir().unwrap());
            for (name, text) in files {
                fs::write(logs.path(name), text).unwrap();
            }
            logs
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// Compresses a segment, and leaves it beside that.
        fn pack(&self, name: &str) {
            let plain = fs::File::open(self.path(name)).unwrap();
            let mut packed = fs::File::create(compressed_path(&self.path(name))).unwrap();
            crate::logs::packed::pack(&plain, &mut packed, || Ok(())).unwrap();
        }

        fn text(&self, name: &str) -> String {
            let bytes = fs::read(self.path(name)).unwrap();
            let bytes = zstd::decode_all(&bytes[..]).unwrap_or(bytes);
            String::from_utf8(bytes).unwrap()
        }

        fn all(&self) -> Vec<(String, String)> {
            let mut all: Vec<_> = fs::read_dir(self.0.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .map(|name| (name.clone(), self.text(&name)))
                .collect();
            all.sort();
            all
        }

        #[track_caller]
        fn hold(&self, expected: &[(&str, &str)]) {
            let mut expected: Vec<_> = expected
                .iter()
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                .collect();
            expected.sort();
            assert_eq!(self.all(), expected);
        }
    }

    fn rules(keep: u32, max_size: u64) -> LogRules {
        LogRules {
            max_size,
            keep,
            ..LogRules::default()
        }
    }

    #[test]
    fn two_segments_of_one_number_both_stay_in_their_order() {
        let logs = Logs::new(&[
            ("a", "5\n"),
            ("a.1", "4\n"),
            ("a.2", "3\n"),
            ("a.1.zst", "2\n"),
            ("a.1.idx", "2"),
            ("a.2.zst", "1\n"),
        ]);
        for (name, age) in [("a.1", 10), ("a.2", 20), ("a.1.zst", 30), ("a.2.zst", 40)] {
            let mut options = fs::File::options();
            let file = options.write(true).open(logs.path(name)).unwrap();
            let modified = UNIX_EPOCH + Duration::from_secs(1000 - age);
            file.set_modified(modified).unwrap();
        }
        rotate(&logs.path("a"), 9).unwrap();
        logs.hold(&[
            ("a.1", "5\n"),
            ("a.2", "4\n"),
            ("a.3", "3\n"),
            ("a.4.zst", "2\n"),
            ("a.4.idx", "2"),
            ("a.5.zst", "1\n"),
        ]);
    }

    #[test]
    fn everything_moves_up_and_the_oldest_goes() {
        let logs = Logs::new(&[
            ("a", "0"),
            ("a.idx", "i0"),
            ("a.1", "1"),
            ("a.1.idx", "i1"),
            ("a.2", "2"),
            ("a.2.idx", "i2"),
            ("a.3.zst", "3"),
            ("a.3.idx", "i3"),
        ]);
        logs.pack("a.2");
        rotate(&logs.path("a"), 3).unwrap();
        logs.hold(&[
            ("a.1", "0"),
            ("a.1.idx", "i0"),
            ("a.2", "1"),
            ("a.2.idx", "i1"),
            ("a.3.idx", "i2"),
            ("a.3.zst", "2"),
        ]);
    }

    #[test]
    fn what_was_interrupted_is_gone_on_with() {
        // `.1` had become `.2`, and its index was to follow.
        let logs = Logs::new(&[
            ("a", "0"),
            ("a.idx", "i0"),
            ("a.1.idx", "i1"),
            ("a.2", "1"),
            ("a.3", "2"),
            ("a.3.idx", "i2"),
        ]);
        rotate(&logs.path("a"), 9).unwrap();
        logs.hold(&[
            ("a.1", "0"),
            ("a.1.idx", "i0"),
            ("a.2", "1"),
            ("a.2.idx", "i1"),
            ("a.3", "2"),
            ("a.3.idx", "i2"),
        ]);
        // The live file had become `.1`, and its index was to follow.
        let logs = Logs::new(&[("a.1", "0"), ("a.idx", "i0"), ("a.2", "1")]);
        finish_rotation(&logs.path("a")).unwrap();
        logs.hold(&[("a.1", "0"), ("a.1.idx", "i0# renamed\n"), ("a.2", "1")]);
    }

    #[test]
    fn nothing_to_keep_is_nothing_kept() {
        let logs = Logs::new(&[("a", "0"), ("a.idx", "i0"), ("a.1", "1")]);
        rotate(&logs.path("a"), 0).unwrap();
        prune(&logs.path("a"), 0, &rules(0, 100)).unwrap();
        logs.hold(&[]);
    }

    #[test]
    fn the_oldest_go_where_there_are_too_many_or_too_much() {
        let files = [
            ("a.1", "11111"),
            ("a.2.zst", "2"),
            ("a.2.idx", "i"),
            ("a.3", "33333"),
            ("a.4", "4"),
        ];
        let logs = Logs::new(&files);
        assert!(prune(&logs.path("a"), 3, &rules(3, 100)).unwrap());
        logs.hold(&files[..4]);
        assert!(!prune(&logs.path("a"), 3, &rules(3, 100)).unwrap());
        // Three of 3 bytes and a live one of 3 are 12 bytes; the live one has 6 already.
        assert!(prune(&logs.path("a"), 6, &rules(3, 3)).unwrap());
        logs.hold(&files[..3]);
        // What was rotated just now stays, however large.
        assert!(prune(&logs.path("a"), 6, &rules(3, 1)).unwrap());
        logs.hold(&files[..1]);
        assert!(!prune(&logs.path("a"), 6, &rules(3, 1)).unwrap());
    }

    #[test]
    fn what_is_too_old_goes() {
        let logs = Logs::new(&[("a", "0"), ("a.1", "1"), ("a.2", "2"), ("a.3", "3")]);
        let old = UNIX_EPOCH + Duration::from_millis(clock::unix_ms() - 100_000);
        let file = fs::File::options()
            .write(true)
            .open(logs.path("a.2"))
            .unwrap();
        file.set_modified(old).unwrap();
        let rules = LogRules {
            max_age_ms: 50_000,
            ..rules(9, 100)
        };
        prune(&logs.path("a"), 1, &rules).unwrap();
        logs.hold(&[("a", "0"), ("a.1", "1")]);
    }
}
