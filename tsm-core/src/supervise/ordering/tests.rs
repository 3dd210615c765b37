use std::time::Duration;

use super::super::machine::{Action, Backoff, Desired, HookSet, Machine, Policy, Report};
use super::Need::{Met, Open, Stuck};
use super::*;
use crate::spec::RestartPolicy;
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn standing(phase: Phase) -> Standing {
    Standing {
        phase,
        task: false,
        ready: false,
        healthy: false,
        renewed: false,
    }
}

fn running() -> Phase {
    Phase::Running {
        since: Duration::ZERO,
    }
}

#[test]
fn a_need_is_met_open_or_stuck() {
    let all = [
        Condition::Started,
        Condition::Ready,
        Condition::Completed,
        Condition::Healthy,
    ];
    let of = |standing: Standing| all.map(|condition| need(condition, &standing));
    assert_eq!(of(standing(running())), [Met, Open, Open, Open]);
    let ready = Standing {
        ready: true,
        ..standing(running())
    };
    assert_eq!(of(ready), [Met, Met, Open, Open]);
    let healthy = Standing {
        healthy: true,
        ..ready
    };
    assert_eq!(of(healthy), [Met, Met, Open, Met]);
    let done = Standing {
        task: true,
        ..standing(Phase::Resting(Rest::Exited))
    };
    assert_eq!(of(done), [Met; 4]);
    assert_eq!(
        of(standing(Phase::Resting(Rest::Exited))),
        [Met, Stuck, Met, Stuck]
    );
    assert_eq!(of(standing(Phase::Resting(Rest::Failed))), [Stuck; 4]);
    assert_eq!(of(standing(Phase::Launching { asked: true })), [Open; 4]);
    // What is about to be started anew is none that others may rely on.
    let renewed = Standing {
        renewed: true,
        ..healthy
    };
    assert_eq!(of(renewed), [Open; 4]);
}

/// Some processes that need each other, and the kernel around them.
#[derive(Debug)]
struct World {
    machines: Vec<Machine>,
    needs: Vec<Vec<(usize, Condition)>>,
    tasks: Vec<bool>,
    ready: Vec<bool>,
    /// Who was launched while something that it needs was not there.
    wrong: Vec<String>,
    launches: usize,
    now: Duration,
}

impl World {
    fn new(needs: Vec<Vec<(usize, Condition)>>, tasks: Vec<bool>) -> Self {
        let machine = |task: &bool| {
            let policy = Policy {
                restart: if *task {
                    RestartPolicy::No
                } else {
                    RestartPolicy::OnFailure
                },
                max_restarts: None,
                stop_timeout: 10 * SECOND,
                hooks: HookSet::default(),
                backoff: Backoff::default(),
            };
            Machine::new(policy, Desired::Down, Phase::Resting(Rest::Stopped))
        };
        Self {
            machines: tasks.iter().map(machine).collect(),
            ready: vec![false; tasks.len()],
            needs,
            tasks,
            wrong: Vec::new(),
            launches: 0,
            now: SECOND,
        }
    }

    fn standing(&self, index: usize) -> Standing {
        Standing {
            phase: self.machines[index].phase,
            task: self.tasks[index],
            ready: self.ready[index],
            healthy: self.ready[index],
            renewed: false,
        }
    }

    fn is_met(&self, index: usize) -> bool {
        self.needs[index]
            .iter()
            .all(|(other, condition)| need(*condition, &self.standing(*other)) == Met)
    }

    fn dependents(&self, index: usize) -> Vec<usize> {
        let needs_it = |other: &usize| self.needs[*other].iter().any(|(n, _)| *n == index);
        (0..self.machines.len()).filter(needs_it).collect()
    }

    /// As the supervisor steps.
    fn step(&mut self, index: usize, event: Event) {
        let before = self.machines[index];
        self.machines[index].ties = Ties {
            held: !self.is_met(index),
            needed: self
                .dependents(index)
                .iter()
                .any(|other| is_ending(self.machines[*other].phase)),
        };
        let (after, actions) = self.machines[index].step(event, self.now, 0.5);
        self.machines[index] = after;
        if !matches!(after.phase, Phase::Running { .. }) {
            self.ready[index] = false;
        }
        for action in actions {
            match action {
                Action::Launch => {
                    self.launches += 1;
                    if !self.is_met(index) {
                        self.wrong.push(format!("{index} was launched too early"));
                    }
                }
                // What is only about to be executed serves nobody yet.
                Action::SignalGroup(_) if !matches!(before.phase, Phase::Launching { .. }) => {
                    let early = self
                        .dependents(index)
                        .into_iter()
                        .filter(|other| {
                            let phase = self.machines[*other].phase;
                            matches!(phase, Phase::Ending { leader: true, .. })
                        })
                        .collect::<Vec<_>>();
                    for other in early {
                        self.wrong.push(format!("{index} was ended before {other}"));
                    }
                }
                _ => {}
            }
        }
        if before.phase != after.phase {
            self.changed(index);
        }
    }

    /// Those that are tied to one that has changed.
    fn changed(&mut self, index: usize) {
        for other in self.dependents(index) {
            if matches!(self.machines[other].phase, Phase::Held { .. }) {
                self.step(other, Event::Tied);
            }
        }
        for (other, _) in self.needs[index].clone() {
            if matches!(self.machines[other].phase, Phase::Lingering { .. }) {
                self.step(other, Event::Tied);
            }
        }
    }

    /// What goes on by itself, once for each: programs are executed, become ready, tasks end, leftovers are gone.
    fn settle(&mut self, well: bool) {
        for index in 0..self.machines.len() {
            self.now += SECOND;
            match self.machines[index].phase {
                Phase::Launching { .. } => self.step(index, Event::Launched),
                Phase::Running { .. } if self.tasks[index] => {
                    self.step(index, Event::Exited { success: well });
                }
                Phase::Running { .. } if !self.ready[index] => {
                    self.ready[index] = true;
                    self.changed(index);
                }
                Phase::Ending { leader: true, .. } => {
                    self.step(index, Event::Exited { success: false });
                }
                Phase::Ending { leader: false, .. } => {
                    self.step(index, Event::Swept { group: 0, rest: 0 });
                }
                Phase::Waiting { until, .. } => {
                    self.now = self.now.max(until);
                    self.step(index, Event::Deadline);
                }
                _ => {}
            }
        }
    }

    fn is_up(&self, index: usize) -> bool {
        if self.tasks[index] {
            self.machines[index].phase == Phase::Resting(Rest::Exited)
        } else {
            matches!(self.machines[index].phase, Phase::Running { .. })
        }
    }
}

#[derive(Clone, Debug)]
enum Poke {
    Start(usize),
    Stop(usize),
    Restart(usize),
    Crash(usize),
    Settle,
}

const SIZE: usize = 5;

fn pokes() -> impl Strategy<Value = Poke> {
    prop_oneof![
        (0..SIZE).prop_map(Poke::Start),
        (0..SIZE).prop_map(Poke::Stop),
        (0..SIZE).prop_map(Poke::Restart),
        (0..SIZE).prop_map(Poke::Crash),
        Just(Poke::Settle),
        Just(Poke::Settle),
    ]
}

/// Needs without circles: each needs only those before it.
fn worlds() -> impl Strategy<Value = World> {
    let tasks = proptest::collection::vec(any::<bool>(), SIZE);
    let edges = proptest::collection::vec((0..SIZE, 0..SIZE, 0..4_usize), 0..8);
    (tasks, edges).prop_map(|(tasks, edges)| {
        let mut needs = vec![Vec::new(); SIZE];
        for (one, other, condition) in edges {
            let (needed, needing) = (one.min(other), one.max(other));
            if needed == needing {
                continue;
            }
            let condition = match condition {
                0 => Condition::Started,
                1 => Condition::Ready,
                2 => Condition::Healthy,
                _ if tasks[needed] => Condition::Completed,
                _ => Condition::Started,
            };
            needs[needing].push((needed, condition));
        }
        World::new(needs, tasks)
    })
}

proptest! {
    #[test]
    fn no_start_comes_before_what_it_needs_and_no_end_before_who_needs_it(
        mut world in worlds(),
        pokes in proptest::collection::vec(pokes(), 0..60),
    ) {
        for poke in pokes {
            match poke {
                Poke::Start(index) => world.step(index, Event::Start),
                Poke::Stop(index) => world.step(index, Event::Stop { force: false }),
                Poke::Restart(index) => world.step(index, Event::Restart),
                Poke::Crash(index) if matches!(world.machines[index].phase, Phase::Running { .. }) => {
                    world.step(index, Event::Exited { success: false });
                }
                Poke::Crash(_) => {}
                Poke::Settle => world.settle(true),
            }
            prop_assert!(world.wrong.is_empty(), "{:?}", world);
        }
        // Whatever was before: what should run does in the end.
        for index in 0..SIZE {
            world.step(index, Event::Start);
        }
        for _ in 0..10 * SIZE {
            world.settle(true);
        }
        for index in 0..SIZE {
            prop_assert!(world.is_up(index), "{}: {:?}", index, world);
        }
        // And what is stopped ends, those that need others first.
        for index in (0..SIZE).rev() {
            world.step(index, Event::Stop { force: false });
        }
        for _ in 0..10 * SIZE {
            world.settle(true);
        }
        prop_assert!(world.wrong.is_empty(), "{:?}", world);
        for machine in &world.machines {
            prop_assert!(matches!(machine.phase, Phase::Resting(_)), "{:?}", machine);
        }
    }

    #[test]
    fn in_whatever_order_starts_are_asked_for_each_is_launched_once(
        mut world in worlds(),
        order in Just((0..SIZE).collect::<Vec<_>>()).prop_shuffle(),
        settles in proptest::collection::vec(0..3_usize, SIZE),
    ) {
        for (index, settles) in order.into_iter().zip(settles) {
            world.step(index, Event::Start);
            for _ in 0..settles {
                world.settle(true);
            }
        }
        for _ in 0..10 * SIZE {
            world.settle(true);
        }
        prop_assert!(world.wrong.is_empty(), "{:?}", world);
        prop_assert_eq!(world.launches, SIZE);
    }

    #[test]
    fn what_needs_a_task_that_failed_is_not_started(order in Just(vec![0, 1, 2]).prop_shuffle()) {
        let needs = vec![vec![], vec![(0, Condition::Completed)], vec![(1, Condition::Started)]];
        let mut world = World::new(needs, vec![true, false, false]);
        for index in order {
            world.step(index, Event::Start);
        }
        for _ in 0..20 {
            world.settle(false);
        }
        prop_assert_eq!(world.machines[0].phase, Phase::Resting(Rest::Failed));
        for index in [1, 2] {
            prop_assert_eq!(world.machines[index].phase, Phase::Held { asked: true });
        }
        prop_assert_eq!(world.launches, 1);
        // Done at last, it lets them go.
        world.step(0, Event::Start);
        for _ in 0..20 {
            world.settle(true);
        }
        prop_assert!((0..3).all(|index| world.is_up(index)), "{:?}", world);
    }
}

#[test]
fn a_start_takes_a_stop_back_that_has_not_begun() {
    let needs = vec![vec![], vec![(0, Condition::Started)]];
    let mut world = World::new(needs, vec![false, false]);
    for _ in 0..5 {
        world.step(0, Event::Start);
        world.step(1, Event::Start);
        world.settle(true);
    }
    world.step(1, Event::Stop { force: false });
    world.step(0, Event::Stop { force: false });
    assert!(matches!(world.machines[0].phase, Phase::Lingering { .. }));
    let (after, actions) = world.machines[0].step(Event::Start, SECOND, 0.5);
    assert!(matches!(after.phase, Phase::Running { .. }));
    assert_eq!(actions, [Action::Report(Report::Started)]);
    assert_eq!(after.desired, Desired::Up);
    // It may die before its turn comes.
    world.step(0, Event::Exited { success: true });
    for _ in 0..5 {
        world.settle(true);
    }
    assert_eq!(world.machines[0].phase, Phase::Resting(Rest::Stopped));
}
