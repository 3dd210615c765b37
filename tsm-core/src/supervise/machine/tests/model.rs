//! The machine, model-checked: all sequences of events up to a depth, and all states that they lead to.
//!
//! Two states that differ only in what time it is are one: times are looked at as distances from now. So a depth is
//! reached at which nothing new comes any more, or nearly so, and every state on the way is checked, not a sample.

use std::collections::HashSet;

use super::world::{Poke, World};
use super::*;

/// How many events follow one another.
const DEPTH: usize = 9;

/// What can happen at each step. The times are one that is shorter than every time-out, one that is longer than those of
/// a stop, and one that is longer than a steady run and all delays.
const POKES: &[Poke] = &[
    Poke::Command(Event::Start),
    Poke::Command(Event::Restart),
    Poke::Command(Event::Stop { force: false }),
    Poke::Command(Event::Stop { force: true }),
    Poke::Command(Event::Delete),
    Poke::Command(Event::Reset),
    Poke::Command(Event::Unfit),
    Poke::LeaderEnds { success: true },
    Poke::LeaderEnds { success: false },
    Poke::OtherAppears,
    Poke::OtherEnds,
    Poke::LaunchSucceeds,
    Poke::LaunchFails,
    Poke::SweepIsDone,
    Poke::HookEnds,
    Poke::TimePasses(1),
    Poke::TimePasses(15),
    Poke::TimePasses(400),
];

/// A state, with times as distances from now, and without what only counts.
fn state(world: &World) -> String {
    let mut world = world.clone();
    let now = world.now;
    let from_now = |at: &mut Duration| *at = at.saturating_sub(now);
    match &mut world.machine.phase {
        Phase::Waiting { until, .. } => from_now(until),
        Phase::Running { since } => *since = now.saturating_sub(*since).min(STEADY),
        Phase::Ending { stage, next, .. } => {
            if let Stage::Group { until } | Stage::Rest { until } | Stage::Kill { until } = stage {
                from_now(until);
            }
            if let Next::Wait { until, .. } = next {
                from_now(until);
            }
        }
        _ => {}
    }
    world.now = Duration::ZERO;
    world.launches = 0;
    world.machine.restarts = world.machine.restarts.min(1);
    world.sweeps = world.sweeps.min(1);
    format!("{world:?}")
}

/// What must hold in every state.
fn check(world: &World) {
    let machine = &world.machine;
    if world.removed {
        assert_eq!(machine.phase, Phase::Removed);
        assert!(!world.leader && world.others == 0, "{world:?}");
        return;
    }
    // Nothing is at rest while its main process lives, and nothing is said to run that does not.
    if matches!(machine.phase, Phase::Resting(_) | Phase::Waiting { .. }) {
        assert!(!world.leader, "{world:?}");
    }
    if matches!(
        machine.phase,
        Phase::Running { .. } | Phase::Launching { .. }
    ) {
        assert!(world.leader, "{world:?}");
    }
    // It never gives up silently: what should run runs, waits, is on its way, or is said to have ended or failed.
    if machine.desired == Desired::Up {
        assert_ne!(machine.phase, Phase::Resting(Rest::Stopped), "{world:?}");
    }
    // What waits for a time has one, and what rests waits for none.
    let waits = matches!(
        machine.phase,
        Phase::Waiting { .. }
            | Phase::Ending {
                stage: Stage::Group { .. } | Stage::Rest { .. } | Stage::Kill { .. },
                ..
            }
    );
    if waits {
        assert!(machine.deadline().is_some(), "{world:?}");
    }
    if matches!(machine.phase, Phase::Resting(_)) {
        assert_eq!(machine.deadline(), None, "{world:?}");
    }
    // No delay is longer than the slow lane's.
    if let Phase::Waiting { until, .. } = machine.phase {
        let left = until.saturating_sub(world.now);
        assert!(left <= SLOW.mul_f64(1.0 + JITTER), "{world:?}");
    }
    // And from here a stop ends everything, for good.
    let mut stopped = world.clone();
    stopped.poke(Poke::Command(Event::Stop { force: false }));
    stopped.settle();
    assert!(
        stopped.removed || stopped.machine.phase == Phase::Resting(Rest::Stopped),
        "a stop does not end {world:?}: {stopped:?}"
    );
}

fn explore(restart: RestartPolicy, max_restarts: Option<u32>, hooks: HookSet) -> usize {
    let first = World::new(restart, max_restarts, hooks);
    let mut seen = HashSet::from([state(&first)]);
    let mut edge = vec![first];
    for _ in 0..DEPTH {
        let mut next = Vec::new();
        for world in &edge {
            for poke in POKES {
                let mut after = world.clone();
                // More than two of the others, or a long row of failures, are as one.
                if matches!(poke, Poke::OtherAppears) && after.others >= 2 {
                    continue;
                }
                after.poke(*poke);
                if after.machine.failures <= 4 && seen.insert(state(&after)) {
                    check(&after);
                    next.push(after);
                }
            }
        }
        edge = next;
    }
    seen.len()
}

#[test]
fn every_sequence_of_events_up_to_a_depth_keeps_the_promises() {
    let none = HookSet::default();
    let both = HookSet {
        pre_stop: true,
        post_stop: true,
    };
    let mut states = 0;
    for (restart, max_restarts, hooks) in [
        (RestartPolicy::OnFailure, None, none),
        (RestartPolicy::OnFailure, Some(1), none),
        (RestartPolicy::Always, None, none),
        (RestartPolicy::No, None, both),
    ] {
        states += explore(restart, max_restarts, hooks);
    }
    println!("{states} states");
    assert!(states > 1000, "only {states} states were seen");
}
