//! Many services, many commands, and a supervisor that is killed all the while.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::bed::{Bed, run};
use crate::fault_kit::meanwhile;
use crate::processes;
use crate::wait::{wait_until, within};

const SERVICES: usize = 200;
/// Those that are restarted by commands all the while.
const RESTARTED: usize = 5;

#[test]
fn two_hundred_services_and_five_kills() {
    let bed = Bed::new();
    let names: Vec<String> = (0..SERVICES).map(|number| format!("s{number}")).collect();
    let scripts: Vec<String> = names.iter().map(|name| bed.lonely(name)).collect();
    let (first, second) = names.split_at(SERVICES / 2);
    std::thread::scope(|scope| {
        for (names, scripts) in [
            (first, &scripts[..SERVICES / 2]),
            (second, &scripts[SERVICES / 2..]),
        ] {
            let bed = &bed;
            scope.spawn(move || {
                for (name, script) in names.iter().zip(scripts) {
                    bed.tsm(["start", "--name", name, "--", script]).ok();
                }
            });
        }
    });
    let up = || {
        let listed = bed.list();
        let running = |view: &Value| view["state"] == "running";
        (listed.len() == SERVICES && listed.iter().all(running)).then_some(listed)
    };
    wait_until("all are up", || up().is_some());
    let pids = |views: &[Value]| -> Vec<u64> {
        let of = |name: &String| views.iter().find(|view| view["name"] == **name).unwrap();
        names
            .iter()
            .map(|name| of(name)["pid"].as_u64().unwrap())
            .collect()
    };
    let before = pids(&up().unwrap());

    let status = || {
        let text = std::fs::read(bed.home().join("status.json")).unwrap();
        serde_json::from_slice::<Vec<Value>>(&text).unwrap().len()
    };
    wait_until("the status knows all", || status() == SERVICES);

    let next = AtomicUsize::new(0);
    let list = || {
        let listed = bed.tsm(["list", "--json"]).ok();
        let views: Vec<Value> = serde_json::from_str(&listed.stdout).unwrap();
        assert_eq!(views.len(), SERVICES, "{}", listed.stderr);
        assert_eq!(listed.stderr, "");
    };
    let info = || {
        let number = next.fetch_add(7, Ordering::Relaxed) % SERVICES;
        assert_eq!(bed.info(&names[number])["name"], *names[number]);
        assert_eq!(status(), SERVICES);
    };
    let restart = || {
        let number = next.fetch_add(1, Ordering::Relaxed) % RESTARTED;
        bed.tsm(["restart", &names[number]]).ok();
    };
    let mut times = Vec::new();
    let done = meanwhile(&[&list, &info, &restart], || {
        for _ in 0..5 {
            let supervisor = bed.kill_supervisor();
            let (_, time) = bed.wait_next_supervisor(supervisor);
            times.push(time);
            within(Duration::from_millis(300), || None::<()>);
        }
    });
    eprintln!(
        "with {SERVICES} services a new supervisor answered after {times:?}; meanwhile {done:?} commands"
    );
    assert!(
        times.iter().all(|time| *time < Duration::from_secs(10)),
        "{times:?}"
    );

    wait_until("all are up", || up().is_some());
    let after = pids(&up().unwrap());
    assert_eq!(
        before[RESTARTED..],
        after[RESTARTED..],
        "some were started anew"
    );
    for (number, name) in names.iter().enumerate() {
        let runs = bed.runs_of(name);
        assert_eq!(
            u64::from(*runs.last().unwrap()),
            after[number],
            "'{name}': {runs:?}"
        );
        assert!(number < RESTARTED || runs.len() == 1, "'{name}': {runs:?}");
    }

    // All obey.
    bed.tsm(["restart", "s1*"]).ok();
    wait_until("all are up", || up().is_some());
    let again = pids(&up().unwrap());
    for (number, name) in names.iter().enumerate() {
        assert_eq!(
            again[number] != after[number],
            name.starts_with("s1"),
            "'{name}' was {}",
            after[number]
        );
    }
    run(bed.tsm_command(["stop", "--all"])).ok();
    assert!(
        bed.list()
            .iter()
            .all(|view| view["state"] == "stopped" && view["pid"].is_null())
    );
    let left = processes::belonging_to(&bed.home(), bed.root());
    let keepers = [bed.supervisor_pid(), bed.guardian_pid(), bed.sentinel_pid()];
    let others: Vec<_> = left
        .iter()
        .filter(|(process, _)| !keepers.contains(&Some(process.pid)))
        .collect();
    assert!(others.is_empty(), "left after stop: {others:?}");
    for name in &names {
        bed.runs_of(name);
    }
}
