//! `startup` and `unstartup` on a machine without an init system that they know: what they print, and what they refuse. What
//! they do is shown on a real systemd, see `boot/`.

use crate::bed::{Bed, is_root, run};

/// No step was done, and no record of any was written.
#[track_caller]
fn nothing_changed(bed: &Bed) {
    let files = bed.files();
    assert!(
        !files.iter().any(|file| file.contains("startup")),
        "{files:?}"
    );
}

#[test]
fn a_unit_can_be_printed_anywhere() {
    let bed = Bed::new();
    let start = [
        "start",
        "--name",
        "a",
        "--stop-timeout",
        "45s",
        "--",
        "sleep",
        "100000",
    ];
    bed.tsm(start).ok();
    let told = bed.tsm(["startup", "systemd", "--print"]).ok();
    let home = bed.home();
    let wanted = if is_root() {
        "multi-user.target"
    } else {
        "default.target"
    };
    for line in [
        "Type=notify".to_owned(),
        "KillMode=process".to_owned(),
        "TimeoutStopSec=55s".to_owned(),
        format!("WantedBy={wanted}"),
    ] {
        assert!(
            told.stdout.lines().any(|l| l == line),
            "no {line}: {}",
            told.stdout
        );
    }
    let exec = format!(" --home {} resurrect --boot", home.display());
    assert!(told.stdout.contains(&exec), "{}", told.stdout);
    // It is told that this program, just built, is none to be started at boot.
    assert!(
        told.stderr.contains("is a build directory"),
        "{}",
        told.stderr
    );
    let told = bed.tsm(["startup", "systemd"]).exits(1);
    assert!(told.message().contains("is a build directory"));
    assert!(told.message().contains("sudo install -m 755"));
    nothing_changed(&bed);
}

#[test]
fn what_cannot_be_is_told_in_one_line_and_nothing_is_changed() {
    let bed = Bed::new();
    let told = bed.tsm(["startup", "launchd", "--print"]).exits(2);
    assert!(
        told.message().contains("it knows systemd, openrc, cron"),
        "{}",
        told.message()
    );
    let told = bed
        .tsm(["startup", "systemd", "--print", "-u", "no-such-user"])
        .exits(2);
    assert!(
        told.message().contains("there is no user 'no-such-user'"),
        "{}",
        told.message()
    );
    // Nothing to start: most likely another home is meant.
    let told = bed.tsm(["startup", "systemd", "--print"]).exits(1);
    assert!(
        told.stderr
            .contains("it has neither a process nor a dump.json"),
        "{}",
        told.stderr
    );
    assert!(!bed.home().exists());
    bed.start_idle("a");
    let mut other = bed.tsm_command(["--home", "other", "startup", "systemd", "--print"]);
    other.env_remove("TSM_HOME");
    let told = run(other).exits(1);
    // Other tests have homes, too.
    assert!(told.stderr.contains("; there is /"), "{}", told.stderr);
    assert!(
        told.stderr.contains("; name one: --home DIR"),
        "{}",
        told.stderr
    );
    nothing_changed(&bed);
}

#[test]
fn there_is_nothing_to_undo() {
    let bed = Bed::new();
    bed.start_idle("a");
    let told = bed.tsm(["unstartup", "systemd"]).ok();
    assert!(told.stderr.contains("nothing starts"), "{}", told.stderr);
    bed.tsm(["unstartup", "systemd"]).ok();
    assert_eq!(bed.state("a"), "running");
}
