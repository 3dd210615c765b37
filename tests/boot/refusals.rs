//! What is refused, and what is undone when it does not work.

use crate::machine::Machine;

#[test]
#[ignore = "needs root and a test bed with systemd: tests/boot/run"]
fn what_does_not_work_is_undone_and_a_second_home_gets_a_name_of_its_own() {
    let machine = Machine::boot("refusals");
    machine.tester("tsm start --name a -- sleep 100000");
    let before = machine.running()["a"].pid;
    // A program that the user may not execute: systemd cannot start it.
    machine.install("/root/bin/tsm");
    let told = machine.tester_fails("sudo /root/bin/tsm startup");
    assert!(told.contains("journalctl"), "{told}");
    assert!(told.contains("all is as it was before"), "{told}");
    machine.root("! ls /etc/systemd/system/tsm.service /etc/systemd/system/*.wants/tsm.service ~tester/.tsm/startup 2>/dev/null");
    assert_eq!(machine.show(false, "LoadState"), "not-found");
    assert_eq!(machine.running()["a"].pid, before);

    // A program that others may write to, and a home of root's with nothing in it.
    machine.root("install -D -m 757 /usr/local/bin/tsm /opt/tsm");
    let told = machine.tester_fails("sudo /opt/tsm startup");
    assert!(told.contains("everybody may write to /opt/tsm"), "{told}");
    let told = machine.tester_fails("sudo tsm startup -u root");
    assert!(
        told.contains("it has neither a process nor a dump.json"),
        "{told}"
    );
    assert!(
        told.contains("/home/tester/.tsm of tester (processes: 1)"),
        "{told}"
    );
    let told = machine.tester_fails("tsm startup -u root");
    assert!(
        told.contains("only root may; sudo tsm startup -u root"),
        "{told}"
    );

    // Two homes of one user: each has a unit.
    machine.tester("TSM_HOME=~/other tsm start --name b -- sleep 100000");
    let told = machine.tester_fails("sudo tsm startup");
    assert!(told.contains("name one: --home DIR"), "{told}");
    machine.tester("sudo tsm --home ~/.tsm startup && sudo tsm --home ~/other startup");
    let units = machine.root("cd /etc/systemd/system && ls tsm*");
    assert_eq!(units, "tsm-tester-home-tester-other.service\ntsm.service\n");
    machine.reboot(false);
    crate::wait::wait_until("both homes have a supervisor", || {
        let told = machine.root("pgrep -fc 'resurrect --boot'");
        told.trim() == "2"
    });
    machine.tester("sudo tsm --home ~/other unstartup");
    assert_eq!(
        machine.root("cd /etc/systemd/system && ls tsm*"),
        "tsm.service\n"
    );
    // Without any record of what was installed, and whichever is left is found.
    machine.root("rm -r ~tester/.tsm/startup");
    machine.tester("sudo tsm --home ~/.tsm unstartup && tsm --home ~/other supervisor stop");
    machine.root("! ls /etc/systemd/system/tsm* 2>/dev/null");
}
