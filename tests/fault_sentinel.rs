//! Guardian and supervisor are both killed, and come back although nobody asks.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use crate::bed::{Bed, run};
use crate::fault_kit::{is_gone, kill};
use crate::processes::{Seen, children, stat};
use crate::wait::{holds_for, wait_for, wait_until, within};

/// Supervisor, guardian and sentinel.
type Three = [Seen; 3];

impl Bed {
    /// The three, when all are there. Asking starts none of them.
    #[track_caller]
    fn three(&self) -> Three {
        self.three_but(&[])
    }

    /// The same, none of which is one of these.
    #[track_caller]
    fn three_but(&self, before: &[Seen]) -> Three {
        wait_for("supervisor, guardian and sentinel are there", || {
            let pids = [
                self.supervisor_pid()?,
                self.guardian_pid()?,
                self.sentinel_pid()?,
            ];
            let three = pids.map(|pid| stat(pid).map(|_| Seen::now(pid)));
            let [Some(supervisor), Some(guardian), Some(sentinel)] = three else {
                return None;
            };
            let three = [supervisor, guardian, sentinel];
            three
                .iter()
                .all(|seen| !before.contains(seen))
                .then_some(three)
        })
    }

    /// Nobody of the three is left, and the next command finds all as it was.
    #[track_caller]
    fn nobody_comes_back(&self) {
        wait_until("nobody of the three is left", || {
            self.machinery(true).is_empty()
        });
        holds_for(Duration::from_millis(700), "nobody comes back", || {
            self.machinery(true).is_empty()
        });
    }

    fn log_of_supervision(&self) -> String {
        fs::read_to_string(self.home().join("logs/tsm.log")).unwrap_or_default()
    }
}

#[test]
fn both_come_back_although_nobody_asks() {
    let bed = Bed::new();
    for name in ["a", "dies"] {
        let script = bed.lonely(name);
        bed.tsm(["start", "--name", name, "--", &script]).ok();
    }
    bed.start_numbers("ticks", "0.001");
    let (pid, dies) = (bed.wait_runs("a", 1), bed.wait_runs("dies", 1));
    let ticks = bed.pid("ticks");
    let before = bed.three();
    bed.kill_both();
    Seen::now(dies).signal(Signal::KILL);
    let [supervisor, guardian, sentinel] = bed.three_but(&before);
    assert_eq!(children(guardian.pid), [supervisor.pid, sentinel.pid]);
    wait_until("the sentinel before has done its work", || {
        is_gone(before[2].pid)
    });
    let said = format!(
        "the guardian {} and its supervisor were killed",
        before[1].pid
    );
    assert!(bed.log_of_supervision().contains(&said));

    assert_eq!(bed.wait_runs("a", 1), pid);
    assert_eq!(bed.pid("ticks"), ticks);
    bed.wait_runs("dies", 2);
    // It is as if nothing had been: also for what is watched anew.
    bed.crash("a");
    bed.wait_runs("a", 2);
    assert!(bed.check_numbers("ticks") > 0);
    bed.tsm(["stop", "all"]).ok();
}

#[test]
fn again_and_again() {
    let bed = Bed::new();
    let script = bed.lonely("a");
    bed.tsm(["start", "--name", "a", "--", &script]).ok();
    let pid = bed.wait_runs("a", 1);
    let mut before = bed.three();
    for _ in 0..10 {
        bed.kill_both();
        before = bed.three_but(&before);
    }
    assert_eq!(bed.wait_runs("a", 1), pid);
    // What goes on and on is answered later each time.
    let log = bed.log_of_supervision();
    assert!(log.contains("both are started again in 200 ms"), "{log}");
}

#[test]
fn the_guardian_first_and_the_supervisor_while_it_takes_its_place() {
    let bed = Bed::new();
    let script = bed.lonely("a");
    bed.tsm(["start", "--name", "a", "--", &script]).ok();
    let pid = bed.wait_runs("a", 1);
    // A supervisor takes that place after 2 s at the earliest.
    for pause in [0, 5, 50, 500, 1990, 2050, 2150] {
        let before = bed.three();
        kill(before[1]);
        let _: Option<()> = within(Duration::from_millis(pause), || None);
        for process in bed.machinery(false) {
            process.signal(Signal::KILL);
        }
        let [supervisor, guardian, _] = bed.three_but(&before[..2]);
        assert!(children(guardian.pid).contains(&supervisor.pid));
        assert_eq!(bed.wait_runs("a", 1), pid, "after {pause} ms");
    }
}

#[test]
fn a_sentinel_that_is_killed_is_followed_by_another() {
    let bed = Bed::new();
    bed.start_idle("a");
    let [supervisor, guardian, mut sentinel] = bed.three();
    for _ in 0..3 {
        kill(sentinel);
        sentinel = wait_for("there is another one", || {
            bed.sentinel_pid()
                .filter(|&pid| pid != sentinel.pid)
                .map(Seen::now)
        });
    }
    assert_eq!(bed.three(), [supervisor, guardian, sentinel]);
    bed.kill_both();
    bed.three_but(&[supervisor, guardian, sentinel]);
}

#[test]
fn a_sentinel_that_is_stopped_goes_on() {
    let bed = Bed::new();
    bed.start_idle("a");
    let sentinel = bed.sentinel_seen();
    sentinel.signal(Signal::STOP);
    wait_until("it goes on", || {
        stat(sentinel.pid).is_some_and(|stat| !stat.stopped)
    });
    assert_eq!(bed.sentinel_seen(), sentinel);
}

#[test]
fn it_is_no_finding_and_ends_with_its_supervisor() {
    let bed = Bed::new();
    bed.start_idle("a");
    bed.three();
    bed.tsm(["doctor"]).ok();
    bed.tsm(["supervisor", "stop"]).ok();
    assert_eq!(bed.machinery(true), [], "it returns when all are gone");
    bed.nobody_comes_back();
    for (signal, part) in [
        (Signal::TERM, 0),
        (Signal::TERM, 1),
        (Signal::INT, 1),
        (Signal::HUP, 1),
    ] {
        bed.tsm(["supervisor", "start"]).ok();
        bed.three()[part].signal(signal);
        bed.nobody_comes_back();
    }
    // Also the one of a guardian that was killed, which waits until another one is made.
    bed.tsm(["supervisor", "start"]).ok();
    kill(bed.three()[1]);
    bed.tsm(["supervisor", "stop"]).ok();
    bed.nobody_comes_back();
    bed.tsm(["stop", "a"]).ok();
}

#[test]
fn a_program_that_may_not_be_executed_for_a_while_is_tried_again() {
    let bed = Bed::new();
    let program = bed.path("tsm-of-its-own");
    bed.program(&program);
    let mut start = bed.command(&program);
    start.args(["start", "--name", "a", "--", "sleep", "100000"]);
    run(start).ok();
    let pid = bed.pid("a");
    let before = bed.three();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o000)).unwrap();
    bed.kill_both();
    wait_until("it could not", || {
        bed.log_of_supervision()
            .contains("sentinel: cannot execute the program")
    });
    assert!(before[2].is_alive());
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    bed.three_but(&before);
    assert_eq!(bed.pid("a"), pid);
    bed.tsm(["stop", "a"]).ok();
}

#[test]
fn a_stop_meanwhile_holds() {
    let bed = Bed::new();
    bed.start_idle("a");
    let mut before = bed.three();
    for _ in 0..12 {
        bed.kill_both();
        if bed
            .log_of_supervision()
            .contains("both are started again in ")
        {
            break;
        }
        before = bed.three_but(&before);
    }
    // It is about to come back.
    bed.tsm(["supervisor", "stop"]).ok();
    bed.nobody_comes_back();
    bed.tsm(["stop", "a"]).ok();
}

/// Does something so many milliseconds after `supervisor stop` was begun, which is to say that it is done, and then to be true.
#[track_caller]
fn stop_is_a_stop(bed: &Bed, pauses: &[u64], before: impl Fn(&Three), after: impl Fn(&Three)) {
    for &pause in pauses {
        bed.start_idle(&format!("s{}", bed.names().len()));
        let three = bed.three();
        before(&three);
        let mut stop = bed.tsm_command(["supervisor", "stop"]);
        let stop = stop.stdout(Stdio::piped()).stderr(Stdio::piped());
        let stop = stop.spawn().unwrap();
        let _: Option<()> = within(Duration::from_millis(pause), || None);
        after(&three);
        let ended = stop.wait_with_output().unwrap();
        assert!(ended.status.success(), "after {pause} ms: {ended:?}");
        bed.nobody_comes_back();
    }
    bed.tsm(["stop", "all"]).ok();
}

#[test]
fn a_supervisor_that_is_killed_while_it_ends_has_ended() {
    stop_is_a_stop(
        &Bed::new(),
        &[0, 1, 2, 4, 6, 8, 10, 12, 15, 20, 30],
        |_| {},
        |three| three[0].signal(Signal::KILL),
    );
}

#[test]
fn a_stop_just_after_both_were_killed_holds() {
    let kill_both = |three: &Three| {
        for process in &three[..2] {
            process.signal(Signal::KILL);
        }
    };
    stop_is_a_stop(&Bed::new(), &[0; 6], kill_both, |_| {});
    let bed = Bed::new();
    for pause in [0, 5, 10, 15, 20, 30, 40] {
        let later = |three: &Three| {
            kill_both(three);
            let _: Option<()> = within(Duration::from_millis(pause), || None);
        };
        stop_is_a_stop(&bed, &[pause], later, |_| {});
    }
}

/// Takes the home away, lets something happen to supervisor, guardian and sentinel, which cannot notice it before, and says
/// that nobody makes it anew.
#[track_caller]
fn no_home_is_made_anew(stopped: &[usize], happens: impl FnOnce(&Three)) {
    let bed = Bed::new();
    let pid = Seen::now(bed.start_idle("a"));
    let before = bed.three();
    for &number in stopped {
        before[number].signal(Signal::STOP);
    }
    let aside = bed.root().join("aside");
    fs::rename(bed.home(), &aside).unwrap();
    happens(&before);
    wait_until("nobody of the three is left", || {
        before.iter().all(|process| !process.is_alive()) && bed.machinery(true).is_empty()
    });
    assert!(!bed.home().exists(), "it was made anew");
    fs::rename(&aside, bed.home()).unwrap();
    bed.tsm(["stop", "a"]).ok();
    assert!(!pid.is_alive());
}

#[test]
fn a_supervisor_that_follows_another_makes_no_home_anew() {
    no_home_is_made_anew(&[0, 1], |[supervisor, guardian, _]| {
        supervisor.signal(Signal::KILL);
        guardian.signal(Signal::CONT);
    });
}

#[test]
fn a_home_that_was_removed_meanwhile_stays_so() {
    no_home_is_made_anew(&[1], |[supervisor, guardian, _]| {
        supervisor.signal(Signal::KILL);
        guardian.signal(Signal::KILL);
    });
}
