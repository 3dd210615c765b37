//! cron's `@reboot`, which works where systemd does not start services.

use crate::machine::Machine;
use crate::system::same_environments;

#[test]
#[ignore = "needs root and a test bed with systemd: tests/boot/run"]
fn ten_services_come_back_by_cron() {
    let machine = Machine::boot("cron");
    machine.start_ten();
    machine.tester("tsm save");
    let before = machine.wait_running(10);
    machine.tester("tsm startup cron");
    let table = machine.root("crontab -u tester -l");
    assert!(table.contains("@reboot "), "{table}");

    for hard in [false, true] {
        machine.reboot(hard);
        same_environments(&before, &machine.wait_running(10));
        assert_eq!(machine.list()["down"]["state"], "stopped");
    }
    machine.assert_counted();

    machine.tester("tsm unstartup");
    let table = machine.root("crontab -u tester -l 2>&1 || true");
    assert!(!table.contains("@reboot"), "{table}");
    machine.reboot(false);
    machine.tester("tsm list");
    assert!(machine.running().is_empty());
}
