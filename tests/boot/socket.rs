//! A socket of systemd in front of a service: the units of `docs/recipes.md`, as they stand there.

use crate::machine::Machine;

/// The files of the page that belong to systemd, by their path.
fn units() -> Vec<(&'static str, &'static str)> {
    let page = include_str!("../../docs/recipes.md");
    let blocks = page.split("\n```ini ").skip(1);
    let files = blocks.map(|rest| {
        let (path, rest) = rest.split_once('\n').unwrap();
        (path, rest.split_once("\n```").unwrap().0)
    });
    files.collect()
}

#[test]
#[ignore = "needs root and a test bed with systemd: tests/boot/run"]
fn a_connection_starts_what_stands_behind_a_socket() {
    let machine = Machine::boot("socket");
    machine.tester("tsm start --name api --port 4001 --wait=60s -- systemd-socket-activate --listen=127.0.0.1:4001 --accept --inetd echo hello && tsm stop api");
    machine.tester("tsm startup");
    let units = units();
    assert_eq!(units.len(), 2, "{units:?}");
    for (path, text) in units {
        machine.tester(&format!(
            "mkdir -p $(dirname {path}) && cat > {path} <<'END'\n{text}\nEND"
        ));
    }
    machine
        .tester("systemctl --user daemon-reload; systemctl --user enable --now api-proxy.socket");
    let state = || machine.list()["api"]["state"].as_str().unwrap().to_owned();
    let asks = || machine.tester("cat < /dev/tcp/127.0.0.1/8000");
    for turn in ["at first", "after a reboot", "after another one"] {
        assert_eq!(state(), "stopped", "{turn}");
        assert_eq!(asks(), "hello\n", "{turn}");
        assert_eq!((state().as_str(), asks().as_str()), ("running", "hello\n"));
        // It is the supervisor's, not the proxy's.
        let pid = &machine.list()["api"]["pid"];
        let group = machine.root(&format!("cat /proc/{pid}/cgroup"));
        assert!(group.contains("/tsm.service"), "{group}");
        if turn == "at first" {
            machine.tester("systemctl --user stop api-proxy.service");
            assert_eq!(state(), "stopped", "after the proxy");
            assert_eq!(asks(), "hello\n", "the socket still listens");
        }
        machine.reboot(false);
        crate::wait::wait_until("the socket listens", || {
            let listens = machine.root("ss -Hltn 'sport = 8000'");
            !listens.is_empty() && machine.show(true, "ActiveState") == "active"
        });
    }
}
