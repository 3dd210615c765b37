//! Signals that a person sends, and stops of many at once.

use crate::bed::Bed;
use crate::wait::wait_until;

/// A service that writes down which of HUP and USR1 come to it.
const LISTENER: &str = "#!/bin/sh\ntrap 'echo hup' HUP\ntrap 'echo usr1' USR1\necho ready\nwhile :; do sleep 0.05; done\n";

#[track_caller]
fn start_listener(bed: &Bed, options: &[&str]) -> u32 {
    let script = bed.script("a.sh", LISTENER);
    let words = [
        &["start", "--name", "a"],
        options,
        &["--", script.to_str().unwrap()],
    ];
    bed.tsm(words.concat()).ok();
    bed.wait_log("a.out", "ready");
    bed.pid("a")
}

#[test]
fn a_signal_reaches_the_main_process_and_is_in_the_history() {
    let bed = Bed::new();
    let pid = start_listener(&bed, &[]);
    for (signal, printed) in [("HUP", "hup"), ("SIGUSR1", "usr1"), ("usr1", "usr1")] {
        let told = bed.tsm(["signal", "a", signal]).ok();
        assert!(
            told.stdout
                .ends_with(&format!("sent: a (PID: {pid}, ID: 1)\n")),
            "{}",
            told.stdout
        );
        bed.wait_log("a.out", printed);
    }
    bed.wait_log("a.out", "hup\nusr1\nusr1\n");
    assert_eq!(bed.pid("a"), pid);
    let history = std::fs::read_to_string(bed.home().join("processes/a.events.jsonl")).unwrap();
    assert!(
        history.contains(r#""event":"signalled","signal":"SIGUSR1""#),
        "{history}"
    );
}

#[test]
fn a_group_is_signalled_as_a_whole_only_where_that_is_said() {
    let bed = Bed::new();
    let script = bed.script(
        "a.sh",
        "#!/bin/sh\n(trap 'echo child' USR1; echo up; while :; do sleep 0.05; done) &\n\
         trap 'echo leader' USR1\necho up\nwhile :; do sleep 0.05; done\n",
    );
    bed.tsm(["start", "--name", "a", "--", script.to_str().unwrap()])
        .ok();
    bed.wait_log("a.out", "up\nup\n");
    bed.tsm(["signal", "a", "USR1"]).ok();
    bed.wait_log("a.out", "leader\n");
    // The child prints at its next look; a second signal to the leader comes no sooner than that.
    bed.tsm(["signal", "--group", "a", "USR1"]).ok();
    let log = bed.wait_log("a.out", "child\n");
    wait_until("both have heard it", || {
        let log = std::fs::read_to_string(bed.home().join("logs/a.out")).unwrap();
        log.matches("leader").count() == 2 && log.matches("child").count() == 1
    });
    assert!(log.contains("leader"));
}

#[test]
fn reload_sends_hang_up_or_the_signal_that_the_service_wants() {
    let bed = Bed::new();
    start_listener(&bed, &[]);
    let told = bed.tsm(["reload", "a"]).ok().stdout;
    assert!(
        told.starts_with("Process asked to reload: a (PID: "),
        "{told}"
    );
    bed.wait_log("a.out", "hup\n");
    bed.tsm(["delete", "a"]).ok();
    start_listener(&bed, &["--reload-signal", "USR1"]);
    bed.tsm(["reload", "a"]).ok();
    bed.wait_log("a.out", "usr1\n");
    assert_eq!(bed.info("a")["reload_signal"], "SIGUSR1");
    let told = bed.tsm(["info", "a"]).ok().stdout;
    assert!(told.contains("\nReload: SIGUSR1\n"), "{told}");
}

#[test]
fn what_does_not_run_cannot_be_signalled() {
    let bed = Bed::new();
    bed.start_idle("a");
    bed.start_idle("b");
    bed.tsm(["stop", "b"]).ok();
    let told = bed.tsm(["signal", "b", "HUP"]).exits(1);
    assert_eq!(
        told.message(),
        "'b' does not run (stopped); 'tsm start b' starts it"
    );
    let told = bed.tsm(["signal", "a", "FOO"]).exits(2);
    assert!(
        told.stderr.contains("'FOO' is no signal"),
        "{}",
        told.stderr
    );
    bed.tsm(["signal", "nobody", "HUP"]).exits(3);
    // Among others it is no mistake.
    let told = bed.tsm(["signal", "all", "CONT"]).ok();
    assert!(told.stderr.contains("'b' does not run"), "{}", told.stderr);
    assert!(told.stdout.contains("SIGCONT sent: a"), "{}", told.stdout);
}

#[test]
fn a_hundred_services_are_stopped_at_the_same_time() {
    const MANY: usize = 100;
    let bed = Bed::new();
    // Each ends only when all of them have been asked to: one after the other they would all be killed in the end.
    let script = bed.script(
        "together.sh",
        "#!/bin/sh\n\
         trap 'touch asked.$TSM_ID; while [ $(ls asked.* | wc -l) -lt $MANY ]; do sleep 0.2; done; exit 0' TERM\n\
         touch up.$TSM_ID\nwhile :; do sleep 1; done\n",
    );
    let script = script.to_str().unwrap();
    let line = format!(
        "for n in $(seq {MANY}); do \"$0\" -q start --stop-timeout 10m --name s$n --env MANY={MANY} -- {script} || exit 1; done"
    );
    bed.shell(&line).ok();
    let up = || {
        let names = std::fs::read_dir(bed.work()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name());
        names
            .filter(|name| name.to_str().unwrap().starts_with("up."))
            .count()
    };
    wait_until("all of them listen", || up() == MANY);
    bed.tsm(["stop", "all"]).ok();
    let views = bed.list();
    assert_eq!(views.len(), MANY);
    for view in views {
        assert_eq!(view["state"], "stopped", "{view}");
        assert_eq!(view["exit"]["code"], 0, "{view}");
    }
}
