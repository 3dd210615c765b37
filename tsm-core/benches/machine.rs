//! The state machine: what one event costs, over the events of whole lives.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use tsm_core::spec::RestartPolicy;
use tsm_core::supervise::machine::{Desired, Event, HookSet, Machine, Phase, Policy, Rest};

const FAILED: Event = Event::Exited { success: false };
const NOTHING_LEFT: Event = Event::Swept { group: 0, rest: 0 };

/// Started by a person, stopped by a person.
const CALM: &[Event] = &[
    Event::Start,
    NOTHING_LEFT,
    Event::Launched,
    Event::Stop { force: false },
    FAILED,
    NOTHING_LEFT,
];

/// Started, crashes again and again, is restarted, resists, is killed.
const TROUBLED: &[Event] = &[
    Event::Start,
    NOTHING_LEFT,
    Event::Launched,
    FAILED,
    NOTHING_LEFT,
    Event::Deadline,
    Event::Launched,
    FAILED,
    Event::Swept { group: 1, rest: 0 },
    Event::LeftGone,
    NOTHING_LEFT,
    Event::Deadline,
    Event::LaunchFailed,
    NOTHING_LEFT,
    Event::Deadline,
    Event::Launched,
    Event::Restart,
    Event::Deadline,
    FAILED,
    Event::Swept { group: 0, rest: 2 },
    Event::Deadline,
    NOTHING_LEFT,
    Event::Launched,
    Event::Stop { force: true },
    FAILED,
    NOTHING_LEFT,
];

fn live(events: &[Event]) -> Machine {
    let policy = Policy {
        restart: RestartPolicy::OnFailure,
        max_restarts: Some(100),
        stop_timeout: Duration::from_secs(10),
        hooks: HookSet::default(),
        backoff: tsm_core::supervise::machine::Backoff::default(),
    };
    let mut machine = Machine::new(policy, Desired::Down, Phase::Resting(Rest::Stopped));
    let mut now = Duration::from_secs(1);
    for event in events {
        let (next, actions) = machine.step(black_box(*event), now, 0.5);
        black_box(&actions);
        machine = next;
        now = machine.deadline().unwrap_or(now + Duration::from_millis(1));
    }
    machine
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("machine");
    for (name, events) in [("start and stop", CALM), ("crashes and resists", TROUBLED)] {
        // Both end where they began, so that no event falls on a machine that does not care for it.
        assert_eq!(live(events).phase, Phase::Resting(Rest::Stopped), "{name}");
        group.throughput(Throughput::Elements(events.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| live(events)));
    }
    group.finish();
    criterion.final_summary();
}
