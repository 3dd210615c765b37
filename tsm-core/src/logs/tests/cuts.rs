//! Logs that their services write themselves, read while their heads are cut off: whatever is read at whichever step, every
//! byte is there once.
//!
//! Nothing here is left to chance. The cut itself calls back at each of its steps, and so does the look at a log that a
//! reader takes.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use super::*;
use crate::fail::hook;

/// The steps of a cut, in order.
const STEPS: [&str; 7] = [
    "cut-1-begun",
    "cut-2-intended",
    "cut-3-copied",
    "cut-4-room",
    "cut-5-punched",
    "cut-6-named",
    "cut-7-taken-out",
];

/// How much is cut off at a time.
const LENGTH: u64 = 8192;

/// A log that its service writes, and what it wrote.
#[derive(Clone)]
struct Log {
    dir: Rc<tempfile::TempDir>,
    live: PathBuf,
    writer: Rc<RefCell<File>>,
    written: Rc<RefCell<Vec<u8>>>,
}

impl Log {
    /// One with two segments, and `parts` times as much as is cut off at a time.
    fn new(directory: &Path, parts: usize) -> Self {
        let dir = tempfile::tempdir_in(directory).unwrap();
        let live = dir.path().join("a.out");
        let log = Self {
            writer: Rc::new(RefCell::new(direct::open_for_service(&live).unwrap())),
            dir: Rc::new(dir),
            live,
            written: Rc::default(),
        };
        for _ in 0..2 + parts {
            log.write(LENGTH as usize);
        }
        log.cut();
        log.cut();
        log
    }

    /// Writes lines, and no newline at the end of the last one.
    fn write(&self, bytes: usize) {
        let mut written = self.written.borrow_mut();
        let before = written.len();
        while written.len() < before + bytes {
            let line = format!("\nline at {}", written.len());
            written.extend_from_slice(line.as_bytes());
        }
        let mut writer = self.writer.borrow_mut();
        writer.write_all(&written[before..]).unwrap();
    }

    fn cut(&self) {
        assert_eq!(
            direct::cut(&self.live, LENGTH, 1000, || ()).unwrap(),
            LENGTH
        );
    }

    fn source(&self) -> Source {
        Source {
            name: "a".into(),
            out: Some(self.live.clone()),
            err: None,
        }
    }

    fn open(&self) -> Tail {
        tail(&[self.source()], None).unwrap()
    }

    fn expected(&self) -> Vec<u8> {
        self.written.borrow().clone()
    }

    #[track_caller]
    fn is_whole(&self, when: &str) {
        assert!(read(self.open()) == self.expected(), "{when}");
        let listed = segments(&self.live).unwrap();
        assert!(listed.failed.is_empty());
        let total: u64 = listed.segments.iter().map(Segment::len).sum();
        assert_eq!(total, self.expected().len() as u64, "{when}");
    }
}

/// All that a reader gives; nothing may have been passed over.
#[track_caller]
fn read(mut tail: Tail) -> Vec<u8> {
    let lines: Vec<_> = tail.by_ref().map(Result::unwrap).collect();
    assert_eq!(tail.gone().collect::<Vec<_>>(), []);
    bytes_of(&lines)
}

/// Directories on a file system that cannot collapse files, and on one that most often can.
fn directories() -> Vec<PathBuf> {
    let memory = PathBuf::from("/dev/shm");
    let all = [memory, std::env::temp_dir()];
    all.into_iter().filter(|path| path.is_dir()).collect()
}

#[test]
fn a_log_is_whole_at_every_step_of_a_cut() {
    for directory in directories() {
        let log = Log::new(&directory, 3);
        let seen = Rc::new(RefCell::new(Vec::new()));
        let (looked, steps) = (log.clone(), Rc::clone(&seen));
        hook::with(
            move |step| {
                looked.write(100);
                looked.is_whole(step);
                steps.borrow_mut().push(step.to_owned());
            },
            || log.cut(),
        );
        // If a step is added, the other tests are to know it.
        let seen = seen.take();
        let cut: Vec<_> = seen.iter().filter(|step| step.starts_with("cut")).collect();
        assert_eq!(cut, STEPS);
        log.is_whole("at the end");
    }
}

#[test]
fn a_reader_that_began_at_one_step_goes_on_at_any_later_one() {
    for directory in directories() {
        for (number, began) in STEPS.iter().enumerate() {
            for goes_on in &STEPS[number..] {
                let log = Log::new(&directory, 3);
                let what = format!("{}: from {began} to {goes_on}", directory.display());
                let done = Rc::new(RefCell::new(false));
                let (looked, is_done, told) = (log.clone(), Rc::clone(&done), what.clone());
                let mut reading = None;
                let hook = move |step: &str| {
                    looked.write(100);
                    if step == *began {
                        let mut tail = looked.open();
                        let first = tail.next().unwrap().unwrap();
                        assert!(first.bytes.is_empty() && first.complete, "{told}");
                        reading = Some((tail, looked.expected()));
                    }
                    if step == *goes_on {
                        let (tail, expected) = reading.take().unwrap();
                        assert!([b"\n", &read(tail)[..]].concat() == expected, "{told}");
                        is_done.replace(true);
                    }
                };
                hook::with(hook, || log.cut());
                assert!(done.take(), "{what}");
                // And one more is cut off under a reader that stands in the middle.
                let tail = log.open();
                let expected = log.expected();
                log.cut();
                assert!(read(tail) == expected, "{what}, and one more");
            }
        }
    }
}

#[test]
fn a_follower_that_began_at_one_step_loses_and_doubles_nothing() {
    for directory in directories() {
        for began in STEPS {
            let log = Log::new(&directory, 4);
            let looked = log.clone();
            let following = Rc::new(RefCell::new(None));
            let begun = Rc::clone(&following);
            hook::with(
                move |step| {
                    looked.write(100);
                    if step == began {
                        let (tail, follower) = tail_and_follow(&[looked.source()], None).unwrap();
                        begun.replace(Some((read(tail), follower)));
                    }
                },
                || log.cut(),
            );
            log.write(100);
            log.cut();
            let (mut bytes, mut follower) = following.take().unwrap();
            loop {
                let lines = follower.next_batch(NONE).unwrap();
                if lines.is_empty() {
                    break;
                }
                bytes.extend(bytes_of(&lines));
            }
            bytes.extend(bytes_of(&follower.flush_partial()));
            assert!(bytes == log.expected(), "{}: {began}", directory.display());
            assert_eq!(follower.take_gone(), []);
        }
    }
}

#[test]
fn whoever_cuts_may_be_killed_at_any_step_under_a_reader() {
    for directory in directories() {
        for step in STEPS {
            let log = Log::new(&directory, 3);
            let before = log.open();
            let expected_before = log.expected();
            let killed = catch_unwind(AssertUnwindSafe(|| {
                let kill = move |come: &str| {
                    if come == step {
                        std::panic::resume_unwind(Box::new(()));
                    }
                };
                hook::with(kill, || log.cut());
            }));
            killed.unwrap_err();
            log.write(100);
            log.is_whole(step);
            let after = log.open();
            let expected = log.expected();
            let looked = log.clone();
            hook::with(
                move |at| looked.is_whole(at),
                || direct::recover(&log.live).unwrap(),
            );
            log.write(100);
            log.is_whole(step);
            assert!(read(before) == expected_before, "before {step}");
            assert!(read(after) == expected, "after {step}");
            log.cut();
            log.is_whole(step);
            assert!(!log.dir.path().join("a.out.1.tmp").exists());
        }
    }
}

#[test]
fn what_is_known_of_a_log_is_all_of_one_moment() {
    // A cut between two looks of one reader: its length was once that of the log before, and its place that of the log
    // after. Such a reader went beyond the end, and when the next head was cut off it never came to its end any more.
    for directory in directories() {
        for moment in ["place-1-before", "place-2-seen"] {
            let log = Log::new(&directory, 4);
            let looked = log.clone();
            let mut has_cut = false;
            let expected = log.expected();
            let tail = hook::with(
                move |at| {
                    if at == moment && !std::mem::replace(&mut has_cut, true) {
                        looked.cut();
                    }
                },
                || log.open(),
            );
            log.cut();
            assert!(read(tail) == expected, "{}: {moment}", directory.display());
        }
    }
}

#[test]
fn what_is_gone_is_counted() {
    for directory in directories() {
        let log = Log::new(&directory, 4);
        // Which has read the first of two segments.
        let mut tail = log.open();
        let expected = log.expected().len() as u64;
        direct::discard(&log.live, LENGTH).unwrap();
        let lines: Vec<_> = tail.by_ref().map(Result::unwrap).collect();
        let gone = tail.gone().next().unwrap().bytes;
        assert_eq!(
            (gone, bytes_of(&lines).len() as u64),
            (2 * LENGTH, expected - gone)
        );
    }
}
