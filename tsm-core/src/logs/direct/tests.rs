//! Cuts, done and interrupted, on file systems of both kinds.

use std::io::Read as _;

use super::*;
use crate::logs::{Query, Source, select};

/// A log on a file system that can collapse, where the temporary directory is on one, or on one that cannot.
fn log(directory: &Path) -> (PathBuf, File) {
    let live = directory.join("a.out");
    let file = open_for_service(&live).unwrap();
    (live, file)
}

fn shown(live: &Path) -> Vec<u8> {
    let source = Source {
        name: "a".into(),
        out: Some(live.to_owned()),
        err: None,
    };
    let lines = select(&[source], &Query::default()).unwrap();
    let mut text = Vec::new();
    for line in lines {
        let line = line.unwrap();
        text.extend_from_slice(&line.bytes);
        if line.complete {
            text.push(b'\n');
        }
    }
    text
}

fn directories() -> Vec<tempfile::TempDir> {
    let memory = tempfile::tempdir_in("/dev/shm").ok();
    memory.into_iter().chain(tempfile::tempdir().ok()).collect()
}

#[test]
fn the_head_is_cut_off_under_the_writer_and_every_line_is_there_once() {
    for directory in directories() {
        let (live, mut writer) = log(directory.path());
        let mut expected = Vec::new();
        for round in 0..12 {
            for line in 0..500 {
                let text = format!("round {round} line {line}\n");
                writer.write_all(text.as_bytes()).unwrap();
                expected.extend_from_slice(text.as_bytes());
            }
            cut(&live, 8192, 1000, || ()).unwrap();
            assert!(shown(&live) == expected, "round {round}");
        }
        let mode = fs::metadata(&live).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o400);
        let mut plain = Vec::new();
        let size = |path: &Path| fs::metadata(path).unwrap().len();
        for number in (1..=12).rev() {
            let path = numbered(&live, number);
            assert!(size(&path) <= 8192);
            File::open(path).unwrap().read_to_end(&mut plain).unwrap();
        }
        assert!(expected.starts_with(&plain));
        drop(writer);
        leave(&live).unwrap();
        assert!(shown(&live) == expected);
        let live_bytes = fs::read(&live).unwrap();
        assert!(expected.ends_with(&live_bytes) && !live_bytes.contains(&0));
    }
}

#[test]
fn what_was_interrupted_is_gone_on_with_from_each_step() {
    for directory in directories() {
        let (live, mut writer) = log(directory.path());
        let text: String = (0..2000).map(|n| n.to_string() + "\n").collect();
        writer.write_all(text.as_bytes()).unwrap();
        let file = open(&live, File::options().read(true).write(true)).unwrap();
        let (head, start, length) = what_to_cut(&file, &live, 4096).unwrap().unwrap();
        let pending = pending_path(&live);
        // Only begun: it is as if nothing had been.
        fs::write(&pending, "half").unwrap();
        let cut = Some((start, length));
        Head { cut, ..head }.write(&live, false).unwrap();
        assert!(shown(&live) == text.as_bytes());
        recover(&live).unwrap();
        assert!(!pending.exists() && shown(&live) == text.as_bytes());
        // Punched: it counts, before anybody goes on with it.
        fs::write(&pending, &text[..length as usize]).unwrap();
        Head { cut, ..head }.write(&live, false).unwrap();
        holes::punch(&file, start, 4096).unwrap();
        assert!(shown(&live) == text.as_bytes());
        recover(&live).unwrap();
        assert!(!pending.exists() && shown(&live) == text.as_bytes());
        assert_eq!(
            fs::read(numbered(&live, 1)).unwrap(),
            text.as_bytes()[..4096]
        );
        // Taken out, and the state does not say so yet.
        let (head, start, length) = what_to_cut(&file, &live, 4096).unwrap().unwrap();
        if start == 0 {
            fs::rename(numbered(&live, 1), numbered(&live, 2)).unwrap();
            fs::write(numbered(&live, 1), &text[4096..8192]).unwrap();
            Head {
                cut: Some((start, length)),
                ..head
            }
            .write(&live, false)
            .unwrap();
            assert!(holes::collapse(&file, 0, length).unwrap());
            assert!(shown(&live) == text.as_bytes());
            recover(&live).unwrap();
            assert!(shown(&live) == text.as_bytes());
        }
    }
}
