//! The system unit, which root installs for a user.

use std::collections::BTreeMap;

use crate::machine::{Machine, Running};

/// What an installation leaves: all of `/etc` and of the home's start-up, but for systemd's own notes.
const TRACES: &str = "find /etc ~tester/.config ~tester/.tsm/startup /var/lib/systemd/linger 2>/dev/null | grep -v /etc/.pwd.lock | sort";

fn pids(running: &BTreeMap<String, Running>) -> Vec<u64> {
    running.values().map(|service| service.pid).collect()
}

#[track_caller]
pub(crate) fn same_environments(
    before: &BTreeMap<String, Running>,
    after: &BTreeMap<String, Running>,
) {
    for (name, service) in before {
        assert_eq!(service.environment, after[name].environment, "of '{name}'");
    }
}

/// The whole life of a unit, the system's or the user's.
#[track_caller]
pub(crate) fn lives(machine: &Machine, user: bool) {
    let (startup, unstartup, control) = if user {
        ("tsm startup", "tsm unstartup", "systemctl --user")
    } else {
        (
            "sudo tsm startup systemd",
            "sudo tsm unstartup",
            "sudo systemctl",
        )
    };
    machine.start_ten();
    let traces = machine.root(TRACES);
    machine.tester("tsm save");
    let before = machine.wait_running(10);
    assert!(before["s3"].environment.contains("NUMBER=3\n"));
    assert!(before["s3"].environment.contains("LONG=it's two lines\n"));

    // Taken over: the same processes, and under systemd the same services.
    let told = machine.tester(startup);
    assert!(
        told.contains("10 processes taken over as they ran"),
        "{told}"
    );
    assert_eq!(machine.show(user, "ActiveState"), "active");
    assert_eq!(machine.show(user, "StatusText"), "10 of 10 up");
    assert_eq!(machine.show(user, "TimeoutStopUSec"), "20s");
    assert_eq!(pids(&machine.running()), pids(&before));
    if !user {
        let group = machine.root(&format!("cat /proc/{}/cgroup", before["s1"].pid));
        assert!(group.contains("0::/system.slice/tsm.service/"), "{group}");
    }
    // Again is no mistake, and changes nothing.
    machine.tester(startup);
    assert_eq!(pids(&machine.running()), pids(&before));

    machine.kill_supervisor(user);
    assert_eq!(pids(&machine.wait_running(10)), pids(&before));
    machine.tester(&format!("{control} reload tsm"));
    machine.assert_counted();

    machine.reboot(false);
    let after = machine.wait_running(10);
    same_environments(&before, &after);
    assert_eq!(machine.list()["down"]["state"], "stopped");
    assert_eq!(machine.list()["counts"]["port"], 4001);
    machine.assert_counted();
    machine.kill_supervisor(user);
    assert_eq!(pids(&machine.wait_running(10)), pids(&after));

    // The plug is pulled: what should run runs, whatever the records say of pids.
    machine.reboot(true);
    same_environments(&before, &machine.wait_running(10));

    machine.tester(&format!("{control} stop tsm"));
    assert_eq!(machine.left(), "");
    assert_eq!(machine.list()["s1"]["state"], "stopped");
    machine.tester(&format!("{control} start tsm"));
    let after = machine.wait_running(10);

    // The services go on without it, and nothing of it is left.
    machine.tester(unstartup);
    assert_eq!(pids(&machine.running()), pids(&after));
    assert_eq!(machine.root(TRACES), traces);
    machine.tester(unstartup);
    machine.tester("tsm stop --all && tsm supervisor stop");
    assert_eq!(machine.left(), "");
}

#[test]
#[ignore = "needs root and a test bed with systemd: tests/boot/run"]
fn ten_services_under_a_system_unit() {
    lives(&Machine::boot("system"), false);
}

#[test]
#[ignore = "needs root and a test bed with systemd: tests/boot/run"]
fn the_unit_is_one_that_systemd_likes() {
    let machine = Machine::boot("verify");
    machine.tester("tsm start --name a -- sleep 100000 && sudo tsm startup");
    let told = machine.root("systemd-analyze verify /etc/systemd/system/tsm.service 2>&1");
    assert_eq!(told, "");
    // It confines nothing: what is started under it would be confined as well. But it runs as the user.
    let told = machine.root("systemd-analyze security --no-pager tsm.service");
    assert!(told.contains("User=/DynamicUser="), "{told}");
    let told = machine.root("systemctl show -p User -p UMask -p Delegate -p OOMPolicy tsm");
    for line in [
        "User=tester",
        "UMask=0077",
        "Delegate=yes",
        "OOMPolicy=continue",
    ] {
        assert!(told.lines().any(|l| l == line), "no {line}: {told}");
    }
}

#[test]
#[ignore = "needs root and a test bed with systemd: tests/boot/run"]
fn a_home_on_a_disk_that_comes_late_and_an_empty_tmp() {
    let machine = Machine::boot("late");
    // A file system that is mounted two seconds after everything else, by no target of the system's own.
    machine.root(
        r"mkdir -p /var/late /srv/late && chown tester: /var/late && mount --bind /var/late /srv/late
        cd /etc/systemd/system
        printf '[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart=/bin/sleep 2\n' > slow.service
        printf '[Unit]\nRequires=slow.service\nAfter=slow.service\n[Mount]\nWhat=/var/late\nWhere=/srv/late\nType=none\nOptions=bind\n' > srv-late.mount
        systemctl daemon-reload",
    );
    let list = "tsm --home /srv/late/tsm list --json --fast";
    machine.tester(
        r"export TSM_HOME=/srv/late/tsm; mkdir /tmp/gone
        tsm start --name stays -- sleep 100000 && cd /tmp/gone && tsm start --name homeless -- sleep 100000
        cd && sudo tsm --home /srv/late/tsm startup",
    );
    machine.reboot(false);
    crate::wait::wait_until("what can run runs", || {
        let told: serde_json::Value = serde_json::from_str(&machine.tester(list)).unwrap();
        let state = |at: usize| told[at]["state"].as_str().unwrap().to_owned();
        // The other one's directory may come back: it is tried again and again.
        state(0) == "running" && ["failed", "backoff", "stopped"].contains(&state(1).as_str())
    });
    assert_eq!(machine.show(false, "ActiveState"), "active");
}
