//! What the fault tests have in common: keepers that are killed, services that notice when they run twice, lines that
//! are numbered.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::bed::{Bed, run};
use crate::processes::Seen;
use crate::wait::{wait_for, wait_until, within};

/// The steps of a start at which a supervisor can be let die.
pub(crate) const STEPS: [&str; 4] = [
    "start-1-recorded",
    "start-2-forked",
    "start-3-identified",
    "start-4-released",
];

impl Bed {
    /// The supervisor, as a process that is told from others.
    #[track_caller]
    pub(crate) fn supervisor_seen(&self) -> Seen {
        Seen::now(self.supervisor_pid().expect("no supervisor runs"))
    }

    /// The guardian.
    #[track_caller]
    pub(crate) fn guardian_seen(&self) -> Seen {
        Seen::now(self.guardian_pid().expect("no guardian runs"))
    }

    /// Kills the supervisor and waits until it has ended; a new one may be there by then.
    #[track_caller]
    pub(crate) fn kill_supervisor(&self) -> Seen {
        let supervisor = self.supervisor_seen();
        kill(supervisor);
        supervisor
    }

    /// The guardian's sentinel, which is there a moment after the first supervisor is at work.
    #[track_caller]
    pub(crate) fn sentinel_seen(&self) -> Seen {
        Seen::now(wait_for("there is a sentinel", || self.sentinel_pid()))
    }

    /// The processes that this home's supervision consists of, sentinels apart where they do not count.
    pub(crate) fn machinery(&self, sentinels: bool) -> Vec<Seen> {
        let is_part = |seen: Seen| {
            let words = fs::read(format!("/proc/{}/cmdline", seen.pid)).unwrap_or_default();
            let words: Vec<&[u8]> = words.split(|&b| b == 0).collect();
            let command = words.get(2).copied().unwrap_or_default();
            let is_sentinel = command == b"watch";
            words.get(1) == Some(&b"supervisor".as_slice())
                && (is_sentinel && sentinels || command == b"guard" || command == b"run-guarded")
        };
        let all = crate::processes::belonging_to(&self.home(), &self.home());
        let all = all.into_iter().map(|(seen, _)| seen);
        all.filter(|seen| is_part(*seen)).collect()
    }

    /// Kills supervisor, guardian and sentinel, so that nobody is left to bring any of them back. As long as one is at work it makes
    /// the others anew: all are stopped first.
    #[track_caller]
    pub(crate) fn kill_keepers(&self) {
        self.sentinel_seen();
        // Who is just being executed has no command line for a moment: one look that finds nobody is not enough.
        let mut looks = 0;
        wait_until("nobody of them is left", || {
            let all = self.machinery(true);
            for signal in [Signal::STOP, Signal::KILL] {
                for process in &all {
                    process.signal(signal);
                }
            }
            looks = if all.is_empty() { looks + 1 } else { 0 };
            looks > 10
        });
    }

    /// Kills supervisor and guardian at once: the guardian is stopped first, so that it does not start another one.
    #[track_caller]
    pub(crate) fn kill_both(&self) {
        let (supervisor, guardian) = (self.supervisor_seen(), self.guardian_seen());
        guardian.signal(Signal::STOP);
        supervisor.signal(Signal::KILL);
        kill(guardian);
        wait_ended(supervisor);
    }

    /// Stops guardian and supervisor, and returns both. Each would continue the other as long as one is at work.
    #[track_caller]
    pub(crate) fn stop_keepers(&self) -> (Seen, Seen) {
        let (guardian, supervisor) = (self.guardian_seen(), self.supervisor_seen());
        let is_stopped = |of: Seen| crate::processes::stat(of.pid).is_some_and(|s| s.stopped);
        wait_until("both are stopped", || {
            for keeper in [guardian, supervisor] {
                keeper.signal(Signal::STOP);
                if within(Duration::from_secs(5), || is_stopped(keeper).then_some(())).is_none() {
                    return false;
                }
            }
            is_stopped(guardian) && is_stopped(supervisor)
        });
        (guardian, supervisor)
    }

    /// Stops both until the value is dropped.
    #[track_caller]
    pub(crate) fn freeze_keepers(&self) -> [Frozen; 2] {
        let (guardian, supervisor) = self.stop_keepers();
        [Frozen(guardian), Frozen(supervisor)]
    }

    /// Waits until another supervisor than `before` answers, and returns it with the time that it took.
    #[track_caller]
    pub(crate) fn wait_next_supervisor(&self, before: Seen) -> (Seen, Duration) {
        let begin = Instant::now();
        let next = wait_for("a new supervisor answers", || {
            self.supervisor_pid().filter(|&pid| pid != before.pid)
        });
        (Seen::now(next), begin.elapsed())
    }

    /// The file by which a supervisor is told where to die.
    pub(crate) fn fail_point(&self) -> PathBuf {
        self.root().join("fail-point")
    }

    /// `tsm ARGS`; the supervisor that it may start dies where [`Self::arm`] says.
    pub(crate) fn rigged<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = self.tsm_command(args);
        command.env("TSM_FAIL_POINT", self.fail_point());
        command
    }

    /// Starts a rigged supervisor, which does nothing yet.
    #[track_caller]
    pub(crate) fn start_rigged_supervisor(&self) {
        run(self.rigged(["start", "--name", "first", "--", "sleep", "100000"])).ok();
    }

    /// Lets a rigged supervisor die, once, when it comes to this point.
    #[track_caller]
    pub(crate) fn arm(&self, point: &str) {
        let temporary = self.root().join("fail-point.new");
        fs::write(&temporary, point).unwrap();
        fs::rename(&temporary, self.fail_point()).unwrap();
    }

    /// Lets a rigged supervisor die when it comes to this point for the `times`th time.
    #[track_caller]
    pub(crate) fn arm_after(&self, point: &str, times: u32) {
        self.arm(&format!("{point} {times}"));
    }

    /// Where it did not come to the point, it is not to die there later.
    pub(crate) fn disarm(&self) {
        let _ = fs::remove_file(self.fail_point());
    }

    /// Requires that the supervisor died where it was told to.
    #[track_caller]
    pub(crate) fn fired(&self, point: &str) {
        assert!(
            !self.fail_point().exists(),
            "the supervisor never came to {point}"
        );
    }

    /// A script that runs until it is ended and holds a lock as long as anything of it lives. A second copy beside it
    /// says so in a file: see [`Self::runs_of`].
    pub(crate) fn lonely(&self, name: &str) -> String {
        let path = self.script(
            &format!("{name}.sh"),
            &format!(
                "#!/bin/sh\n\
                 exec 9>>{name}.lock\n\
                 flock -n 9 || echo $$ >> {name}.double\n\
                 read up idle < /proc/uptime\n\
                 echo \"$$ $up\" >> {name}.runs\n\
                 exec sleep 100000\n"
            ),
        );
        path.to_str().unwrap().to_owned()
    }

    /// The pids that a [`Self::lonely`] script had, in order; no two of them ever lived at once.
    #[track_caller]
    pub(crate) fn runs_of(&self, name: &str) -> Vec<u32> {
        let double = fs::read_to_string(self.path(&format!("{name}.double")));
        assert!(double.is_err(), "'{name}' ran twice at once: {double:?}");
        let runs = fs::read_to_string(self.path(&format!("{name}.runs"))).unwrap_or_default();
        runs.lines()
            .map(|line| line.split_once(' ').unwrap().0.parse().unwrap())
            .collect()
    }

    /// Waits until a [`Self::lonely`] script has run so often, and requires that the last run is the one on record.
    #[track_caller]
    pub(crate) fn wait_runs(&self, name: &str, number: usize) -> u32 {
        self.wait_file(&format!("{name}.runs"), |text| {
            text.ends_with('\n') && text.lines().count() >= number
        });
        let runs = self.runs_of(name);
        assert_eq!(
            runs.len(),
            number,
            "'{name}' was executed too often: {runs:?}"
        );
        let last = *runs.last().unwrap();
        wait_until(&format!("'{name}' is on record as {last}"), || {
            let view = self.view(name);
            view["state"] == "running" && view["pid"] == last
        });
        assert!(Seen::now(last).is_alive());
        last
    }

    /// Starts a service that prints numbered lines, about one each millisecond, until its file `NAME.halt` is there, and
    /// a last line then. With `pause` 0 it prints as fast as it can.
    #[track_caller]
    pub(crate) fn start_numbers(&self, name: &str, pause: &str) {
        // A script of its own: one that runs is not written again.
        let script = format!("{name}.pl");
        self.script(&script, NUMBERS);
        // All of it stays in one file, to be looked at as one.
        let size = ["--log-max-size", "1000G"];
        self.tsm(
            ["start", "--name", name]
                .iter()
                .chain(&size)
                .chain(&["--", "perl", &script, name, pause]),
        )
        .ok();
    }

    /// Lets [`Self::start_numbers`] come to its end, and requires that no line was lost, doubled or torn.
    #[track_caller]
    pub(crate) fn check_numbers(&self, name: &str) -> u64 {
        self.file(&format!("{name}.halt"), "");
        let log = self.wait_log(&format!("{name}.out"), "the end");
        let mut expected = 0_u64;
        let mut lines = log.lines();
        for line in &mut lines {
            if line == "the end" {
                break;
            }
            expected += 1;
            assert_eq!(line, expected.to_string(), "'{name}' lost or tore a line");
        }
        assert_eq!(lines.next(), None, "lines of '{name}' after its end");
        expected
    }

    /// The text of a record.
    pub(crate) fn meta_path(&self, name: &str) -> PathBuf {
        self.home().join("processes").join(format!("{name}.meta"))
    }

    /// A field of a record, as it stands.
    #[track_caller]
    pub(crate) fn meta(&self, name: &str, field: &str) -> Option<String> {
        let text = fs::read_to_string(self.meta_path(name)).unwrap();
        let wanted = format!("{field}=");
        text.split_whitespace()
            .find_map(|word| word.strip_prefix(&wanted))
            .map(|value| value.trim_matches('\'').to_owned())
    }

    /// Writes another value into a field of a record, while no supervisor is there.
    #[track_caller]
    pub(crate) fn edit_meta(&self, name: &str, field: &str, value: &str) {
        let text = fs::read_to_string(self.meta_path(name)).unwrap();
        let wanted = format!("{field}=");
        let words: Vec<String> = text
            .split_whitespace()
            .map(|word| match word.strip_prefix(&wanted) {
                Some(_) => format!("{wanted}{value}"),
                None => word.to_owned(),
            })
            .collect();
        let edited = words.join(" ") + "\n";
        assert_ne!(edited, text, "no field {field} in the record of '{name}'");
        fs::write(self.meta_path(name), edited).unwrap();
    }

    /// How runs of a process ended, oldest first, as its history has it.
    #[track_caller]
    pub(crate) fn exits(&self, name: &str) -> Vec<String> {
        let path = self
            .home()
            .join("processes")
            .join(format!("{name}.events.jsonl"));
        let text = fs::read_to_string(path).unwrap();
        let events = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        events
            .filter(|event| event["event"] == "exited")
            .map(|event| event["status"].as_str().unwrap().to_owned())
            .collect()
    }
}

const NUMBERS: &str = r#"#!/usr/bin/perl
my ($name, $pause) = @ARGV;
$| = 1 if $pause > 0;
my $i = 0;
until (($pause > 0 || $i % 1000 == 0) && -e "$name.halt") {
    print ++$i, "\n";
    select(undef, undef, undef, $pause) if $pause > 0;
}
print "the end\n";
$| = 1;
sleep 100000;
"#;

/// Lets a moment pass that is shorter than any that a thread can sleep.
pub(crate) fn moment(length: Duration) {
    let until = Instant::now() + length;
    while Instant::now() < until {
        std::thread::yield_now();
    }
}

/// Kills a process and waits for its end.
#[track_caller]
pub(crate) fn kill(process: Seen) {
    process.signal(Signal::KILL);
    wait_ended(process);
}

/// Waits until a process has ended with all its threads: only then is everything closed that it held.
#[track_caller]
pub(crate) fn wait_ended(process: Seen) {
    wait_until("a process has ended", || {
        let threads = fs::read_dir(format!("/proc/{}/task", process.pid));
        !process.is_alive() && threads.map_or(0, Iterator::count) <= 1
    });
}

/// Whether nobody with this pid lives.
pub(crate) fn is_gone(pid: u32) -> bool {
    crate::processes::stat(pid).is_none_or(|stat| stat.ended)
}

impl Bed {
    /// Stops the guardian until the value is dropped, although its supervisor may be killed meanwhile.
    #[track_caller]
    pub(crate) fn freeze_guardian(&self) -> [Frozen; 2] {
        // As long as the guardian is at work it continues its sentinel, which would continue the guardian.
        let (guardian, sentinel) = (self.guardian_seen(), self.sentinel_seen());
        [guardian, sentinel].map(Frozen::new)
    }

    /// The sentinel, without asking the supervisor, which may be stopped.
    #[track_caller]
    pub(crate) fn sentinel_in_proc(&self) -> Seen {
        let others = self.machinery(false);
        let mut all = self.machinery(true);
        all.retain(|seen| !others.contains(seen));
        assert_eq!(all.len(), 1, "{all:?}");
        all[0]
    }
}

/// A process that is stopped and goes on with the end of the value, whatever becomes of the test.
pub(crate) struct Frozen(Seen);

impl Frozen {
    pub(crate) fn new(process: Seen) -> Self {
        process.signal(Signal::STOP);
        wait_until("it is stopped", || {
            crate::processes::stat(process.pid).is_some_and(|stat| stat.stopped)
        });
        Self(process)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.0.signal(Signal::CONT);
    }
}

/// Does something again and again in a thread of its own until the value is dropped. Its panics are the test's.
pub(crate) struct Meanwhile<'scope> {
    over: &'scope AtomicBool,
}

impl Drop for Meanwhile<'_> {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Runs `main` while each of `others` is done again and again, and returns how often.
#[track_caller]
pub(crate) fn meanwhile(others: &[&(dyn Fn() + Sync)], main: impl FnOnce()) -> Vec<u32> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let threads: Vec<_> = others
            .iter()
            .map(|other| {
                let over = &over;
                scope.spawn(move || {
                    let mut times = 0;
                    while !over.load(Ordering::Relaxed) {
                        other();
                        times += 1;
                    }
                    times
                })
            })
            .collect();
        {
            let _over_at_the_end = Meanwhile { over: &over };
            main();
        }
        threads
            .into_iter()
            .map(|thread| match thread.join() {
                Ok(times) => times,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}
