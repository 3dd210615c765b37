use super::*;
use proptest::prelude::*;
use std::fs::{self, OpenOptions};

fn index_of(text: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.out.idx");
    fs::write(&path, text).unwrap();
    (dir, path)
}

fn times(index: &Index, offsets: &[u64]) -> Vec<Option<u64>> {
    offsets
        .iter()
        .map(|offset| index.time_of(*offset))
        .collect()
}

#[test]
fn bytes_belong_to_the_note_before() {
    let (_dir, path) = index_of(b"10 1000\n20 2000\n");
    let index = Index::load(&path);
    let expected = [None, None, Some(1000), Some(1000), Some(2000), Some(2000)];
    assert_eq!(times(&index, &[0, 9, 10, 19, 20, u64::MAX]), expected);
}

#[test]
fn missing_torn_and_damaged() {
    assert_eq!(Index::load(Path::new("/none/a.idx")).time_of(0), None);
    assert_eq!(Index::load(Path::new("/")).time_of(0), None);
    let (_dir, path) = index_of(b"0 1000\n\xff\xfe\n10 +5\n5 2000 3\n\n -1\n20 3000\n30 31");
    let index = Index::load(&path);
    assert_eq!(
        times(&index, &[0, 19, 20, 40]),
        [Some(1000), Some(1000), Some(3000), Some(3000)]
    );
    let (_dir, path) = index_of(b"0 10");
    assert_eq!(Index::load(&path).time_of(0), None);
}

#[test]
fn a_later_note_makes_void_earlier_ones_beyond_it() {
    let (_dir, path) = index_of(b"0 1\n100 2\n200 3\n0 4\n50 5\n");
    let index = Index::load(&path);
    assert_eq!(
        times(&index, &[0, 49, 50, 250]),
        [Some(4), Some(4), Some(5), Some(5)]
    );
}

#[test]
fn reads_no_more_of_it_than_needed() {
    let text: String = (0..200_000).map(|i| note_line(i * 10, i)).collect();
    let (_dir, path) = index_of(text.as_bytes());
    let mut index = Index::open(&path, u64::MAX);
    index.cover(1_999_900);
    assert_eq!(index.time_of(1_999_905), Some(199_990));
    assert!(index.bytes_read() <= 2 * BLOCK);
    index.cover(0);
    assert_eq!(index.time_of(5), Some(0));
    assert_eq!(index.notes.len(), 200_000);
}

#[test]
fn a_line_without_end_costs_no_memory() {
    let mut text = b"0 7\n".to_vec();
    text.resize(200_000, b'1');
    text.extend_from_slice(b"\n5 8\n");
    let (_dir, path) = index_of(&text);
    let index = Index::load(&path);
    assert_eq!(times(&index, &[4, 5]), [Some(7), Some(8)]);
}

#[test]
fn its_size_is_bounded_and_times_stay_as_true_as_they_can() {
    let (_dir, path) = index_of(b"");
    let log = path.with_extension("");
    let bound = 4096;
    for note in 0..10_000_u64 {
        append_note(&log, note * 10, note * 100, bound).unwrap();
        assert!(fs::metadata(&path).unwrap().len() <= bound + 41);
    }
    let index = Index::load(&path);
    assert_eq!(index.time_of(0), Some(0));
    assert_eq!(first_note(&log), Some(0));
    for note in (0..10_000_u64).step_by(99) {
        let told = index.time_of(note * 10).unwrap();
        assert!(
            told <= note * 100 && note * 100 - told < 60_000,
            "{note}: {told}"
        );
    }
    // What a thinning that was killed leaves: its text, then the rest of the old one.
    let (_dir, path) = index_of(b"0 0\n30 300\n20 200\n30 300\n40 400\n");
    let index = Index::load(&path);
    assert_eq!(
        times(&index, &[5, 25, 35, 45]),
        [Some(0), Some(200), Some(300), Some(400)]
    );
}

#[test]
fn the_first_bytes_of_a_run_keep_their_time() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path());
    let name = "a".parse().unwrap();
    for directory in [home.logs(), home.processes()] {
        fs::create_dir(directory).unwrap();
    }
    let log = home.out_log(&name);
    // A run of 50 notes every 100 ms, and then one that is started again at once, 300 times.
    let mut history = String::new();
    let (mut offset, mut ms) = (0, 1_700_000_000_000);
    let mut begins = Vec::new();
    for run in 0..300 {
        for note in 0..50 {
            if note == 0 {
                begins.push((offset, ms));
            }
            append_note(&log, offset, ms, 16 << 10).unwrap();
            (offset, ms) = (offset + 10, ms + 100);
        }
        let exited = EventKind::Exited {
            run,
            pid: 7,
            status: "code:1".to_owned(),
            uptime_ms: 1,
            oom: None,
        };
        let line = format!("{}\n", serde_json::to_string(&at(ms - 60, exited)).unwrap());
        history.push_str(&line);
        fs::write(home.events(&name), &history).unwrap();
    }
    let length = fs::metadata(index_path(&log)).unwrap().len();
    assert!(length <= (16 << 10) + 41, "{length}");
    let index = Index::load(&index_path(&log));
    for &(offset, ms) in &begins[begins.len() - 30..] {
        assert_eq!(index.time_of(offset), Some(ms));
    }
}

fn at(ms: u64, kind: EventKind) -> crate::events::Event {
    crate::events::Event {
        at: crate::events::rfc3339(ms),
        kind,
    }
}

#[test]
fn grows_and_begins_anew() {
    let (_dir, path) = index_of(b"0 1\n10 2");
    let mut index = Index::open(&path, u64::MAX);
    index.cover(0);
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"2\n20 3\n3").unwrap();
    index.refresh();
    assert_eq!(
        times(&index, &[0, 10, 20, 30]),
        [Some(1), Some(22), Some(3), Some(3)]
    );
    index.forget_before(15);
    assert_eq!(times(&index, &[0, 10, 20]), [None, Some(22), Some(3)]);
    file.set_len(0).unwrap();
    file.write_all(b"0 9\n").unwrap();
    index.refresh();
    assert_eq!(times(&index, &[0, 30]), [Some(9), Some(9)]);
}

proptest! {
    #[test]
    fn backwards_and_forwards_agree(
        lines in prop::collection::vec("[0-9]{1,3} [0-9]{1,3}|[0-9 x]{0,60}", 0..40),
        cut in 0usize..2000,
    ) {
        let mut text = lines.join("\n").into_bytes();
        text.push(b'\n');
        text.truncate(cut);
        let (_dir, path) = index_of(&text);
        let backwards = Index::load(&path);
        let (_dir, other) = index_of(b"");
        let mut forwards = Index::open(&other, u64::MAX);
        fs::write(&other, &text).unwrap();
        forwards.refresh();
        for offset in 0..1000 {
            prop_assert_eq!(backwards.time_of(offset), forwards.time_of(offset));
        }
    }
}
