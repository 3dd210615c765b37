//! Limits that the kernel holds a service to, where the machine has the controllers: `BED_KIND=vm tests/boot/run limits`.

use std::time::Duration;

use crate::machine::Machine;
use crate::wait::{wait_until, within};

/// The machine may be emulated.
const PATIENCE: Duration = Duration::from_mins(3);

#[test]
#[ignore = "needs root and a test bed with systemd: tests/boot/run"]
fn memory_tasks_and_cpu_are_held_by_the_kernel_and_what_was_hit_is_told() {
    let machine = Machine::boot("limits");
    machine.tester("tsm start --name first -- sleep 100000 && sudo tsm startup");
    let controllers =
        machine.root("cat /sys/fs/cgroup/system.slice/tsm.service/cgroup.controllers");
    if !["memory", "pids", "cpu"]
        .iter()
        .all(|wanted| controllers.split_whitespace().any(|c| c == *wanted))
    {
        eprintln!(
            "skipped: this machine has no controllers for memory, pids and cpu; BED_KIND=vm has"
        );
        return;
    }
    machine.tester(
        r#"printf '#!/bin/bash\nprintf -v x "%%*s" 200000000 x\nsleep 100000\n' > eat
        printf '#!/bin/bash\nfor i in $(seq 30); do sleep 100000 & done\nwait\n' > forks
        printf '#!/bin/bash\nwhile :; do :; done\n' > burn
        chmod +x eat forks burn
        tsm start ./eat --max-memory 64M --restart no
        tsm start ./forks --tasks 10 --restart no
        tsm start ./burn --max-cpu 20%"#,
    );
    for name in ["eat", "forks"] {
        let failed = || (machine.list()[name]["state"] == "failed").then_some(());
        within(PATIENCE, failed).unwrap_or_else(|| panic!("{name} has not failed"));
    }
    let told = machine.tester("tsm why eat; tsm history eat; tsm history forks");
    assert!(
        told.contains("killed by SIGKILL; the kernel's OOM killer: limit 64 MiB"),
        "{told}"
    );
    assert!(
        told.contains("hit its limit of memory, 64 MiB (run 1)"),
        "{told}"
    );
    assert!(
        told.contains("hit its limit of tasks, 10 (run 1)"),
        "{told}"
    );
    let group = "/sys/fs/cgroup/system.slice/tsm.service/tsm-burn";
    assert_eq!(
        machine.root(&format!("cat {group}/cpu.max")),
        "20000 100000\n"
    );
    wait_until("the kernel has held it back", || {
        let stat = machine.root(&format!("cat {group}/cpu.stat"));
        let throttled = stat
            .lines()
            .find_map(|line| line.strip_prefix("nr_throttled "));
        throttled.is_some_and(|number| number.trim() != "0")
    });

    // systemd puts the next supervisor into the unit's own group, where the kernel lets nobody in whose groups below have
    // controllers: room is made for it, and the limits hold again once it is there.
    let burner = machine.running()["burn"].pid;
    machine.kill_supervisor(false);
    assert_eq!(machine.running()["burn"].pid, burner);
    wait_until("the limit holds again", || {
        machine.root(&format!("cat {group}/cpu.max || true")) == "20000 100000\n"
    });
}
