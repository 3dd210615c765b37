//! What a follower gives, and what it does not lose.

use std::time::Instant;

use super::*;

/// How long a test waits for what must come.
const LONG: Duration = Duration::from_secs(30);

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
fn goes_on_where_a_line_that_had_not_ended_was_taken_back() {
    let logs = Fixture::new();
    logs.write("a.out", "one\ntwo\nthr");
    let mut follower = logs.follow(&["a"]);
    logs.truncate("a.out", 8);
    assert!(follower.next_batch(NONE).unwrap().is_empty());
    logs.append("a.out", "four\n");
    assert_eq!(take_texts(&mut follower, 1), ["four"]);
}

#[test]
fn a_line_that_was_taken_back_is_not_put_together_with_what_came_then() {
    let logs = Fixture::new();
    logs.write("a.out", "one\ntwo\nthr");
    let mut follower = logs.follow(&["a"]);
    logs.truncate("a.out", 8);
    logs.append("a.out", "four\nfive\nsi");
    assert_eq!(take_texts(&mut follower, 2), ["four", "five"]);
    logs.append("a.out", "x\n");
    assert_eq!(take_texts(&mut follower, 1), ["six"]);
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
    // The line goes on there.
    logs.append("a.out", "4\n");
    assert_eq!(take_texts(&mut follower, 1), ["34"]);
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
    #[expect(clippy::disallowed_methods, reason = "the test made it")]
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
        drop(fs::rename(name(number), name(number + 1)));
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

#[test]
fn a_file_that_was_rotated_before_it_could_be_watched_is_watched() {
    let logs = Fixture::new();
    logs.write("a.out", "1\n");
    let sources = [Source {
        err: None,
        ..logs.source("a")
    }];
    let (mut follower, _) = Follower::watching(&sources).unwrap();
    let mut opened = open(&sources).unwrap();
    logs.rename("a.out", "a.out.1");
    follower.go_on(&mut opened.streams[0]).unwrap();
    assert!(follower.next_batch(NONE).unwrap().is_empty());
    logs.append("a.out.1", "2\n");
    assert_eq!(take_texts(&mut follower, 1), ["2"]);
}

#[test]
fn a_batch_is_bounded_and_the_rest_comes_with_the_next() {
    let logs = Fixture::new();
    logs.write("a.out", "1\n");
    let mut follower = logs.follow(&["a"]);
    let many = numbered("line ", 0..300_000, "\n");
    logs.append("a.out", &many);
    let first = follower.next_batch(Some(LONG)).unwrap();
    assert!(first.len() < 300_000);
    let mut lines = first;
    loop {
        let batch = follower.next_batch(NONE).unwrap();
        if batch.is_empty() {
            break;
        }
        lines.extend(batch);
    }
    assert!(bytes_of(&lines) == many.as_bytes());
    // One line that is longer than a batch.
    let mut long = vec![b'x'; 10_000_000];
    long.push(b'\n');
    logs.append("a.out", &long);
    assert_eq!(
        follower.next_batch(Some(LONG)).unwrap()[0].bytes.len(),
        10_000_000
    );
}

/// Rotates as the supervisor does, and keeps so many segments.
fn rotate_and_keep(live: &Path, keep: u32) {
    let written = rotate::written_up_to(live, 0).unwrap();
    rotate::rotate(live, keep).unwrap();
    fs::write(live, "").unwrap();
    rotate::note_beginning(live, written).unwrap();
}

#[test]
fn what_rotation_removed_before_it_was_read_is_counted() {
    for keep in [0, 2] {
        let logs = Fixture::new();
        let live = logs.path("a.out");
        logs.write("a.out", "");
        rotate::begin_index(&live).unwrap();
        let mut follower = logs.follow(&["a"]);
        for number in 0..9 {
            logs.append("a.out", format!("line {number}\n"));
            rotate_and_keep(&live, keep);
        }
        logs.append("a.out", "last\n");
        // The first file is held open, and those that are kept are read.
        let kept = 9 - keep as usize;
        let mut expected = vec!["line 0".to_owned()];
        expected.extend((kept..9).map(|number| format!("line {number}")));
        expected.push("last".to_owned());
        assert_eq!(take_texts(&mut follower, expected.len()), expected);
        let gone = follower.take_gone();
        assert_eq!(gone.len(), 1, "{gone:?}");
        assert_eq!(gone[0].bytes, 7 * (kept as u64 - 1));
        assert!(follower.take_gone().is_empty());
        // What was not overtaken misses nothing.
        rotate_and_keep(&live, keep);
        logs.append("a.out", "new\n");
        assert_eq!(take_texts(&mut follower, 1), ["new"]);
        assert!(follower.take_gone().is_empty());
    }
}

#[test]
fn the_index_of_a_log_that_another_program_renamed_follows_it() {
    let logs = Fixture::new();
    let live = logs.path("a.out");
    logs.write("a.out", "");
    rotate::begin_index(&live).unwrap();
    index::append_note(&live, 0, 1000, 4096).unwrap();
    logs.append("a.out", "one\n");
    logs.rename("a.out", "a.out.1");
    logs.write("a.out", "");
    rotate::begin_index(&live).unwrap();
    index::append_note(&live, 0, 2000, 4096).unwrap();
    logs.append("a.out", "two\n");
    let lines = logs.tail(&["a"], None);
    let times: Vec<_> = lines.iter().map(|line| line.time_ms).collect();
    assert_eq!(times, [Some(1000), Some(2000)]);
    assert_eq!(rotate::written_up_to(&live, 0), Some(8));
    // Where that has another name, nothing of it stays beside the new file.
    logs.rename("a.out", "elsewhere");
    logs.write("a.out", "");
    rotate::begin_index(&live).unwrap();
    logs.append("a.out", "three\n");
    let lines = logs.tail(&["a"], Some(1));
    assert_eq!(
        (texts(&lines), lines[0].time_ms),
        (vec!["three".to_owned()], None)
    );
}

#[test]
fn a_line_of_many_segments_is_one_line() {
    let logs = Fixture::new();
    let live = logs.path("a.out");
    logs.write("a.out", "");
    rotate::begin_index(&live).unwrap();
    let mut follower = logs.follow(&["a"]);
    for number in 0..9 {
        logs.append("a.out", format!("part {number}, "));
        rotate_and_keep(&live, 20);
    }
    assert!(follower.next_batch(NONE).unwrap().is_empty());
    for number in 0..9 {
        logs.append("a.out", format!("more {number}, "));
        rotate_and_keep(&live, 20);
    }
    logs.append("a.out", "end\nnew\n");
    let lines = take_texts(&mut follower, 2);
    assert!(lines[0].starts_with("part 0, part 1, "), "{lines:?}");
    assert!(lines[0].ends_with("more 8, end") && lines[0].len() == 2 * 9 * 8 + 3);
    // Where something is missing in between, it is not put together.
    logs.append("a.out", "torn");
    assert!(follower.next_batch(NONE).unwrap().is_empty());
    for _ in 0..4 {
        rotate_and_keep(&live, 1);
        logs.append("a.out", "lost");
    }
    logs.append("a.out", "\n");
    let lines = take_texts(&mut follower, 2);
    assert_eq!(lines[0], "torn…");
    assert!(follower.take_gone()[0].bytes > 0);
}

#[test]
fn a_log_that_its_service_begins_to_write_itself_is_followed_through_cuts() {
    let logs = Fixture::new();
    let live = logs.path("a.out");
    logs.write("a.out", "");
    let mut follower = logs.follow(&["a"]);
    let mut taken = Vec::new();
    let mut written = Vec::new();
    for life in 0..2 {
        for part in 0..4 {
            // What says that its service writes it comes after the file, and its first bytes.
            let mut file = File::options().append(true).open(&live).unwrap();
            if part > 0 {
                file = direct::open_for_service(&live).unwrap();
            }
            let first = written.len();
            written.extend((first..first + 2000).map(|number| format!("line {number}")));
            let text = written[first..].join("\n") + "\n";
            file.write_all(text.as_bytes()).unwrap();
            taken.extend(take_texts(&mut follower, 2000));
            if part > 0 {
                assert!(direct::cut(&live, 8192, 99, || ()).unwrap() > 0);
            }
            assert!(follower.next_batch(NONE).unwrap().is_empty());
        }
        assert!(taken == written, "life {life}");
        // Deleted and made anew.
        rotate::remove_log(&live).unwrap();
        assert!(follower.next_batch(NONE).unwrap().is_empty());
        logs.write("a.out", "");
    }
    assert!(follower.take_gone().is_empty());
}

#[test]
fn a_directory_that_comes_back_is_followed_again() {
    let logs = Fixture::new();
    let mut elsewhere = logs.source("b");
    elsewhere.out = Some(logs.path("elsewhere/b.out"));
    fs::create_dir(logs.path("elsewhere")).unwrap();
    logs.write("elsewhere/b.out", "old\n");
    let sources = [logs.source("a"), elsewhere];
    let mut follower = tail_and_follow(&sources, Some(0)).unwrap().1;
    for round in 0..2 {
        logs.append("elsewhere/b.out", "new\n");
        assert_eq!(take_texts(&mut follower, 1), ["new"]);
        fs::remove_file(logs.path("elsewhere/b.out")).unwrap();
        fs::remove_dir(logs.path("elsewhere")).unwrap();
        let told = follower.next_batch(Some(LONG));
        assert!(
            matches!(told, Err(LogError::DirectoryGone { .. })),
            "{told:?}"
        );
        logs.append("a.out", "of the other\n");
        assert_eq!(take_texts(&mut follower, 1), ["of the other"]);
        fs::create_dir(logs.path("elsewhere")).unwrap();
        if round == 0 {
            assert!(follower.next_batch(NONE).unwrap().is_empty());
        }
        logs.write("elsewhere/b.out", "again\n");
        assert_eq!(take_texts(&mut follower, 1), ["again"]);
    }
}
