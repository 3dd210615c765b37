//! A supervisor that a command started by itself, in a transient unit of its user's own systemd.

use crate::machine::Machine;
use crate::wait::{wait_for, wait_until};

const LINGERS: &str = "mkdir -p /etc/systemd/logind.conf.d; printf '[Login]\nKillUserProcesses=yes\n' > /etc/systemd/logind.conf.d/kill.conf; systemctl restart systemd-logind; loginctl enable-linger tester";

/// What says when it is told to end.
const POLITE: &str = "printf '#!/bin/bash\ntrap \"echo asked > ~/asked; exit\" TERM\nwhile :; do sleep 0.1; done\n' > polite; chmod +x polite";

impl Machine {
    /// The units of ours that the user's systemd knows, loaded for whatever reason.
    #[track_caller]
    fn units(&self) -> Vec<String> {
        let told = self.tester("systemctl --user list-units --all --plain --no-legend 'tsm-*'");
        let name = |line: &str| line.split_whitespace().next().map(str::to_owned);
        told.lines().filter_map(name).collect()
    }

    #[track_caller]
    fn wait_no_unit(&self) {
        wait_until("no unit is left", || self.units().is_empty());
    }

    /// The guardian or the supervisor, by its word of the command line; the only one.
    #[track_caller]
    fn keeper(&self, word: &str) -> String {
        wait_for(&format!("there is one {word}"), || {
            let told = self.root(&format!("pgrep -f '[s]upervisor {word} --home' || true"));
            let told = told.trim().to_owned();
            (!told.is_empty() && !told.contains('\n')).then_some(told)
        })
    }

    /// Waits until another one than `before` is there alone.
    #[track_caller]
    fn other_keeper(&self, word: &str, before: &str) -> String {
        wait_for(&format!("there is another {word}"), || {
            let told = self.root(&format!("pgrep -f '[s]upervisor {word} --home' || true"));
            let told = told.trim().to_owned();
            let one = !told.is_empty() && !told.contains('\n');
            (one && told != before).then_some(told)
        })
    }

    #[track_caller]
    fn main_pid(&self, unit: &str) -> String {
        let told = self.tester(&format!("systemctl --user show -p MainPID --value {unit}"));
        told.trim().to_owned()
    }
}

#[test]
#[ignore = "needs root and a test bed with systemd: tests/boot/run"]
fn of_who_lingers_services_outlive_the_login_and_both_keepers() {
    let machine = Machine::boot("transient");
    machine.root(LINGERS);
    machine.tester(POLITE);
    let told = machine
        .tester("tsm start --name a -- sleep 100000; tsm start ./polite; tsm supervisor status");
    let units = machine.units();
    let [unit] = units.as_slice() else {
        panic!("{units:?}, {told}")
    };
    assert!(
        told.contains(&format!("Unit of systemd: {unit}\n")),
        "{told}"
    );
    // The session of that command is over, and would have taken all along.
    let before = machine.running();
    assert_eq!(before.len(), 2);
    let group = machine.root(&format!("grep ^0:: /proc/{}/cgroup", before["a"].pid));
    assert!(
        group.contains(&format!("/user@1000.service/app.slice/{unit}/tsm-a")),
        "{group}"
    );
    assert!(machine.tester("tsm doctor").starts_with("Nothing is wrong"));

    // Both are killed, and nobody asks for anything: systemd starts others, and these look after what runs.
    let (guardian, supervisor) = (machine.keeper("guard"), machine.keeper("run-guarded"));
    machine.root(&format!("kill -9 {guardian} {supervisor}"));
    let guardian = machine.other_keeper("guard", &guardian);
    let supervisor = machine.other_keeper("run-guarded", &supervisor);
    assert_eq!(machine.main_pid(unit), guardian);
    let old = before["a"].pid;
    assert_eq!(machine.running()["a"].pid, old);
    machine.root(&format!("kill -9 {old}"));
    wait_until("it runs again", || {
        machine.list()["a"]["pid"]
            .as_u64()
            .is_some_and(|pid| pid != old)
    });

    // The guardian alone: the next one's supervisor takes over from the one that is left.
    let (a, polite) = (machine.running()["a"].pid, before["polite"].pid);
    machine.root(&format!("kill -9 {guardian}"));
    let guardian = machine.other_keeper("guard", &guardian);
    machine.other_keeper("run-guarded", &supervisor);
    assert_eq!(machine.main_pid(unit), guardian);
    let now = machine.running();
    assert_eq!((now["a"].pid, now["polite"].pid), (a, polite));

    // Who stops the unit stops what is in it, each as `tsm stop` does, and nobody has decided anything about the next boot.
    machine.tester(&format!("systemctl --user stop {unit}"));
    assert_eq!(machine.left(), "");
    assert_eq!(machine.root("cat ~tester/asked"), "asked\n");
    machine.wait_no_unit();
    let told = machine.tester("tsm history polite");
    assert!(told.contains("the end of its unit of systemd"), "{told}");
}

#[test]
#[ignore = "needs root and a test bed with systemd: tests/boot/run"]
fn no_unit_is_left_behind_and_services_may_stay_in_an_old_one() {
    let machine = Machine::boot("leftunit");
    machine.root(LINGERS);
    machine.tester("tsm start --name a -- sleep 100000 && tsm stop a && tsm supervisor stop");
    machine.wait_no_unit();
    machine.tester("tsm start --name b -- sleep 100000 && tsm kill b && tsm supervisor stop");
    machine.wait_no_unit();

    // A supervisor ends, its services do not: the next one has a unit of its own, and stops them all the same.
    machine.tester("tsm start a && tsm supervisor stop");
    let old = machine.running()["a"].pid;
    machine.tester("tsm start b");
    assert_eq!(machine.running()["a"].pid, old);
    assert_eq!(machine.units().len(), 2);
    machine.tester("tsm restart a");
    wait_until("the old unit is gone", || machine.units().len() == 1);

    // The machine goes down: they are asked to end. Nothing starts them at the next boot, which is told.
    machine.tester(&format!("{POLITE}; tsm start ./polite"));
    machine.reboot(false);
    assert_eq!(machine.root("cat ~tester/asked"), "asked\n");
    let told = machine.tester("tsm start --name c -- sleep 100000 2>&1; tsm list");
    assert!(told.contains("ran before the reboot"), "{told}");
    machine.tester("tsm stop all && tsm supervisor stop");
    machine.wait_no_unit();
    assert_eq!(machine.left(), "");
}

#[test]
#[ignore = "needs root and a test bed with systemd: tests/boot/run"]
fn where_systemd_would_start_it_otherwise_or_not_at_all_it_stays_in_the_session() {
    let machine = Machine::boot("instead");
    machine.root("loginctl enable-linger tester");
    // A group that the user got after their systemd had begun: a service would not be in it.
    machine.root("gpasswd -a tester games");
    let told = machine
        .tester("tsm start --name a -- sleep 100000 2>&1; tsm supervisor status; tsm doctor");
    assert!(told.contains(".scope (a login session)\n"), "{told}");
    assert!(told.contains("Nothing is wrong"), "{told}");
    machine.wait_no_unit();
    let log = machine.root("cat ~tester/.tsm/logs/tsm.log");
    assert!(
        log.contains("would start services with other groups: not in a unit of it"),
        "{log}"
    );
    assert!(
        log.contains("not in a unit of the user's systemd, but in the session of "),
        "{log}"
    );
    machine.tester("tsm stop a; tsm supervisor stop");
    machine.root("gpasswd -d tester games");
    // And without the program that asks for it.
    machine.tester("PATH=/nowhere /usr/local/bin/tsm start a; /usr/local/bin/tsm supervisor stop");
    assert_eq!(machine.units(), Vec::<String>::new());
    // Limits that are higher than those of the user's systemd.
    let most = machine.root(
        "awk '/open files/ { print $5 }' \
         /proc/$(systemctl show user@$(id -u tester).service --property=MainPID --value)/limits",
    );
    let more = most.trim().parse::<u64>().unwrap() + 1;
    let told = machine.tester(&format!(
        "tsm stop a; sudo prlimit --pid $$ --nofile=1024:{more} 2>&1 && tsm start a; \
         tsm supervisor status"
    ));
    if !told.contains("prlimit: failed") {
        assert!(told.contains(".scope (a login session)\n"), "{told}");
    }
    machine
        .tester("tsm supervisor stop; tsm start --name b -- sleep 100000; tsm supervisor status");
    assert_eq!(machine.units().len(), 1);
    machine.tester("tsm stop all; tsm supervisor stop");
    assert_eq!(machine.left(), "");
}
