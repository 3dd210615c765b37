//! Logs on a real file system: what `tail` gives, and what a follower does not lose.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::index::{index_path, note_line};
use super::*;

/// How long a test waits for what must come.
const LONG: Duration = Duration::from_secs(30);

/// A time-out for what must not come.
const NONE: Option<Duration> = Some(Duration::ZERO);

struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let mut options = OpenOptions::new();
        let mut file = options
            .append(true)
            .create(true)
            .open(self.path(name))
            .unwrap();
        file.write_all(bytes.as_ref()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// Writes the index of a log by pairs of offset and time.
    fn notes(&self, log: &str, notes: &[(u64, u64)]) {
        let text: String = notes
            .iter()
            .map(|(offset, ms)| note_line(*offset, *ms))
            .collect();
        fs::write(index_path(&self.path(log)), text).unwrap();
    }

    fn source(&self, name: &str) -> Source {
        Source {
            name: name.to_owned(),
            out: Some(self.path(&format!("{name}.out"))),
            err: Some(self.path(&format!("{name}.err"))),
        }
    }

    fn tail(&self, names: &[&str], lines: Option<usize>) -> Vec<Line> {
        let sources: Vec<_> = names.iter().map(|name| self.source(name)).collect();
        tail(&sources, lines)
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    }

    fn follow(&self, names: &[&str]) -> Follower {
        let sources: Vec<_> = names.iter().map(|name| self.source(name)).collect();
        tail_and_follow(&sources, Some(0)).unwrap().1
    }
}

fn texts(lines: &[Line]) -> Vec<String> {
    let text = |line: &Line| {
        let text = String::from_utf8_lossy(&line.bytes).into_owned();
        if line.complete { text } else { text + "…" }
    };
    lines.iter().map(text).collect()
}

fn numbered(before: &str, numbers: std::ops::Range<usize>, after: &str) -> String {
    let mut text = String::new();
    for number in numbers {
        text.push_str(before);
        text.push_str(&number.to_string());
        text.push_str(after);
    }
    text
}

fn bytes_of<'a>(lines: impl IntoIterator<Item = &'a Line>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        bytes.extend_from_slice(&line.bytes);
        bytes.extend(line.complete.then_some(b'\n'));
    }
    bytes
}

/// Takes batches until there are `n` lines, and looks whether there is one too many.
fn take(follower: &mut Follower, n: usize) -> Vec<Line> {
    let deadline = Instant::now() + LONG;
    let mut lines = Vec::new();
    while lines.len() < n {
        let left = deadline.saturating_duration_since(Instant::now());
        let batch = follower.next_batch(Some(left)).unwrap();
        assert!(!batch.is_empty(), "got only {:?}", texts(&lines));
        lines.extend(batch);
    }
    lines.extend(follower.next_batch(NONE).unwrap());
    assert_eq!(lines.len(), n, "got {:?}", texts(&lines));
    lines
}

fn take_texts(follower: &mut Follower, n: usize) -> Vec<String> {
    texts(&take(follower, n))
}

// What `tail` gives.

#[test]
fn a_log_that_is_not_there_is_empty() {
    let logs = Fixture::new();
    assert!(logs.tail(&["a"], None).is_empty());
    assert!(logs.tail(&["a", "none/a"], Some(20)).is_empty());
    assert!(logs.tail(&[], None).is_empty());
    logs.write("a.out", "");
    assert!(logs.tail(&["a"], Some(20)).is_empty());
}

#[test]
fn streams_and_sources_are_merged_by_time_and_counted_together() {
    let logs = Fixture::new();
    logs.write("a.out", "a1\na2\na4\n");
    logs.notes("a.out", &[(0, 1000), (3, 2000), (6, 4000)]);
    logs.write("a.err", "e2\ne3\n");
    logs.notes("a.err", &[(0, 2000), (3, 3000)]);
    logs.write("b.out", "b2\nb5\n");
    logs.notes("b.out", &[(0, 2000), (3, 5000)]);
    let all = logs.tail(&["a", "b"], None);
    assert_eq!(texts(&all), ["a1", "a2", "b2", "e2", "e3", "a4", "b5"]);
    assert_eq!(all[3].stream, Stream::Err);
    assert_eq!((all[6].source, all[6].time_ms), (1, Some(5000)));
    for n in 0..9 {
        assert_eq!(
            logs.tail(&["a", "b"], Some(n)),
            all[all.len().saturating_sub(n)..]
        );
    }
}

#[test]
fn lines_without_a_time_stay_behind_the_line_before_or_come_first() {
    let logs = Fixture::new();
    logs.write("a.out.2", "a1\n");
    logs.notes("a.out.2", &[(0, 1000)]);
    logs.write("a.out.1", "a-\n");
    logs.write("a.out", "a3\n");
    logs.notes("a.out", &[(0, 3000)]);
    logs.write("b.out", "b2\n");
    logs.notes("b.out", &[(0, 2000)]);
    logs.write("c.out", "c-\n");
    let all = logs.tail(&["a", "b", "c"], None);
    assert_eq!(texts(&all), ["c-", "a1", "a-", "b2", "a3"]);
    assert_eq!(all[2].time_ms, None);
}

#[test]
fn the_order_of_the_file_is_kept_when_the_clock_is_set_back() {
    let logs = Fixture::new();
    logs.write("a.out", "a1\na2\na3\n");
    logs.notes("a.out", &[(0, 1000), (3, 9000), (6, 2000)]);
    logs.write("b.out", "b1\nb2\n");
    logs.notes("b.out", &[(0, 1500), (3, 2500)]);
    let all = logs.tail(&["a", "b"], None);
    assert_eq!(texts(&all), ["a1", "b1", "a2", "a3", "b2"]);
    assert_eq!(all[2].time_ms, Some(9000));
    assert_eq!(logs.tail(&["a", "b"], Some(2)), all[3..]);
}

#[test]
fn long_lines_and_any_bytes_survive() {
    let logs = Fixture::new();
    let mut bytes = b"\xff\0\r\n\n\x1b[0m\n".to_vec();
    bytes.resize(10_000_000, b'x');
    bytes.extend_from_slice(b"\nlast");
    logs.write("a.out", &bytes);
    let lines = logs.tail(&["a"], Some(2));
    assert_eq!(lines[0].bytes.len(), 10_000_000 - 10);
    assert_eq!(texts(&lines[1..]), ["last…"]);
    assert_eq!(bytes_of(&logs.tail(&["a"], None)), bytes);
}

#[test]
fn the_last_lines_of_a_huge_log_cost_little() {
    let logs = Fixture::new();
    let mut huge = File::create(logs.path("a.out")).unwrap();
    huge.set_len(200 << 20).unwrap();
    drop(huge);
    let lines = numbered("\nline ", 0..100, "");
    logs.append("a.out", &lines);
    let notes: Vec<_> = (0..200_000).map(|i| (i * 1000, i)).collect();
    logs.notes("a.out", &notes);
    huge = File::create(logs.path("a.out.1")).unwrap();
    huge.set_len(200 << 20).unwrap();
    let mut last = tail(&[logs.source("a")], Some(20)).unwrap();
    assert_eq!(last.by_ref().count(), 20);
    // The block at the end of the log, read backwards and forwards, and those of the index.
    assert!(last.bytes_read() < 64 * 1024, "{}", last.bytes_read());
}

#[test]
fn what_cannot_be_read_is_an_error_with_its_path() {
    use std::os::unix::fs::PermissionsExt;
    let logs = Fixture::new();
    logs.write("a.out", "a\n");
    let path = logs.path("a.out");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser may read it all the same.
    if File::open(&path).is_err() {
        let error = tail(&[logs.source("a")], None).unwrap_err();
        assert!(error.to_string().contains("a.out"));
    }
    fs::create_dir(logs.path("b.out")).unwrap();
    let error = tail(&[logs.source("b")], None).unwrap_err();
    assert!(matches!(error, LogError::NotAFile { path } if path == logs.path("b.out")));
}

#[test]
fn a_log_that_changes_while_it_is_read_ends_early_at_worst() {
    let logs = Fixture::new();
    let text = numbered("line ", 0..100_000, "\n");
    logs.write("a.out.1", &text);
    logs.write("a.out", &text);
    let mut reading = tail(&[logs.source("a")], None).unwrap();
    assert_eq!(reading.next().unwrap().unwrap().bytes, b"line 0");
    fs::remove_file(logs.path("a.out.1")).unwrap();
    logs.write("a.out", "short\n");
    for line in reading {
        line.unwrap();
    }
    let reading = tail(&[logs.source("a")], None).unwrap();
    logs.rename("a.out", "a.out.1");
    assert_eq!(
        texts(&reading.collect::<Result<Vec<_>, _>>().unwrap()),
        ["short"]
    );
}

prop_compose! {
    /// Bytes of one stream with newlines among them, in segments, with an index or without.
    fn arbitrary_log()(
        bytes in prop::collection::vec(prop_oneof![3 => Just(b'\n'), 7 => any::<u8>()], 0..60),
        cuts in prop::collection::vec(0usize..60, 0..4),
        notes in prop::collection::vec((0u64..40, 0u64..20), 0..12),
        indexed in prop::collection::vec(any::<bool>(), 5),
    ) -> (Vec<Vec<u8>>, Vec<(u64, u64)>, Vec<bool>) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let segments = cuts.windows(2).map(|cut| bytes[cut[0]..cut[1]].to_vec()).collect();
        (segments, notes, indexed)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn nothing_is_lost_and_the_last_lines_are_the_last_of_all(
        written in prop::collection::vec(arbitrary_log(), 4),
        n in 0usize..40,
    ) {
        let logs = Fixture::new();
        let streams = ["a.out", "a.err", "b.out", "b.err"];
        for (live, (segments, notes, indexed)) in streams.iter().zip(&written) {
            for (number, segment) in segments.iter().rev().enumerate() {
                let name = if number == 0 { (*live).to_owned() } else { format!("{live}.{number}") };
                logs.write(&name, segment);
                if indexed[number] {
                    logs.notes(&name, notes);
                }
            }
        }
        let all = logs.tail(&["a", "b"], None);
        for (number, (segments, ..)) in written.iter().enumerate() {
            let stream = [Stream::Out, Stream::Err][number % 2];
            let of = |line: &&Line| line.source == number / 2 && line.stream == stream;
            prop_assert_eq!(bytes_of(all.iter().filter(of)), segments.concat());
        }
        let last = logs.tail(&["a", "b"], Some(n));
        prop_assert_eq!(&last[..], &all[all.len().saturating_sub(n)..]);

        // With a follower the unfinished lines are the follower's.
        let sources = [logs.source("a"), logs.source("b")];
        let (tail, mut follower) = tail_and_follow(&sources, None).unwrap();
        let mut both: Vec<_> = tail.collect::<Result<_, _>>().unwrap();
        prop_assert!(both.iter().all(|line| line.complete));
        prop_assert!(follower.next_batch(NONE).unwrap().is_empty());
        both.extend(follower.flush_partial());
        for (number, (segments, ..)) in written.iter().enumerate() {
            let stream = [Stream::Out, Stream::Err][number % 2];
            let of = |line: &&Line| line.source == number / 2 && line.stream == stream;
            prop_assert_eq!(bytes_of(both.iter().filter(of)), segments.concat());
        }
    }
}

// What a follower gives.

#[test]
fn gives_what_is_appended_line_by_line() {
    let logs = Fixture::new();
    logs.write("a.out", "old\nhalf ");
    let (tail, mut follower) = tail_and_follow(&[logs.source("a")], Some(5)).unwrap();
    assert_eq!(
        texts(&tail.map(Result::unwrap).collect::<Vec<_>>()),
        ["old"]
    );
    assert!(follower.next_batch(NONE).unwrap().is_empty());
    logs.append("a.out", "whole\nnew\nprompt> ");
    assert_eq!(take_texts(&mut follower, 2), ["half whole", "new"]);
    assert_eq!(texts(&follower.flush_partial()), ["prompt> …"]);
    assert!(follower.flush_partial().is_empty());
    logs.append("a.out", "yes\n");
    assert_eq!(take_texts(&mut follower, 1), ["yes"]);
}

#[test]
fn an_unfinished_line_over_two_segments_is_one_line() {
    let logs = Fixture::new();
    logs.write("a.out.1", "one\ntw");
    logs.write("a.out", "o, th");
    let mut follower = logs.follow(&["a"]);
    logs.append("a.out", "ree\n");
    assert_eq!(take_texts(&mut follower, 1), ["two, three"]);
}

#[test]
fn what_is_written_between_tail_and_follow_is_given_once() {
    let logs = Fixture::new();
    logs.write("a.out", "1\n");
    let (tail, mut follower) = tail_and_follow(&[logs.source("a")], None).unwrap();
    logs.append("a.out", "2\n");
    logs.rename("a.out", "a.out.1");
    logs.append("a.out", "3\n");
    assert_eq!(texts(&tail.map(Result::unwrap).collect::<Vec<_>>()), ["1"]);
    assert_eq!(take_texts(&mut follower, 2), ["2", "3"]);
}

#[test]
fn waits_for_a_log_that_is_not_there_yet() {
    let logs = Fixture::new();
    let mut follower = logs.follow(&["a"]);
    assert!(follower.next_batch(NONE).unwrap().is_empty());
    logs.write("a.err", "first\n");
    assert_eq!(take_texts(&mut follower, 1), ["first"]);
    logs.append("a.err", "second\n");
    assert_eq!(take_texts(&mut follower, 1), ["second"]);
}

#[test]
fn begins_again_after_truncation() {
    let logs = Fixture::new();
    logs.write("a.out", "one\ntwo\nthree");
    let mut follower = logs.follow(&["a"]);
    File::options()
        .write(true)
        .open(logs.path("a.out"))
        .unwrap()
        .set_len(0)
        .unwrap();
    assert_eq!(take_texts(&mut follower, 1), ["three…"]);
    logs.append("a.out", "new\n");
    assert_eq!(take_texts(&mut follower, 1), ["new"]);
}

#[test]
fn finishes_the_old_file_before_the_new_one() {
    let logs = Fixture::new();
    logs.write("a.out", "");
    let mut follower = logs.follow(&["a"]);
    logs.append("a.out", "1\n2");
    logs.rename("a.out", "a.out.1");
    // The writer has not opened the new file yet.
    assert_eq!(take_texts(&mut follower, 1), ["1"]);
    logs.append("a.out.1", "2\n3");
    assert_eq!(take_texts(&mut follower, 1), ["22"]);
    logs.append("a.out", "4\n");
    assert_eq!(take_texts(&mut follower, 2), ["3…", "4"]);
    logs.append("a.out", "5\n");
    assert_eq!(take_texts(&mut follower, 1), ["5"]);
}

#[test]
fn rotations_that_were_missed_lose_nothing() {
    let logs = Fixture::new();
    logs.write("a.out.1", "old\n");
    logs.write("a.out", "1\n");
    let mut follower = logs.follow(&["a"]);
    for text in ["2\n", "3\n", "4\n"] {
        for number in (1..5).rev() {
            let from = format!("a.out.{number}");
            if logs.path(&from).exists() {
                logs.rename(&from, &format!("a.out.{}", number + 1));
            }
        }
        logs.rename("a.out", "a.out.1");
        logs.append("a.out", text);
    }
    assert_eq!(take_texts(&mut follower, 3), ["2", "3", "4"]);
    assert!(follower.next_batch(NONE).unwrap().is_empty());
}

#[test]
fn goes_on_after_removal_and_creation() {
    let logs = Fixture::new();
    logs.write("a.out.1", "older\n");
    logs.write("a.out", "1\nhalf");
    let mut follower = logs.follow(&["a"]);
    fs::remove_file(logs.path("a.out")).unwrap();
    assert_eq!(take_texts(&mut follower, 1), ["half…"]);
    logs.write("a.out", "new\n");
    assert_eq!(take_texts(&mut follower, 1), ["new"]);
    let replacement = logs.path("x.tmp");
    fs::write(&replacement, "replaced\n").unwrap();
    logs.rename("x.tmp", "a.out");
    assert_eq!(take_texts(&mut follower, 1), ["replaced"]);
}

#[test]
fn the_end_of_the_directory_is_the_end() {
    let logs = Fixture::new();
    fs::create_dir(logs.path("logs")).unwrap();
    logs.write("logs/a.out", "1\n");
    let mut follower = logs.follow(&["logs/a"]);
    logs.append("logs/a.out", "2\n");
    fs::remove_dir_all(logs.path("logs")).unwrap();
    assert_eq!(texts(&follower.next_batch(Some(LONG)).unwrap()), ["2"]);
    let error = follower.next_batch(Some(LONG)).unwrap_err();
    assert!(matches!(error, LogError::DirectoryGone { path } if path == logs.path("logs")));
    assert!(tail_and_follow(&[logs.source("logs/a")], None).is_err());
}

#[test]
fn lines_have_times_and_are_merged_in_a_batch() {
    let logs = Fixture::new();
    logs.write("a.out", "0\n");
    logs.notes("a.out", &[(0, 1000)]);
    let mut follower = logs.follow(&["a", "b"]);
    logs.append("a.out.idx", note_line(2, 2000) + &note_line(4, 4000));
    logs.append("a.out", "2\n4\n");
    logs.append("b.out.idx", note_line(0, 3000));
    logs.append("b.out", "3\n");
    logs.append("b.err", "-\n");
    let lines = take(&mut follower, 4);
    let times: Vec<_> = lines.iter().map(|line| line.time_ms).collect();
    assert_eq!(times, [None, Some(2000), Some(3000), Some(4000)]);

    // Rotation: the index of the file before stands there still, and is not believed.
    logs.rename("a.out", "a.out.1");
    logs.append("a.out", "5\n");
    assert_eq!(take(&mut follower, 1)[0].time_ms, None);
    logs.rename("a.out.idx", "a.out.1.idx");
    logs.append("a.out.idx", note_line(0, 5000) + &note_line(2, 6000));
    logs.append("a.out", "6\n");
    assert_eq!(take(&mut follower, 1)[0].time_ms, Some(6000));
}

#[test]
fn one_log_shown_twice_is_given_twice() {
    let logs = Fixture::new();
    logs.write("a.out", "");
    let mut follower = logs.follow(&["a", "a"]);
    logs.append("a.out", "x\n");
    let lines = take(&mut follower, 2);
    assert_eq!((lines[0].source, lines[1].source), (0, 1));
    logs.rename("a.out", "a.out.1");
    logs.append("a.out", "y\n");
    assert_eq!(take_texts(&mut follower, 2), ["y", "y"]);
    logs.append("a.out", "z\n");
    assert_eq!(take_texts(&mut follower, 2), ["z", "z"]);
}

/// Rotates as the supervisor does: from the highest number down, the live file last.
fn rotate(live: &Path, highest: u32) {
    let name = |number: u32| match number {
        0 => live.to_owned(),
        _ => PathBuf::from(format!("{}.{number}", live.display())),
    };
    for number in (0..highest).rev() {
        let _ = fs::rename(name(number), name(number + 1));
    }
}

#[test]
fn a_writer_that_rotates_all_the_time_loses_no_line_and_doubles_none() {
    const LINES: usize = 20_000;
    let logs = Fixture::new();
    let live = logs.path("a.out");
    let mut file = File::create(&live).unwrap();
    let writer = std::thread::spawn(move || {
        for number in 0..LINES {
            let line = format!("{number}\n");
            // In two pieces now and then, so that lines are seen unfinished.
            let (head, rest) = line.split_at(usize::from(number % 7 == 0));
            file.write_all(head.as_bytes()).unwrap();
            file.write_all(rest.as_bytes()).unwrap();
            if number % 500 == 499 {
                rotate(&live, 50);
                file = File::create(&live).unwrap();
            }
        }
    });
    let (tail, mut follower) = tail_and_follow(&[logs.source("a")], None).unwrap();
    let mut lines: Vec<_> = tail.map(Result::unwrap).collect();
    let deadline = Instant::now() + LONG;
    while lines.len() < LINES {
        let left = deadline.saturating_duration_since(Instant::now());
        let batch = follower.next_batch(Some(left)).unwrap();
        assert!(!batch.is_empty(), "only {} lines came", lines.len());
        lines.extend(batch);
    }
    writer.join().unwrap();
    let expected = numbered("", 0..LINES, "\n");
    assert!(bytes_of(&lines) == expected.as_bytes());
    assert!(follower.next_batch(NONE).unwrap().is_empty());
}

#[test]
fn what_is_read_while_it_rotates_is_every_line_once() {
    let logs = Fixture::new();
    let live = logs.path("a.out");
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stop = std::sync::Arc::clone(&done);
    let mut file = File::create(&live).unwrap();
    let writer = std::thread::spawn(move || {
        for number in 0..2000 {
            file.write_all(format!("{number}\n").as_bytes()).unwrap();
            if number % 50 == 49 {
                rotate(&live, 50);
                file = File::create(&live).unwrap();
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Release);
    });
    while !done.load(std::sync::atomic::Ordering::Acquire) {
        let lines = logs.tail(&["a"], None);
        for (number, line) in lines.iter().enumerate().filter(|(_, line)| line.complete) {
            assert_eq!(line.bytes, number.to_string().as_bytes());
        }
    }
    writer.join().unwrap();
    assert_eq!(logs.tail(&["a"], None).len(), 2000);
}
