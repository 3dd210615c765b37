//! A machine whose process 1 is systemd, with `tsm` in it and a user `tester`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::wait::wait_for;

/// Where the scripts are that make and boot machines.
fn bed() -> PathBuf {
    match std::env::var_os("TSM_SYSTEMD_BED") {
        Some(directory) => directory.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/systemd-bed"),
    }
}

pub(crate) struct Machine {
    name: String,
}

/// A service of the tests: what it is called, and what its environment has to be after a reboot, too.
pub(crate) struct Running {
    pub(crate) pid: u64,
    pub(crate) environment: String,
}

impl Machine {
    /// Boots a new one. `name` tells it from those of other tests.
    #[track_caller]
    pub(crate) fn boot(name: &str) -> Self {
        let name = format!("tsm-{name}-{}", std::process::id());
        let machine = Self { name };
        machine.bed("boot.sh", &["--fresh"]);
        machine.install("/usr/local/bin/tsm");
        machine
    }

    /// Puts the program somewhere.
    #[track_caller]
    pub(crate) fn install(&self, path: &str) {
        let mut command = self.script(
            "exec.sh",
            &["install", "-D", "-m", "755", "/dev/stdin", path],
        );
        command.stdin(File::open(env!("CARGO_BIN_EXE_tsm")).unwrap());
        good(&mut command);
    }

    fn script(&self, script: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(bed().join(script));
        command
            .args(arguments)
            .env("BED_NAME", &self.name)
            .stdin(Stdio::null());
        command
    }

    #[track_caller]
    fn bed(&self, script: &str, arguments: &[&str]) -> String {
        good(&mut self.script(script, arguments))
    }

    /// A line of shell as root.
    #[track_caller]
    pub(crate) fn root(&self, line: &str) -> String {
        self.bed("exec.sh", &["-r", "bash", "-c", line])
    }

    /// A line of shell as the user, logged in anew.
    #[track_caller]
    pub(crate) fn tester(&self, line: &str) -> String {
        self.bed("exec.sh", &["-u", "tester", "bash", "-c", line])
    }

    /// As [`Self::tester`], with an exit status that is not 0; what was said on standard error.
    #[track_caller]
    pub(crate) fn tester_fails(&self, line: &str) -> String {
        let arguments = ["-u", "tester", "bash", "-c", line];
        let output = self.script("exec.sh", &arguments).output().unwrap();
        assert!(
            !output.status.success(),
            "`{line}` did not fail: {output:?}"
        );
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Reboots: in order, or as if the plug were pulled.
    #[track_caller]
    pub(crate) fn reboot(&self, hard: bool) {
        self.bed("reboot.sh", if hard { &["--hard"] } else { &[] });
    }

    /// What `list --json` says, by name.
    #[track_caller]
    pub(crate) fn list(&self) -> BTreeMap<String, Value> {
        let text = self.root("runuser -u tester -- tsm --home ~tester/.tsm list --json --fast");
        let views: Vec<Value> = serde_json::from_str(&text).unwrap();
        let named = |view: Value| (view["name"].as_str().unwrap().to_owned(), view);
        views.into_iter().map(named).collect()
    }

    /// The services that run, each with its environment.
    #[track_caller]
    pub(crate) fn running(&self) -> BTreeMap<String, Running> {
        let pids: BTreeMap<String, u64> = self
            .list()
            .into_iter()
            .filter_map(|(name, view)| Some((name, view["pid"].as_u64()?)))
            .collect();
        let mut line = String::new();
        for pid in pids.values() {
            // Each run has a cookie of its own.
            let of_all = "tr '\\0\\n' '\\n ' | grep -v ^TSM_COOKIE= | sort";
            write!(line, "cat /proc/{pid}/environ | {of_all}; echo ---;").unwrap();
        }
        let told = self.root(&line);
        let environments = told.split("---\n").map(str::to_owned);
        pids.into_iter()
            .zip(environments)
            .map(|((name, pid), environment)| (name, Running { pid, environment }))
            .collect()
    }

    /// Waits until so many services run.
    #[track_caller]
    pub(crate) fn wait_running(&self, number: usize) -> BTreeMap<String, Running> {
        wait_for(&format!("{number} services run"), || {
            Some(self.running()).filter(|running| running.len() == number)
        })
    }

    /// Starts ten services as the user, each with an environment of its own, and one more that is stopped again.
    #[track_caller]
    pub(crate) fn start_ten(&self) {
        self.tester(
            r#"mkdir -p shop && cd shop && export LONG="$(printf 'it'\''s\ntwo lines')"
            for i in 1 2 3 4 5 6 7 8 9; do NUMBER=$i tsm start --name s$i --stop-timeout ${i}s -- sleep 10000$i || exit; done
            printf '#!/bin/bash\nwhile :; do echo $((n++)); sleep 0.05; done\n' > count.sh
            tsm start --name counts --port 4001 count.sh && tsm start --name down -- sleep 5 && tsm stop down"#,
        );
    }

    /// A line of `systemctl show`, for the system's manager or the user's.
    #[track_caller]
    pub(crate) fn show(&self, user: bool, property: &str) -> String {
        let line = format!("systemctl {} show -p {property} --value tsm", flag(user));
        let told = if user {
            self.tester(&line)
        } else {
            self.root(&line)
        };
        told.trim().to_owned()
    }

    /// Kills the supervisor of the unit, and waits until systemd has started another.
    #[track_caller]
    pub(crate) fn kill_supervisor(&self, user: bool) {
        let before = self.show(user, "MainPID");
        self.root(&format!("kill -9 {before}"));
        wait_for("systemd has started another supervisor", || {
            let now = self.show(user, "MainPID");
            let up = self.show(user, "ActiveState") == "active";
            (up && now != "0" && now != before).then_some(())
        });
    }

    /// What the counting service has printed is every number once, in order.
    #[track_caller]
    pub(crate) fn assert_counted(&self) {
        let text = self.root("cat ~tester/.tsm/logs/counts.out");
        let numbers: Vec<u32> = text.lines().map(|line| line.parse().unwrap()).collect();
        for pair in numbers.windows(2) {
            // After a reboot it begins anew.
            assert!(
                pair[1] == pair[0] + 1 || pair[1] == 0,
                "{pair:?} in its log"
            );
        }
        assert!(!numbers.is_empty());
    }

    /// Processes of services: those that bear the cookie of TSM.
    #[track_caller]
    pub(crate) fn left(&self) -> String {
        self.root("grep -lz ^TSM_COOKIE= /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 | xargs -r ps -fp || true")
    }
}

pub(crate) fn flag(user: bool) -> &'static str {
    if user { "--user" } else { "" }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let line = "journalctl -b --no-pager -n 60; cat ~tester/.tsm/logs/tsm.log | tail -n 20";
            let told = self.script("exec.sh", &["-r", "bash", "-c", line]).output();
            eprintln!("{}", told.map(|told| said(&told)).unwrap_or_default());
        }
        // What is left of it is told by its own exit status, which nobody waits for here.
        let _ = self.script("stop.sh", &["--kill", "--purge"]).output();
    }
}

fn said(output: &Output) -> String {
    let texts = [&output.stdout, &output.stderr];
    texts.map(|bytes| String::from_utf8_lossy(bytes)).join("\n")
}

/// Runs a command that has to succeed, and returns what it printed.
#[track_caller]
fn good(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
