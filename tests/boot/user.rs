//! The user's own unit, which needs nobody's permission, and lingering.

use crate::machine::Machine;
use crate::system::lives;

#[test]
#[ignore = "needs root and a test bed with systemd: tests/boot/run"]
fn ten_services_under_a_user_unit_that_lingers() {
    lives(&Machine::boot("user"), true);
}

#[test]
#[ignore = "needs root and a test bed with systemd: tests/boot/run"]
fn who_logs_out_of_a_session_that_ends_everything_was_told_before() {
    let machine = Machine::boot("logout");
    let told = machine
        .tester("tsm start --name a -- sleep 100000 2>&1; tsm delete -y a; tsm supervisor stop");
    assert!(!told.contains("logs out"), "{told}");
    machine.root("mkdir -p /etc/systemd/logind.conf.d; printf '[Login]\nKillUserProcesses=yes\n' > /etc/systemd/logind.conf.d/kill.conf; systemctl restart systemd-logind");
    let told = machine.tester(
        "tsm start --name a -- sleep 100000 2>&1; tsm list 2>&1; tsm doctor > doctor; true",
    );
    let remedy = "end when tester logs out (KillUserProcesses=yes in logind.conf)";
    assert_eq!(told.matches(remedy).count(), 1, "{told}");
    let told = machine.root("cat ~tester/doctor");
    let found = remedy.replacen("end", "ends", 1);
    assert!(told.contains(&format!("{found}: 'a'")), "{told}");
    crate::wait::wait_until("the session took its service along", || {
        machine.left().is_empty()
    });
    // With lingering nothing ends, and nothing is said: see `transient`.
    machine.root("loginctl enable-linger tester");
    let told = machine
        .tester("tsm delete -y a; tsm supervisor stop; tsm start --name b -- sleep 100000 2>&1");
    assert!(!told.contains("logs out"), "{told}");
    machine.tester("tsm delete -y b; tsm supervisor stop");
}
