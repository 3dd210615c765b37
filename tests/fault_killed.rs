//! The supervisor is killed while services run.

use std::time::Duration;

use rustix::process::Signal;

use crate::bed::Bed;
use crate::fault_kit::{is_gone, kill, meanwhile, moment};
use crate::processes::Seen;
use crate::wait::{wait_until, within};

#[test]
fn five_kills_in_three_seconds_touch_no_service_and_no_line() {
    let bed = Bed::new();
    let script = bed.lonely("lonely");
    bed.tsm(["start", "--name", "lonely", "--", &script]).ok();
    bed.start_numbers("ticks", "0.001");
    bed.start_numbers("flood", "0");
    let pids = || ["lonely", "ticks", "flood"].map(|name| bed.pid(name));
    let before = pids();
    let mut times = Vec::new();
    for _ in 0..5 {
        let supervisor = bed.kill_supervisor();
        let (_, time) = bed.wait_next_supervisor(supervisor);
        times.push(time);
        within(Duration::from_millis(250), || None::<()>);
    }
    eprintln!("a new supervisor answered after {times:?}");
    // On a machine with nothing else to do it is 0.1 s.
    assert!(
        times.iter().all(|time| *time < Duration::from_secs(5)),
        "{times:?}"
    );
    assert_eq!(pids(), before);
    for name in ["lonely", "ticks", "flood"] {
        assert_eq!(bed.view(name)["restarts"], 0);
    }
    bed.runs_of("lonely");
    let (ticks, flood) = (bed.check_numbers("ticks"), bed.check_numbers("flood"));
    assert!(ticks > 100 && flood > 10_000, "{ticks} and {flood} lines");
}

#[test]
fn it_comes_back_although_nobody_asks() {
    let bed = Bed::new();
    bed.start_idle("a");
    let (supervisor, guardian) = (bed.supervisor_seen(), bed.guardian_seen());
    kill(supervisor);
    // No command is given: that there is a new one is seen by what it does.
    let pid = bed.crash("a");
    wait_until("'a' was restarted", || {
        let view = bed.view("a");
        view["pid"]
            .as_u64()
            .is_some_and(|new| new != u64::from(pid))
            && view["restarts"] == 1
    });
    assert_eq!(bed.guardian_seen(), guardian);
}

/// A script that ends with this status as soon as its file `NAME.die` is there.
fn mortal(bed: &Bed, name: &str, status: u8) -> String {
    let path = bed.script(
        &format!("{name}.sh"),
        &format!(
            "#!/bin/sh\n\
             exec 9>>{name}.lock\n\
             flock -n 9 || echo $$ >> {name}.double\n\
             echo \"$$ now\" >> {name}.runs\n\
             while ! rm {name}.die 2>/dev/null; do sleep 0.01; done\n\
             echo dying\n\
             exit {status}\n"
        ),
    );
    path.to_str().unwrap().to_owned()
}

/// The policy, the status that the service ends with, and what becomes of it.
const ENDS: [(&str, &str, u8, &str); 5] = [
    ("a", "on-failure", 7, "running"),
    ("b", "no", 7, "failed"),
    ("c", "on-failure", 0, "exited"),
    ("d", "always", 0, "running"),
    ("e", "no", 0, "exited"),
];

#[track_caller]
fn start_mortals(bed: &Bed) -> Vec<u32> {
    for (name, policy, status, _) in ENDS {
        let script = mortal(bed, name, status);
        bed.tsm(["start", "--restart", policy, "--name", name, "--", &script])
            .ok();
        bed.wait_runs(name, 1);
    }
    ENDS.iter().map(|(name, ..)| bed.pid(name)).collect()
}

#[track_caller]
fn check_ends(bed: &Bed) {
    for (name, _, status, state) in ENDS {
        if state == "running" {
            bed.wait_runs(name, 2);
            assert_eq!(bed.view(name)["restarts"], 1);
        }
        let view = bed.wait_state(name, state);
        assert_eq!(view["exit"]["code"], status, "{view}");
        // Who dies between the history and the record tells it twice, but never otherwise.
        let mut exits = bed.exits(name);
        exits.dedup();
        assert_eq!(exits, [format!("code:{status}")], "'{name}'");
        bed.wait_log(&format!("{name}.out"), "dying\n");
    }
}

#[test]
fn an_exit_while_no_supervisor_is_there_is_known_to_the_next() {
    let bed = Bed::new();
    let pids = start_mortals(&bed);
    let supervisor = bed.supervisor_seen();
    {
        let _guardian = bed.freeze_guardian();
        kill(supervisor);
        for (name, ..) in ENDS {
            bed.file(&format!("{name}.die"), "");
        }
        wait_until("all have ended", || pids.iter().all(|&pid| is_gone(pid)));
    }
    check_ends(&bed);
}

#[test]
fn an_exit_at_the_moment_of_the_kill_is_known_to_the_next() {
    for round in 0..6 {
        let bed = Bed::new();
        start_mortals(&bed);
        let supervisor = bed.supervisor_seen();
        for (name, ..) in ENDS {
            bed.file(&format!("{name}.die"), "");
        }
        // Each script looks for its file every 10 ms: some end before, some after.
        moment(Duration::from_millis(4 + 2 * round));
        supervisor.signal(Signal::KILL);
        check_ends(&bed);
    }
}

#[test]
fn an_exit_is_known_however_soon_the_supervisor_dies_after_it() {
    for round in 0..8 {
        let bed = Bed::new();
        let script = bed.lonely("a");
        bed.tsm(["start", "--restart", "always", "--name", "a", "--", &script])
            .ok();
        for step in 0..4 {
            bed.wait_runs("a", step + 1);
            let supervisor = bed.supervisor_seen();
            let time = Duration::from_micros(round * 100 + step as u64 * 800);
            bed.crash("a");
            moment(time);
            supervisor.signal(Signal::KILL);
            bed.wait_runs("a", step + 2);
            let view = bed.view("a");
            assert_eq!(view["exit"]["signal"], "SIGKILL", "{time:?}: {view}");
            assert_eq!(view["restarts"], step + 1, "{time:?}: {view}");
        }
    }
}

#[test]
fn many_exits_at_once_are_known_although_the_supervisor_dies_with_them() {
    for round in 0..3 {
        let bed = Bed::new();
        let names: Vec<String> = (0..40).map(|number| format!("s{number}")).collect();
        for name in &names {
            let script = bed.lonely(name);
            bed.tsm([
                "start",
                "--restart",
                "always",
                "--name",
                name,
                "--",
                &script,
            ])
            .ok();
        }
        let services: Vec<Seen> = names
            .iter()
            .map(|name| Seen::now(bed.wait_runs(name, 1)))
            .collect();
        let supervisor = bed.supervisor_seen();
        for service in services {
            service.signal(Signal::KILL);
        }
        moment(Duration::from_millis(5 + 15 * round));
        supervisor.signal(Signal::KILL);
        for name in &names {
            bed.wait_runs(name, 2);
            let view = bed.view(name);
            assert_eq!(view["exit"]["signal"], "SIGKILL", "{view}");
            assert_eq!(view["restarts"], 1, "{view}");
        }
    }
}

#[test]
fn a_crash_loop_goes_on_where_it_was() {
    let bed = Bed::new();
    let script = bed.script("crash.sh", "#!/bin/sh\necho >> runs\nexit 3\n");
    bed.tsm([
        "start",
        "--max-restarts",
        "4",
        "--name",
        "a",
        "--",
        script.to_str().unwrap(),
    ])
    .ok();
    wait_until("it has crashed twice", || {
        bed.view("a")["restarts"].as_u64() >= Some(2)
    });
    bed.kill_supervisor();
    let view = bed.wait_state("a", "failed");
    assert_eq!(view["restarts"], 4, "{view}");
    let runs = bed.wait_file("runs", |_| true);
    assert_eq!(runs.lines().count(), 5);
}

#[test]
fn a_stopped_guardian_delays_nobody() {
    let bed = Bed::new();
    let script = bed.lonely("a");
    bed.tsm(["start", "--name", "a", "--", &script]).ok();
    let guardian = bed.guardian_seen();
    // As often as its supervisor continues it, it is stopped again.
    let stop = || {
        guardian.signal(Signal::STOP);
        within(Duration::from_millis(20), || None::<()>);
    };
    meanwhile(&[&stop], || {
        // More descriptors than its socket takes have to wait.
        for round in 0..40 {
            bed.tsm([
                "start",
                "--name",
                &format!("b{round}"),
                "--",
                "sleep",
                "100000",
            ])
            .ok();
        }
        bed.crash("a");
        bed.wait_runs("a", 2);
        bed.tsm(["restart", "b0"]).ok();
    });
    guardian.signal(Signal::CONT);
    // It has taken what waited for it: its next supervisor gets all that the last one had.
    let before: Vec<u32> = (0..40).map(|round| bed.pid(&format!("b{round}"))).collect();
    let supervisor = bed.kill_supervisor();
    bed.wait_next_supervisor(supervisor);
    for (round, pid) in before.iter().enumerate() {
        assert_eq!(bed.pid(&format!("b{round}")), *pid);
        assert!(Seen::now(*pid).is_alive());
    }
    bed.tsm(["stop", "--all"]).ok();
}
