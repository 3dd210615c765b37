//! Lines at full speed through small segments, with the supervisor killed at random: none is lost, none doubled, in both
//! modes, on every file system that can be had.
//!
//! With `TSM_LOSS_LINES=5000000` the segments have 4 MiB, and btrfs and xfs are tried on loop devices, where their `mkfs`
//! is installed and root runs this.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::bed::{Bed, is_root};
use crate::fault_kit::moment;
use crate::log_rotation::files_of;
use crate::wait::within;

/// Prints as fast as it can, in ten parts with a pause between them.
const COUNT: &str = r#"
my ($to, $pause) = @ARGV;
for my $part (1 .. 10) {
    print "line $_\n" for 1 + $to * ($part - 1) / 10 .. $to * $part / 10;
    select(undef, undef, undef, $pause);
}
print "end\n";
$| = 1;
print "";
sleep 100000;
"#;

/// How many lines, and the size of segments.
fn extent() -> (usize, &'static str) {
    match std::env::var("TSM_LOSS_LINES")
        .ok()
        .and_then(|n| n.parse().ok())
    {
        Some(lines) => (lines, "4M"),
        None => (1_000_000, "256K"),
    }
}

fn is_large() -> bool {
    std::env::var_os("TSM_LOSS_LINES").is_some()
}

/// A number that differs from call to call: jitter, not chance that matters.
fn random(below: u64) -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "a number that differs is meant, not a time"
    )]
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let nanos = u64::from(now.unwrap().subsec_nanos());
    (nanos.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % below.max(1)
}

/// All bytes of a log, its segments put together; what the head of a file has lost is a hole.
fn put_together(log: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for file in files_of(log) {
        let bytes = fs::read(&file).unwrap();
        let hole = bytes.iter().take_while(|byte| **byte == 0).count();
        all.extend_from_slice(&bytes[hole..]);
    }
    all
}

/// Whether these are all lines, each once and in order.
#[track_caller]
fn check(what: &str, bytes: &[u8], lines: usize) {
    let mut expected = 0;
    let mut found = bytes.split(|byte| *byte == b'\n');
    for line in &mut found {
        if line == b"end" {
            break;
        }
        expected += 1;
        let line = String::from_utf8_lossy(line);
        assert_eq!(
            line,
            format!("line {expected}"),
            "{what}: lost, doubled or torn"
        );
    }
    assert_eq!(expected, lines, "{what}: it ends too early");
    assert_eq!(
        found.next(),
        Some(&b""[..]),
        "{what}: something after the end"
    );
    assert!(found.next().is_none());
}

fn no_line_is_lost(directory: Option<&Path>, mode: &str) {
    let bed = Bed::new();
    if let Some(directory) = directory {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink(directory, bed.home()).unwrap();
    }
    let (lines, size) = extent();
    bed.script("count.pl", COUNT);
    let mut words = vec!["start", "--name", "count", "--log-mode", mode];
    words.extend([
        "--log-max-size",
        size,
        "--log-keep",
        "1000",
        "--log-compress=no",
    ]);
    if mode == "direct" && is_root() {
        words.push("--log-force");
    }
    let lines_text = lines.to_string();
    // Nobody who dies holds up a service that writes its log itself: with pauses, there is something to be killed at.
    let (pause, most_ms) = if mode == "direct" {
        ("0.1", 80)
    } else {
        ("0", 10)
    };
    words.extend(["--", "perl", "count.pl", &lines_text, pause]);
    bed.tsm(words).ok();
    let log = bed.home().join("logs/count.out");
    let is_over = || {
        let last = bed.tsm(["logs", "count", "-n", "1"]).ok().stdout;
        // A log that its service writes is at rest when its head is cut off, too.
        let live = fs::metadata(&log).map_or(0, |live| {
            use std::os::unix::fs::MetadataExt as _;
            live.blocks() * 512
        });
        let limit = if size == "4M" { 4 << 20 } else { 256 << 10 };
        last == "end\n" && live <= limit + (64 << 10)
    };
    let mut kills = 0;
    let over = within(Duration::from_mins(4), || {
        // Often at first; then it is left to come to its end.
        if kills < 25 {
            moment(Duration::from_millis(random(most_ms)));
            let supervisor = bed.kill_supervisor();
            bed.wait_next_supervisor(supervisor);
            kills += 1;
        } else {
            moment(Duration::from_millis(20));
        }
        is_over().then_some(())
    });
    assert!(over.is_some(), "it never comes to its end");
    let what = format!("{mode}, {kills} kills");
    check(&what, &put_together(&log), lines);
    let shown = bed.tsm(["logs", "count", "--tail", "all"]).ok();
    check(&format!("logs: {what}"), &shown.bytes, lines);
    let segments = files_of(&log).len();
    assert!(segments > 2, "{what}: {segments} segments");
    eprintln!("{what}, {segments} segments: no line lost");
}

#[test]
fn pipes_here() {
    no_line_is_lost(None, "pipe");
}

#[test]
fn direct_here() {
    no_line_is_lost(None, "direct");
}

#[test]
fn pipes_in_memory() {
    let Ok(directory) = tempfile::tempdir_in("/dev/shm") else {
        return;
    };
    no_line_is_lost(Some(directory.path()), "pipe");
}

#[test]
fn direct_in_memory() {
    let Ok(directory) = tempfile::tempdir_in("/dev/shm") else {
        return;
    };
    no_line_is_lost(Some(directory.path()), "direct");
}

#[test]
fn on_btrfs() {
    on_a_loop_device("btrfs");
}

#[test]
fn on_xfs() {
    on_a_loop_device("xfs");
}

/// A file system of its own in a file.
struct LoopDisk {
    directory: tempfile::TempDir,
}

impl LoopDisk {
    fn mount_point(&self) -> PathBuf {
        self.directory.path().join("mounted")
    }

    fn new(kind: &str) -> Option<Self> {
        let directory = tempfile::Builder::new()
            .prefix("tsm-loop-")
            .tempdir()
            .unwrap();
        let image = directory.path().join("image");
        fs::File::create(&image).unwrap().set_len(1 << 30).unwrap();
        let disk = Self { directory };
        fs::create_dir(disk.mount_point()).unwrap();
        let run = |program: &str, arguments: &[&Path]| {
            let done = Command::new(program).args(arguments).output();
            done.is_ok_and(|output| output.status.success())
        };
        let made = run(&format!("mkfs.{kind}"), &[&image]);
        let options = Path::new("-o");
        if made
            && run(
                "mount",
                &[options, Path::new("loop"), &image, &disk.mount_point()],
            )
        {
            return Some(disk);
        }
        eprintln!("skipped: no {kind} can be made or mounted here");
        None
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        // Where it was not mounted, this fails, and there is nothing to be done.
        let _ = Command::new("umount").arg(self.mount_point()).output();
    }
}

fn on_a_loop_device(kind: &str) {
    if !is_large() || !is_root() {
        return;
    }
    let Some(disk) = LoopDisk::new(kind) else {
        return;
    };
    for mode in ["pipe", "direct"] {
        let home = disk.mount_point().join(mode);
        fs::create_dir(&home).unwrap();
        no_line_is_lost(Some(&home), mode);
    }
}
