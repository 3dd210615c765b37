//! Files that are torn, strange, or another program's.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};

use crate::bed::Bed;
use crate::processes::Seen;

/// A home as somebody else made it, with this in it.
fn home_with(bed: &Bed, files: &[(&str, &[u8])]) {
    let mut builder = fs::DirBuilder::new();
    builder.mode(0o700);
    builder.create(bed.home()).unwrap();
    for directory in ["logs", "pids", "processes"] {
        builder.create(bed.home().join(directory)).unwrap();
    }
    for (name, bytes) in files {
        let path = bed.home().join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn of_torn_records_the_others_are_listed_and_the_torn_one_named() {
    for torn in [
        &b""[..],
        b"script='x",
        b"\x00\xff\x00",
        b"not a record at all\n",
        b"script=x pid=\n",
    ] {
        let bed = Bed::new();
        let pid = bed.start_idle("good");
        bed.start_idle("bad");
        let path = bed.home().join("processes/bad.meta");
        fs::write(&path, torn).unwrap();
        check(&bed, pid);
    }
    let bed = Bed::new();
    let pid = bed.start_idle("good");
    bed.start_idle("bad");
    let path = bed.home().join("processes/bad.meta");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    check(&bed, pid);
    fs::remove_dir(&path).unwrap();
}

#[track_caller]
fn check(bed: &Bed, good: u32) {
    let listed = bed.tsm(["list", "--json", "--fast"]).ok();
    assert!(listed.stderr_line().contains("bad"), "{listed:?}");
    let views: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    let found = views
        .as_array()
        .unwrap()
        .iter()
        .find(|view| view["name"] == "good");
    assert_eq!(found.unwrap()["pid"], good);
    assert_eq!(found.unwrap()["state"], "running");
    assert!(bed.tsm(["list"]).ok().stdout.contains("good"));
    bed.tsm(["info", "good"]).ok();
    // What is good can still be controlled, and the id of something new is its own.
    bed.tsm(["restart", "good"]).ok();
    bed.start_idle("new");
    let ids: Vec<u64> = ["good", "new"]
        .iter()
        .map(|n| bed.view(n)["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids, [1, 3]);
}

#[test]
fn a_torn_record_does_not_hinder_a_new_supervisor() {
    let bed = Bed::new();
    home_with(
        &bed,
        &[
            ("processes/torn.meta", b"script='x"),
            ("processes/empty.meta", b""),
            ("next_id", b"garbage"),
            ("status.json", b"{"),
            ("layout", b""),
        ],
    );
    let listed = bed.tsm(["list", "--json"]).ok();
    assert_eq!(listed.stderr.lines().count(), 2, "{}", listed.stderr);
    bed.start_idle("a");
    assert_eq!(bed.state("a"), "running");
    let text = fs::read(bed.home().join("processes/torn.meta")).unwrap();
    assert_eq!(text, b"script='x", "what cannot be read is not thrown away");
}

#[test]
fn ids_are_never_given_twice() {
    let bed = Bed::new();
    bed.start_idle("a");
    bed.start_idle("b");
    bed.tsm(["delete", "b"]).ok();
    bed.start_idle("c");
    assert_eq!(bed.view("c")["id"], 3);
    bed.tsm(["supervisor", "stop"]).ok();
    for torn in ["", "x\n", "0\n", "1\n", "-5\n", "99999999999999\n"] {
        fs::write(bed.home().join("next_id"), torn).unwrap();
        bed.tsm(["start", "--name", "d", "--", "sleep", "100000"])
            .ok();
        let id = bed.view("d")["id"].as_u64().unwrap();
        assert!(id > 3, "{torn:?} gives {id}");
        bed.tsm(["delete", "d"]).ok();
        bed.tsm(["supervisor", "stop"]).ok();
    }
}

#[test]
fn fields_that_nobody_knows_are_kept() {
    let bed = Bed::new();
    bed.start_idle("a");
    bed.tsm(["stop", "a"]).ok();
    bed.tsm(["supervisor", "stop"]).ok();
    let path = bed.home().join("processes/a.meta");
    let line = fs::read_to_string(&path).unwrap();
    let begins: Vec<&str> = line.split(' ').take(2).collect();
    assert!(
        begins[0].starts_with("script=") && begins[1].starts_with("pid="),
        "{line}"
    );
    let more = "colour=blue note='two words; $(x) '\\''quoted'\\''' _x=1";
    fs::write(&path, format!("{} {more}\n", line.trim_end())).unwrap();
    let kept = || {
        let line = fs::read_to_string(&path).unwrap();
        assert!(
            line.contains("colour=blue") || line.contains("colour='blue'"),
            "{line}"
        );
        let sourced =
            bed.shell(". ../tsm/processes/a.meta; printf '%s' \"$colour|$note|$_x|$tsm_id\"");
        assert_eq!(sourced.ok().stdout, "blue|two words; $(x) 'quoted'|1|1");
    };
    bed.tsm(["start", "a"]).ok();
    kept();
    let before = bed.crash("a");
    bed.wait_new_pid("a", before);
    bed.tsm(["stop", "a"]).ok();
    kept();
}

#[test]
fn a_record_is_one_line_that_a_shell_sources() {
    let bed = Bed::new();
    bed.script("it's a server.sh", "#!/bin/sh\nexec sleep 100000\n");
    bed.tsm([
        "start",
        "./it's a server.sh",
        "--name",
        "a",
        "--port",
        "4971",
    ])
    .ok();
    let view = bed.view("a");
    let line = fs::read_to_string(bed.home().join("processes/a.meta")).unwrap();
    assert_eq!(line.lines().count(), 1);
    let order = [
        "script=",
        "pid=",
        "port=",
        "start_time=",
        "type=",
        "tsm_id=",
        "cwd=",
    ];
    let mut at = 0;
    for field in order {
        let found = line[at..]
            .find(field)
            .unwrap_or_else(|| panic!("{field} in {line}"));
        at += found;
    }
    let sourced = bed.shell(
        ". ../tsm/processes/a.meta; printf '%s|' \"$script\" $pid $port $start_time $type $tsm_id \"$cwd\"",
    );
    let started = view["started_at"].as_str().unwrap();
    let values: Vec<&str> = sourced.stdout.split('|').collect();
    assert_eq!(values[0], "./it's a server.sh");
    assert_eq!(values[1], view["pid"].to_string());
    assert_eq!(values[2], "4971");
    assert!(values[3].parse::<u64>().is_ok(), "{started}");
    assert_eq!(values[4..6], ["cli", "1"]);
    assert_eq!(values[6], bed.work().to_str().unwrap());
}

/// What the original bash TSM left behind: a record with the pid of somebody who is nobody's, and `printenv` output.
#[test]
fn a_record_of_the_original_is_shown_as_stopped_and_starts() {
    let bed = Bed::new();
    bed.script(
        "entrypoints/old.sh",
        "#!/bin/sh\ncat /proc/$$/environ > environ\necho \"port $PORT\"\nexec sleep 100000\n",
    );
    let mut stranger = bed.command("sleep").arg("100000").spawn().unwrap();
    let pid = stranger.id();
    let work = bed.work().display().to_string();
    let meta = format!(
        "script='entrypoints/old.sh' pid={pid} port=4971 start_time=1758318163 type=cli tsm_id=60 cwd='{work}'\n"
    );
    let env = format!(
        "TSM_ENV_FILE=\"/x/local.env\"\nPATH={}\nHOME=/home/me\nTEXT=one\ntwo = 2\nBASH_FUNC_f%%=() {{  echo 'a\nb'\n}}\nEMPTY=\nPORT=4971\n",
        std::env::var("PATH").unwrap()
    );
    let older =
        format!("tpm_id=7 cwd={work} pid={pid} script=entrypoints/old.sh port=- node_env=x\n");
    home_with(
        &bed,
        &[
            ("processes/old.meta", meta.as_bytes()),
            ("processes/old.env", env.as_bytes()),
            ("processes/older.meta", older.as_bytes()),
            ("processes/older.env", env.as_bytes()),
            ("pids/old.pid", format!("{pid}\n").as_bytes()),
            ("logs/old.out", b"from before\n"),
            ("next_id", b"60\n"),
        ],
    );
    let seen = bed.list();
    assert_eq!(bed.names(), ["older", "old"]);
    for view in &seen {
        assert_eq!(view["state"], "stopped", "{view}");
        assert!(view["pid"].is_null(), "{view}");
    }
    assert_eq!((&seen[0]["id"], &seen[1]["id"]), (&7.into(), &60.into()));
    assert!(seen[0]["port"].is_null());
    assert_eq!(seen[1]["port"], 4971);
    assert_eq!(seen[1]["script"], "entrypoints/old.sh");
    assert_eq!(bed.tsm(["logs", "old"]).ok().stdout, "from before\n");

    bed.tsm(["stop", "old"]).ok();
    bed.start_idle("new");
    assert_eq!(bed.view("new")["id"], 61);
    assert_eq!(
        bed.state("old"),
        "stopped",
        "a supervisor does not start it by itself"
    );
    bed.tsm(["start", "old"]).ok();
    assert_eq!(bed.wait_log("old.out", "port"), "from before\nport 4971\n");
    // What the shell itself was given: it hands on only what it can name.
    let environ = fs::read_to_string(bed.path("environ")).unwrap();
    for entry in [
        "TEXT=one\ntwo = 2",
        "EMPTY=",
        "HOME=/home/me",
        "BASH_FUNC_f%%=() {  echo 'a\nb'\n}",
    ] {
        assert!(
            environ.split('\0').any(|found| found == entry),
            "{entry}: {environ}"
        );
    }
    assert_eq!(bed.view("old")["id"], 60);
    bed.tsm(["restart", "old"]).ok();
    bed.tsm(["start", "older"]).ok();
    bed.tsm(["delete", "all"]).ok();
    // The pid in the record was never ours: nobody signalled it.
    assert!(Seen::now(pid).is_alive());
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn files_that_are_no_records_are_left_alone() {
    let bed = Bed::new();
    home_with(
        &bed,
        &[
            ("processes/a.meta.tmp", b"x"),
            ("processes/README", b"x"),
            ("processes/.hidden.meta", b"x"),
            ("logs/other.txt", b"x"),
        ],
    );
    bed.start_idle("a");
    assert_eq!(bed.names(), ["a"]);
    bed.tsm(["delete", "a"]).ok();
    for name in ["processes/README", "logs/other.txt"] {
        assert!(bed.home().join(name).exists(), "{name}");
    }
}

#[test]
fn a_fifo_in_the_place_of_a_record_keeps_nobody_waiting() {
    let bed = Bed::new();
    bed.start_idle("a");
    bed.start_idle("b");
    let meta = bed.home().join("processes/b.meta");
    fs::remove_file(&meta).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&meta).status();
    assert!(made.unwrap().success());
    let listed = bed.tsm(["list", "--json"]).ok();
    assert_eq!(bed.names(), ["a"]);
    assert!(
        listed.stderr.contains("b.meta") && listed.stderr.contains("not a regular file"),
        "{}",
        listed.stderr
    );
    // The supervisor knows both, and writes both records again.
    bed.tsm(["stop", "a", "b"]).ok();
    assert_eq!(bed.names(), ["a", "b"]);
    bed.tsm(["restart", "b"]).ok();
}

#[test]
fn a_link_in_the_place_of_a_record_is_never_written_through() {
    let bed = Bed::new();
    bed.start_idle("a");
    let victim = bed.path("precious");
    fs::write(&victim, "precious\n").unwrap();
    for name in ["processes/a.meta", "pids/a.pid", "status.json", "next_id"] {
        let path = bed.home().join(name);
        // Not all of them are there at once.
        let _ = fs::remove_file(&path);
        std::os::unix::fs::symlink(&victim, &path).unwrap();
    }
    for _ in 0..3 {
        bed.tsm(["restart", "a"]).ok();
        bed.start_idle("b");
        bed.tsm(["delete", "b"]).ok();
    }
    bed.tsm(["delete", "a"]).ok();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious\n");
}
