//! `tsm doctor`: what is wrong, the remedy of each, and what `--fix` mends.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::bed::{Bed, TSM, is_root, run};
use crate::processes::Seen;
use crate::wait::wait_until;

impl Bed {
    /// `doctor --json`, and the kinds of what it found.
    #[track_caller]
    fn doctor(&self) -> (Value, Vec<String>) {
        let told = self.tsm(["doctor", "--json"]);
        let report: Value = serde_json::from_str(&told.stdout).unwrap();
        let kinds: Vec<String> = report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| {
                assert!(!finding["remedy"].as_str().unwrap().is_empty(), "{finding}");
                finding["kind"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(told.status, i32::from(!kinds.is_empty()), "{report:#}");
        assert_eq!(report["ok"], kinds.is_empty());
        (report, kinds)
    }

    /// `doctor --fix` mends all that is wrong, and says what it did.
    #[track_caller]
    fn mended(&self) -> String {
        self.tsm(["doctor", "--fix"]).ok().stdout
    }

    fn in_processes(&self, file: &str) -> PathBuf {
        self.home().join("processes").join(file)
    }
}

#[test]
fn where_nothing_is_wrong_it_says_so() {
    let bed = Bed::new();
    bed.tsm(["doctor"]).ok();
    assert!(!bed.home().exists(), "looking makes no home");
    bed.start_idle("a");
    let told = bed.tsm(["doctor"]).ok();
    let expected = format!("Nothing is wrong ({}: 1 process)\n", bed.home().display());
    assert_eq!(told.stdout, expected);
    assert_eq!(bed.mended(), expected);
    bed.tsm(["supervisor", "stop"]).ok();
    assert_eq!(bed.doctor().1, ["unsupervised"]);
}

#[test]
fn wrong_modes_are_closed() {
    let bed = Bed::new();
    bed.start_idle("a");
    let log = bed.home().join("logs/a.out");
    let open = |path: &PathBuf, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    open(&log, 0o644);
    open(&bed.home().join("logs"), 0o755);
    let (report, kinds) = bed.doctor();
    assert_eq!(kinds, ["wrong-mode"]);
    let problem = report["findings"][0]["problem"].as_str().unwrap();
    assert!(
        problem.contains("logs (755)") && problem.contains("logs/a.out (644)"),
        "{problem}"
    );
    assert!(
        bed.mended()
            .contains("mended: 2 files are closed to others")
    );
    assert_eq!(
        fs::metadata(&log).unwrap().permissions().mode() & 0o777,
        0o600
    );
    // All other commands refuse a home that others may write to; this one mends it.
    open(&bed.home(), 0o777);
    bed.tsm(["list"]).exits(1);
    assert_eq!(bed.doctor().1, ["unsafe-home"]);
    bed.mended();
    bed.tsm(["list"]).ok();
}

#[test]
fn what_is_torn_is_mended_from_what_the_supervisor_knows() {
    let bed = Bed::new();
    bed.tsm([
        "start",
        "--name",
        "a",
        "--restart",
        "no",
        "--namespace",
        "n",
        "--",
        "sleep",
        "100000",
    ])
    .ok();
    let pid = bed.pid("a");
    bed.tsm(["save"]).ok();
    for torn in ["", "script='sle", "\0\0\0"] {
        fs::write(bed.meta_path("a"), torn).unwrap();
        assert_eq!(bed.doctor().1, ["damaged-record"]);
        let said = bed.mended();
        assert!(
            said.contains("the record of 'a' is made anew from what the supervisor knows"),
            "{said}"
        );
        assert_eq!(bed.pid("a"), pid);
        assert_eq!(bed.view("a")["namespace"], "n");
    }
    let spec = fs::read(bed.in_processes("a.spec.json")).unwrap();
    fs::write(bed.in_processes("a.spec.json"), &spec[..40]).unwrap();
    assert_eq!(bed.doctor().1, ["damaged-spec"]);
    assert!(
        bed.mended()
            .contains("a.spec.json is made anew from dump.json")
    );
    assert_eq!(fs::read(bed.in_processes("a.spec.json")).unwrap(), spec);
    assert!(
        bed.in_processes("a.spec.json.torn").exists(),
        "nothing is thrown away"
    );
    // Its environment is known by the process itself, even without a dump.
    fs::remove_file(bed.home().join("dump.json")).unwrap();
    let env = fs::read(bed.in_processes("a.env")).unwrap();
    fs::write(bed.in_processes("a.env"), "export A='x").unwrap();
    assert_eq!(bed.doctor().1, ["damaged-environment"]);
    assert!(
        bed.mended()
            .contains("a.env is made anew from its running process")
    );
    assert_eq!(fs::read(bed.in_processes("a.env")).unwrap(), env);
    bed.tsm(["restart", "a"]).ok();
    assert_eq!(bed.doctor().1, Vec::<String>::new());
}

#[test]
fn without_a_supervisor_it_mends_with_the_lock_in_hand() {
    let bed = Bed::new();
    let pid = bed.start_idle("a");
    bed.start_idle("b");
    bed.tsm(["stop", "b"]).ok();
    bed.tsm(["supervisor", "stop"]).ok();
    fs::write(bed.meta_path("a"), "").unwrap();
    fs::remove_file(bed.meta_path("b")).unwrap();
    fs::write(bed.in_processes("b.env"), "PATH=/usr/bin:/bin\nMOTD=a b\n").unwrap();
    fs::write(bed.home().join("next_id"), "x").unwrap();
    fs::write(bed.home().join("pids/ghost.pid"), "1\n").unwrap();
    let (_, kinds) = bed.doctor();
    for kind in ["damaged-record", "no-record", "stale-pid"] {
        assert!(kinds.contains(&kind.to_owned()), "{kinds:?}");
    }
    bed.tsm(["doctor", "--fix"]).exits(1);
    assert!(bed.supervisor_pid().is_none(), "it starts none");
    // What is left is told: it runs unsupervised.
    assert_eq!(bed.doctor().1, ["unsupervised"]);
    bed.tsm(["save"]).ok();
    assert_eq!(bed.doctor().1, Vec::<String>::new());
    assert_eq!(bed.pid("a"), pid);
    assert_eq!(bed.state("b"), "stopped");
    assert_eq!(
        fs::read_to_string(bed.home().join("next_id")).unwrap(),
        "3\n"
    );
    let sourced = bed.shell(". ../tsm/processes/b.env && echo \"$MOTD\"").ok();
    assert_eq!(sourced.stdout, "a b\n");
    bed.tsm(["start", "b"]).ok();
}

#[test]
fn a_stale_pid_and_files_without_a_record_are_told() {
    let bed = Bed::new();
    bed.start_idle("a");
    fs::write(bed.home().join("pids/a.pid"), "1\n").unwrap();
    fs::write(bed.in_processes("lost.env"), "export A='1'\n").unwrap();
    fs::create_dir(bed.in_processes("odd.meta")).unwrap();
    let (report, kinds) = bed.doctor();
    for kind in ["stale-pid", "no-record", "no-file"] {
        assert!(kinds.contains(&kind.to_owned()), "{report:#}");
    }
    bed.tsm(["doctor", "--fix"]).exits(1);
    let pid = fs::read_to_string(bed.home().join("pids/a.pid")).unwrap();
    assert_eq!(pid, format!("{}\n", bed.pid("a")));
    assert!(
        bed.in_processes("lost.env").exists(),
        "nothing is removed that cannot be made anew"
    );
    fs::remove_file(bed.in_processes("lost.env")).unwrap();
    fs::remove_dir(bed.in_processes("odd.meta")).unwrap();
    assert_eq!(bed.doctor().1, Vec::<String>::new());
}

#[test]
fn a_directory_where_a_file_of_the_home_belongs_is_called_so() {
    for name in [".lock", "layout", "next_id", "logs/tsm.log", "dump.json"] {
        let bed = Bed::new();
        bed.start_idle("a");
        bed.tsm(["stop", "a"]).ok();
        bed.tsm(["supervisor", "stop"]).ok();
        let path = bed.home().join(name);
        let _: std::io::Result<()> = fs::remove_file(&path);
        fs::create_dir(&path).unwrap();
        let (report, kinds) = bed.doctor();
        assert!(kinds.contains(&"no-file".to_owned()), "{name}: {report:#}");
        let problem = format!(
            "{} is a directory, where TSM keeps a regular file",
            path.display()
        );
        let found = report["findings"].as_array().unwrap();
        let told: Vec<&str> = found
            .iter()
            .map(|finding| finding["problem"].as_str().unwrap())
            .filter(|problem| problem.contains(name))
            .collect();
        assert_eq!(told, [problem], "{report:#}");
        fs::remove_dir(&path).unwrap();
        bed.tsm(["start", "a"]).ok();
        bed.tsm(["stop", "a"]).ok();
    }
}

#[test]
fn orphans_with_the_cookie_are_told_and_left_alone() {
    let bed = Bed::new();
    bed.start_idle("a");
    let cookie = format!("{}:77:1", bed.home().display());
    let mut orphan = Command::new(bed.sleeper())
        .arg("100000")
        .env("TSM_COOKIE", cookie)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let seen = Seen::now(orphan.id());
    let found = || {
        let (report, kinds) = bed.doctor();
        kinds == ["orphan"] && report["findings"][0]["remedy"] == format!("kill {}", seen.pid)
    };
    wait_until("the orphan is told", found);
    bed.tsm(["doctor", "--fix"]).exits(1);
    assert!(seen.is_alive());
    seen.signal(Signal::KILL);
    orphan.wait().unwrap();
    assert_eq!(bed.doctor().1, Vec::<String>::new());
}

#[test]
fn an_old_or_torn_dump_is_told() {
    let bed = Bed::new();
    bed.start_idle("a");
    bed.tsm(["save"]).ok();
    assert_eq!(bed.doctor().1, Vec::<String>::new());
    bed.start_idle("b");
    bed.tsm(["stop", "a"]).ok();
    let (report, kinds) = bed.doctor();
    assert_eq!(kinds, ["old-dump"]);
    let problem = report["findings"][0]["problem"].as_str().unwrap();
    assert!(
        problem.ends_with("older than the list: 'a' is up in it, 'b' is not in it"),
        "{problem}"
    );
    let remark = |bed: &Bed| bed.tsm(["list"]).ok().stderr;
    assert_eq!(
        remark(&bed),
        "tsm: not as saved: a (stopped), b (new); 'tsm save' saves what is now\n"
    );
    bed.tsm(["save"]).ok();
    assert_eq!(remark(&bed), "");
    bed.tsm(["env", "set", "b", "NEW=1"]).ok();
    bed.tsm(["delete", "a"]).ok();
    assert_eq!(
        remark(&bed),
        "tsm: not as saved: b (changed), a (gone); 'tsm save' saves what is now\n"
    );
    assert_eq!(bed.doctor().1, ["old-dump"]);
    bed.start_idle("c");

    fs::write(bed.home().join("dump.json"), "{").unwrap();
    assert_eq!(bed.doctor().1, ["damaged-dump"]);
    bed.tsm(["save"]).ok();
    assert_eq!(bed.doctor().1, Vec::<String>::new());
}

#[test]
fn a_supervisor_that_is_stopped_doubled_or_alone_is_told() {
    let bed = Bed::new();
    bed.start_idle("a");
    {
        let _frozen = bed.freeze_keepers();
        let (_, kinds) = bed.doctor();
        assert_eq!(kinds, ["supervisor-stopped", "guardian-stopped"]);
    }
    // Something that was called as one.
    bed.script(
        "supervisor",
        "#!/usr/bin/perl\nopen(my $f, '>', 'ready'); close $f; sleep 100000;\n",
    );
    let mut second = bed.command("perl");
    second.args(["supervisor", "run-guarded", "--home"]);
    let mut second = second.arg(bed.home()).spawn().unwrap();
    bed.wait_file("ready", |_| true);
    let (report, kinds) = bed.doctor();
    let seen = Seen::now(second.id());
    seen.signal(Signal::KILL);
    second.wait().unwrap();
    assert_eq!(kinds, ["two-supervisors"], "{report:#}");
    let remedy = report["findings"][0]["remedy"].as_str().unwrap();
    assert!(remedy.contains(&format!("kill {}", seen.pid)), "{remedy}");
    let guardian = bed.guardian_seen();
    crate::fault_kit::kill(guardian);
    // A new one takes its place.
    wait_until("another guardian is there", || {
        bed.guardian_pid().is_some_and(|pid| pid != guardian.pid)
    });
    assert_eq!(bed.doctor().1, [""; 0]);
}

#[test]
fn a_boot_unit_that_points_nowhere_is_told() {
    let bed = Bed::new();
    bed.start_idle("a");
    fs::create_dir(bed.home().join("startup")).unwrap();
    fs::set_permissions(
        bed.home().join("startup"),
        fs::Permissions::from_mode(0o700),
    )
    .unwrap();
    let unit = bed.file(
        "tsm.service",
        format!("[Service]\nExecStart={TSM} resurrect\n"),
    );
    let record = format!(
        "{{\"system\":\"systemd\",\"user\":\"x\",\"path\":\"{}\",\"timestamp\":1}}",
        unit.display()
    );
    let path = bed.home().join("startup/startup.json");
    fs::write(&path, record).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(bed.doctor().1, Vec::<String>::new());
    bed.file(
        "tsm.service",
        "[Service]\nExecStart=/nowhere/tsm resurrect\n",
    );
    assert_eq!(bed.doctor().1, ["boot-unit"]);
    fs::remove_file(&unit).unwrap();
    assert_eq!(bed.doctor().1, ["boot-unit"]);
}

#[test]
fn a_file_of_another_user_is_told_and_a_home_of_another_is_not_looked_into() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    bed.start_idle("a");
    std::os::unix::fs::chown(bed.in_processes("a.env"), Some(65534), None).unwrap();
    let (report, kinds) = bed.doctor();
    assert_eq!(kinds, ["wrong-mode"], "{report:#}");
    std::os::unix::fs::chown(bed.in_processes("a.env"), Some(0), None).unwrap();
    std::os::unix::fs::chown(bed.home(), Some(65534), None).unwrap();
    assert_eq!(bed.doctor().1, ["unsafe-home"]);
    run(bed.tsm_command(["doctor", "--fix"])).exits(1);
    std::os::unix::fs::chown(bed.home(), Some(0), None).unwrap();
    assert_eq!(bed.doctor().1, Vec::<String>::new());
}
