//! The disk is full.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::bed::{Bed, is_root};
use crate::processes::Seen;
use crate::wait::{holds_for, wait_until};

/// A small file system. It has to outlive the bed whose home is on it.
pub(crate) struct SmallDisk {
    directory: tempfile::TempDir,
}

impl SmallDisk {
    /// `None` where only root may mount, and these tests are not root's.
    pub(crate) fn new() -> Option<Self> {
        if !is_root() {
            eprintln!("skipped: mounting a small file system needs root");
            return None;
        }
        let directory = tempfile::Builder::new()
            .prefix("tsm-disk-")
            .tempdir()
            .unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m,mode=0700", "tsm-test"])
            .arg(directory.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self { directory }),
            other => {
                eprintln!("skipped: no file system can be mounted here: {other:?}");
                None
            }
        }
    }

    pub(crate) fn filler(&self) -> PathBuf {
        self.directory.path().join("filler")
    }

    /// Takes all the room there is.
    pub(crate) fn fill(&self) {
        use std::io::Write as _;
        let mut file = fs::File::options()
            .append(true)
            .create(true)
            .open(self.filler())
            .unwrap();
        for size in [64 << 10, 4096, 512, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    pub(crate) fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.directory.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            // Something still holds it: it goes with the last who does.
            let _ = Command::new("umount")
                .arg("-l")
                .arg(self.directory.path())
                .status();
        }
    }
}

#[test]
fn what_each_run_printed_last_waits_for_room_and_comes_in_order() {
    let Some(disk) = SmallDisk::new() else { return };
    let bed = bed_on(&disk);
    // Each run prints more than a note of it would take, and ends.
    bed.script(
        "a.sh",
        "#!/bin/sh\nwhile [ ! -e go ]; do sleep 0.02; done\necho run >> runs\ni=0\nwhile [ $i -lt 300 ]; do echo \"$TSM_COOKIE line $i\"; i=$((i+1)); done\nexit 1\n",
    );
    bed.tsm(["start", "./a.sh", "--max-restarts", "2"]).ok();
    disk.fill();
    bed.file("go", "");
    bed.wait_file("runs", |text| text.lines().count() == 3);
    bed.wait_state("a", "failed");
    // A supervisor that comes in between finds them as well.
    let before = bed.kill_supervisor();
    bed.wait_next_supervisor(before);
    disk.make_room();
    let home = fs::canonicalize(bed.home()).unwrap();
    let last = format!("{}:1:3 line 299\n", home.display());
    let log = bed.wait_log("a.out", &last);
    let expected: String = (1..=3)
        .flat_map(|run| {
            let home = home.display().to_string();
            (0..300).map(move |line| format!("{home}:1:{run} line {line}\n"))
        })
        .collect();
    assert!(log == expected, "{} of {} bytes", log.len(), expected.len());
}

/// A bed whose home is on the small disk.
pub(crate) fn bed_on(disk: &SmallDisk) -> Bed {
    let bed = Bed::new();
    let permissions = fs::Permissions::from_mode(0o700);
    fs::set_permissions(disk.directory.path(), permissions).unwrap();
    std::os::unix::fs::symlink(disk.directory.path(), bed.home()).unwrap();
    bed
}

#[test]
fn what_runs_goes_on_and_no_line_is_lost() {
    let Some(disk) = SmallDisk::new() else { return };
    let bed = bed_on(&disk);
    let script = bed.lonely("a");
    bed.tsm(["start", "--name", "a", "--", &script]).ok();
    bed.start_numbers("ticks", "0.001");
    let pid = bed.wait_runs("a", 1);
    disk.fill();

    let refused = bed
        .tsm(["start", "--name", "new", "--", "sleep", "100000"])
        .exits(1);
    assert!(
        refused.message().contains("No space left on device"),
        "{}",
        refused.stderr
    );
    assert_eq!(bed.names(), ["a", "ticks"]);
    let files = bed.process_files();
    assert!(
        files.iter().all(|file| !file.contains("/new.")),
        "{files:?}"
    );
    assert!(files.iter().all(|file| !file.contains(".tmp")), "{files:?}");

    // A restart is not refused, by itself or asked for.
    Seen::now(pid).signal(rustix::process::Signal::KILL);
    bed.wait_file("a.runs", |text| text.lines().count() == 2);
    bed.tsm(["restart", "a"]).ok();
    bed.wait_file("a.runs", |text| text.lines().count() == 3);
    // It prints on: into its pipe, and waits there when that is full.
    let size = || {
        fs::metadata(bed.home().join("logs/ticks.out"))
            .unwrap()
            .len()
    };
    let full = size();
    holds_for(Duration::from_millis(1500), "nothing fits", || {
        size() <= full + 4096
    });

    // A supervisor that dies now has a successor that does no harm.
    let supervisor = bed.kill_supervisor();
    bed.wait_next_supervisor(supervisor);
    bed.tsm(["stop", "a"]).ok();
    let runs = bed.runs_of("a");
    assert!(
        runs.iter().all(|&pid| crate::fault_kit::is_gone(pid)),
        "{runs:?}"
    );
    assert_eq!(runs.len(), 3);

    disk.make_room();
    assert!(bed.check_numbers("ticks") > 0);
    wait_until("the record follows", || {
        bed.meta("a", "state").as_deref() == Some("stopped")
    });
    bed.tsm(["start", "a"]).ok();
    bed.wait_file("a.runs", |text| text.lines().count() == 4);
    bed.start_idle("new");
}

#[test]
fn everything_can_be_stopped_and_deleted() {
    let Some(disk) = SmallDisk::new() else { return };
    let bed = bed_on(&disk);
    for name in ["a", "b", "c"] {
        bed.start_idle(name);
    }
    disk.fill();
    let pids = ["a", "b", "c"].map(|name| bed.pid(name));
    bed.tsm(["stop", "a"]).ok();
    bed.tsm(["kill", "b"]).ok();
    bed.tsm(["delete", "c"]).ok();
    assert!(pids.iter().all(|&pid| crate::fault_kit::is_gone(pid)));
    disk.make_room();
    wait_until("the records follow", || {
        ["a", "b"]
            .iter()
            .all(|name| bed.meta(name, "state").as_deref() == Some("stopped"))
    });
    assert_eq!(bed.names(), ["a", "b"]);
}

#[test]
fn a_full_disk_is_shown() {
    let Some(disk) = SmallDisk::new() else { return };
    let bed = bed_on(&disk);
    bed.start_idle("a");
    disk.fill();
    bed.tsm(["restart", "a"]).ok();
    let listed = bed.tsm(["list"]).ok();
    let said = format!("{}{}", listed.stdout, listed.stderr);
    assert!(said.contains("disk full"), "{said}");
    disk.make_room();
}
