//! Logs on a real file system: what `tail` gives. What a follower gives is in [`follow`].

mod cuts;
mod follow;

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::time::Duration;

use proptest::prelude::*;

use super::index::{index_path, note_line};
use super::*;

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

    fn truncate(&self, name: &str, len: u64) {
        let file = File::options().write(true).open(self.path(name));
        file.unwrap().set_len(len).unwrap();
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
    use std::os::unix::fs::PermissionsExt as _;
    let logs = Fixture::new();
    logs.write("a.out", "a\n");
    let path = logs.path("a.out");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser may read it all the same.
    if File::open(&path).is_err() {
        let error = first_error(&logs, &["a"]);
        assert!(error.to_string().contains("a.out"));
    }
    fs::create_dir(logs.path("b.out")).unwrap();
    let error = first_error(&logs, &["b"]);
    assert!(matches!(error, LogError::NotAFile { path } if path == logs.path("b.out")));
    // The others are read all the same.
    logs.write("b.err", "of b\n");
    logs.write("c.out", "of c\n");
    let sources = [logs.source("b"), logs.source("c")];
    for lines in [None, Some(9)] {
        let (tail, mut follower) = tail_and_follow(&sources, lines).unwrap();
        let (good, bad): (Vec<_>, Vec<_>) = tail.partition(Result::is_ok);
        let good: Vec<_> = good.into_iter().map(Result::unwrap).collect();
        assert_eq!(texts(&good), ["of c", "of b"]);
        assert_eq!(bad.len(), 1);
        logs.append("c.out", "more\n");
        let more = follower.next_batch(Some(Duration::from_secs(30))).unwrap();
        assert_eq!(texts(&more), ["more"]);
        logs.write("c.out", "of c\n");
    }
    // With none that can be, that is all there is to say.
    let only = Source {
        err: None,
        ..logs.source("b")
    };
    tail(&[only], None).unwrap_err();
}

fn first_error(logs: &Fixture, names: &[&str]) -> LogError {
    let sources: Vec<_> = names.iter().map(|name| logs.source(name)).collect();
    tail(&sources, None).unwrap().next().unwrap().unwrap_err()
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

#[test]
fn a_segment_that_cannot_be_read_hides_no_other() {
    let logs = Fixture::new();
    let compress = |text: &[u8]| zstd::encode_all(text, 1).unwrap();
    logs.write("a.out.5", "1\n");
    let whole = compress(b"2\n".repeat(9).as_slice());
    logs.write("a.out.4.zst", &whole[..whole.len() - 3]);
    logs.write("a.out.3", "3\n");
    fs::create_dir(logs.path("a.out.2")).unwrap();
    logs.write("a.out.1.zst", compress(b"4\n"));
    logs.write("a.out", "5\n");
    for lines in [None, Some(9)] {
        let found: Vec<_> = tail(&[logs.source("a")], lines).unwrap().collect();
        let (lines, failed): (Vec<_>, Vec<_>) = found.into_iter().partition(Result::is_ok);
        let lines: Vec<_> = lines.into_iter().map(Result::unwrap).collect();
        assert_eq!(texts(&lines), ["1", "3", "4", "5"]);
        let failed: Vec<_> = failed
            .into_iter()
            .map(|e| e.unwrap_err().to_string())
            .collect();
        assert_eq!(failed.len(), 2, "{failed:?}");
        assert!(failed[0].contains("a.out.2"), "{failed:?}");
        assert!(failed[1].contains("a.out.4.zst"), "{failed:?}");
    }
    // A follower is told, too.
    let (tail, mut follower) = tail_and_follow(&[logs.source("a")], Some(1)).unwrap();
    assert_eq!(tail.filter(Result::is_err).count(), 2);
    logs.append("a.out", "6\n");
    let lines = follower.next_batch(Some(Duration::from_secs(30))).unwrap();
    assert_eq!(texts(&lines), ["6"]);
}

#[test]
fn what_is_damaged_in_the_midst_of_a_segment_leaves_out_the_rest_of_it() {
    let logs = Fixture::new();
    // Four frames, of which the second one is damaged.
    let text = numbered("line ", 100_000..300_000, "\n");
    logs.write("plain", &text);
    let plain = File::open(logs.path("plain")).unwrap();
    let mut file = File::create(logs.path("a.out.1.zst")).unwrap();
    packed::pack(&plain, &mut file, || Ok(())).unwrap();
    let mut bytes = fs::read(logs.path("a.out.1.zst")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 1000].fill(0);
    logs.write("a.out.1.zst", bytes);
    logs.write("a.out", "new\n");
    let found: Vec<_> = tail(&[logs.source("a")], None).unwrap().collect();
    assert_eq!(found.iter().filter(|line| line.is_err()).count(), 1);
    let lines: Vec<_> = found.into_iter().filter_map(Result::ok).collect();
    assert_eq!(lines[0].bytes, b"line 100000");
    assert_eq!(lines[lines.len() - 1].bytes, b"new");
    assert!(lines.len() > 10_000);
    // The line that lost its end is not put together with the next one.
    assert!(!lines[lines.len() - 2].complete);
    // Backwards, everything up to the damage is found.
    let found: Vec<_> = tail(&[logs.source("a")], Some(5)).unwrap().collect();
    assert!(
        found[0].as_ref().is_ok_and(|line| !line.bytes.is_empty()),
        "{found:?}"
    );
}
