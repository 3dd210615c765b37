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
    let is_told = |text: &str| {
        text.contains("is a build directory") || text.contains("what is in /tmp goes away")
    };
    assert!(is_told(&told.stderr), "{}", told.stderr);
    let told = bed.tsm(["startup", "systemd"]).exits(1);
    assert!(is_told(told.message()), "{told:?}");
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

/// A `crontab` that keeps its table in a file, and the PATH that finds it first.
fn with_cron(bed: &Bed) -> String {
    let table = bed.path("table");
    let table = table.display();
    bed.script(
        "bin/crontab",
        &format!(
            "#!/bin/sh\nfor last; do :; done\ncase $last in\n-l) [ -e {table} ] && cat {table} || {{ echo 'no crontab for me' >&2; exit 1; }};;\n\
             -r) rm {table};;\n-) cat > {table};;\nesac\n"
        ),
    );
    format!("{}:/usr/bin:/bin", bed.path("bin").display())
}

#[test]
fn cron_gets_a_line_and_loses_it_again_and_no_other() {
    let bed = Bed::new();
    let path = with_cron(&bed);
    bed.start_idle("a");
    let tsm = |words: &[&str]| {
        let mut command = bed.tsm_command(words);
        command.env("PATH", &path);
        run(command)
    };
    let told = tsm(&["startup", "cron", "--print"]).ok();
    let home = bed.home();
    let entry = format!(
        "@reboot '{}' --home '{}' resurrect --boot --detach --quiet",
        crate::bed::TSM,
        home.display()
    );
    assert!(
        told.stdout.lines().any(|line| line == entry),
        "no {entry}: {}",
        told.stdout
    );
    assert!(!bed.path("table").exists());
    // What it would write is found again, among the lines of others.
    let ours: String = told
        .stdout
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("# then") && *line != "# crontab\n")
        .collect();
    let others = "MAILTO=me\n5 4 * * * backup\n";
    bed.file("table", format!("{others}{ours}"));
    tsm(&["unstartup", "cron"]).ok();
    assert_eq!(std::fs::read_to_string(bed.path("table")).unwrap(), others);
    bed.file("table", &ours);
    tsm(&["unstartup"]).ok();
    assert!(!bed.path("table").exists());
    tsm(&["unstartup"]).ok();
}

#[test]
fn the_script_for_openrc_is_one_that_a_shell_reads() {
    let bed = Bed::new();
    bed.start_idle("a");
    let told = bed.tsm(["startup", "openrc", "--print"]);
    if !is_root() {
        assert!(told.exits(1).message().contains("only root may"));
        return;
    }
    let script = bed.file("script", &told.ok().stdout);
    // It says what is run by variables, and what is needed by a function.
    let line = format!(
        "use() {{ echo use $*; }}; after() {{ :; }}; . {} && depend && eval set -- $command_args && printf '%s\\n' \"$supervisor\" \"$@\"",
        script.display()
    );
    let told = bed.shell(&line).ok();
    let home = bed.home();
    let expected = format!(
        "use localmount netmount net dns\nsupervise-daemon\n--home\n{}\nresurrect\n--boot\n",
        home.display()
    );
    assert_eq!(told.stdout, expected);
}
