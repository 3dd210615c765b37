//! The machine under random sequences of commands and of what may happen meanwhile.

use proptest::prelude::*;

use super::world::{Poke, World};
use super::*;

fn pokes() -> impl Strategy<Value = Poke> {
    prop_oneof![
        Just(Poke::Command(Event::Start)),
        Just(Poke::Command(Event::Restart)),
        any::<bool>().prop_map(|force| Poke::Command(Event::Stop { force })),
        Just(Poke::Command(Event::Delete)),
        Just(Poke::Command(Event::Reset)),
        any::<bool>().prop_map(|success| Poke::LeaderEnds { success }),
        Just(Poke::OtherAppears),
        Just(Poke::OtherEnds),
        Just(Poke::LaunchSucceeds),
        Just(Poke::LaunchFails),
        (1_u32..400).prop_map(Poke::TimePasses),
        Just(Poke::SweepIsDone),
        Just(Poke::SweepIsDone),
        Just(Poke::Command(Event::Unfit)),
        Just(Poke::HookEnds),
    ]
}

proptest! {
    #[test]
    fn nothing_runs_twice_and_a_stop_stops(
        restart in prop_oneof![Just(RestartPolicy::No), Just(RestartPolicy::OnFailure), Just(RestartPolicy::Always)],
        max_restarts in proptest::option::of(0_u32..4),
        (pre_stop, post_stop) in any::<(bool, bool)>(),
        pokes in proptest::collection::vec(pokes(), 0..120),
    ) {
        let mut world = World::new(restart, max_restarts, HookSet { pre_stop, post_stop });
        for poke in pokes {
            world.poke(poke);
        }
        // Whatever was before: a stop, and everything ends, and nothing comes back.
        world.poke(Poke::Command(Event::Stop { force: false }));
        world.settle();
        prop_assert!(world.removed || world.machine.phase == Phase::Resting(Rest::Stopped), "{:?}", world);
        prop_assert!(world.machine.deadline().is_none());
        prop_assert!(!post_stop || !world.owed, "{:?}", world);
        let launches = world.launches;
        world.poke(Poke::TimePasses(100_000));
        prop_assert_eq!(world.launches, launches);
    }

    #[test]
    fn what_should_run_runs_or_waits_or_is_failed_with_reason(
        (pre_stop, post_stop) in any::<(bool, bool)>(),
        pokes in proptest::collection::vec(pokes(), 0..120),
    ) {
        let mut world = World::new(RestartPolicy::OnFailure, None, HookSet { pre_stop, post_stop });
        for poke in pokes {
            world.poke(poke);
        }
        if world.removed || world.machine.desired == Desired::Gone {
            return Ok(());
        }
        world.poke(Poke::Command(Event::Start));
        for _ in 0..100 {
            world.poke(Poke::SweepIsDone);
            if matches!(world.machine.phase, Phase::Ending { .. }) {
                // A run that is being ended for this start, or whose leftovers are.
                world.poke(Poke::LeaderEnds { success: false });
                world.poke(Poke::OtherEnds);
                world.poke(Poke::HookEnds);
                world.poke(Poke::LaunchFails);
            }
            world.poke(Poke::LaunchSucceeds);
        }
        let is_running = matches!(world.machine.phase, Phase::Running { .. });
        prop_assert!(is_running, "{:?}", world);
    }
}
