use super::*;
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn health() -> HealthPolicy {
    HealthPolicy {
        interval: 10 * SECOND,
        first: 10 * SECOND,
        start_period: Duration::ZERO,
        retries: 3,
        restarts: true,
        watchdog: None,
    }
}

fn vitals(ready_within: Option<Duration>, health: Option<HealthPolicy>) -> Vitals {
    let policy = VitalsPolicy {
        ready_within,
        health,
    };
    Vitals::new(policy)
}

fn step(vitals: &mut Vitals, event: VitalEvent, at: u32) -> Vec<VitalAction> {
    let (next, actions) = vitals.step(event, at * SECOND);
    *vitals = next;
    actions
}

/// Lets the check that is due fail or succeed at once.
fn check(vitals: &mut Vitals, well: bool, at: u32) -> Vec<VitalAction> {
    assert_eq!(step(vitals, VitalEvent::Deadline, at), [VitalAction::Check]);
    step(vitals, VitalEvent::Checked { well }, at)
}

const UNHEALTHY: VitalAction = VitalAction::Report(Report::Unhealthy);
const HEALTHY: VitalAction = VitalAction::Report(Report::Healthy);

#[test]
fn what_is_not_ready_in_time_has_failed() {
    let mut late = vitals(Some(20 * SECOND), None);
    assert_eq!(
        step(&mut late, VitalEvent::Launched, 1),
        [VitalAction::Await]
    );
    assert_eq!(step(&mut late, VitalEvent::Deadline, 20), []);
    let mut slow = late;
    step(&mut slow, VitalEvent::Extended(30 * SECOND), 20);
    assert_eq!(slow.deadline(), Some(50 * SECOND));
    let failed = [
        VitalAction::LetGo,
        VitalAction::Report(Report::NotReady),
        VitalAction::Unfit,
    ];
    assert_eq!(step(&mut late, VitalEvent::Deadline, 21), failed);
    assert_eq!(step(&mut late, VitalEvent::Ready, 22), []);
    let ready = [VitalAction::LetGo, VitalAction::Report(Report::Ready)];
    assert_eq!(step(&mut slow, VitalEvent::Ready, 22), ready);
    assert_eq!(step(&mut slow, VitalEvent::Ready, 22), []);
    assert_eq!(slow.deadline(), None);
}

#[test]
fn the_first_check_is_after_the_interval_and_retries_are_in_a_row() {
    let mut sick = vitals(None, Some(health()));
    step(&mut sick, VitalEvent::Launched, 0);
    assert_eq!(sick.deadline(), Some(10 * SECOND));
    assert_eq!(check(&mut sick, false, 10), []);
    assert_eq!(check(&mut sick, false, 20), []);
    assert_eq!(check(&mut sick, true, 30), [HEALTHY]);
    assert_eq!(check(&mut sick, true, 40), []);
    assert_eq!(check(&mut sick, false, 50), []);
    assert_eq!(check(&mut sick, false, 60), []);
    let both = [UNHEALTHY, VitalAction::Unfit];
    assert_eq!(check(&mut sick, false, 70), both);
    step(&mut sick, VitalEvent::Ended, 71);
    assert_eq!((sick.deadline(), sick.health), (None, Health::Unknown));
    // A check that began in the run before says nothing of this one.
    assert_eq!(step(&mut sick, VitalEvent::Checked { well: false }, 72), []);
}

#[test]
fn what_is_only_told_goes_on_and_may_recover() {
    let policy = HealthPolicy {
        restarts: false,
        retries: 1,
        ..health()
    };
    let mut told = vitals(None, Some(policy));
    step(&mut told, VitalEvent::Launched, 0);
    assert_eq!(check(&mut told, false, 10), [UNHEALTHY]);
    assert_eq!(check(&mut told, false, 20), []);
    assert_eq!(check(&mut told, true, 30), [HEALTHY]);
}

#[test]
fn in_the_start_period_failures_do_not_count_until_the_first_success() {
    let policy = HealthPolicy {
        start_period: 100 * SECOND,
        retries: 1,
        ..health()
    };
    let mut young = vitals(None, Some(policy));
    step(&mut young, VitalEvent::Launched, 0);
    assert_eq!(check(&mut young, false, 10), []);
    assert_eq!(check(&mut young, true, 20), [HEALTHY]);
    assert_eq!(check(&mut young, false, 30)[0], UNHEALTHY);
    let mut old = vitals(None, Some(policy));
    step(&mut old, VitalEvent::Launched, 0);
    assert_eq!(check(&mut old, false, 100)[0], UNHEALTHY);
}

#[test]
fn a_watchdog_begins_when_it_is_ready_and_wants_to_hear_something() {
    let policy = HealthPolicy {
        watchdog: Some(5 * SECOND),
        ..health()
    };
    let mut dog = vitals(Some(60 * SECOND), Some(policy));
    step(&mut dog, VitalEvent::Launched, 0);
    step(&mut dog, VitalEvent::Ready, 30);
    assert_eq!(dog.deadline(), Some(35 * SECOND));
    assert_eq!(step(&mut dog, VitalEvent::Alive, 34), [HEALTHY]);
    step(&mut dog, VitalEvent::Silence(2 * SECOND), 34);
    assert_eq!(dog.deadline(), Some(36 * SECOND));
    let both = [UNHEALTHY, VitalAction::Unfit];
    let mut troubled = dog;
    assert_eq!(step(&mut troubled, VitalEvent::Troubled, 35), both);
    assert_eq!(step(&mut dog, VitalEvent::Deadline, 36), both);
}

#[test]
fn an_adopted_run_goes_on_where_it_was() {
    let policy = vitals(Some(20 * SECOND), Some(health()));
    let at = |since: u32| (since * SECOND, 100 * SECOND);
    let (since, now) = at(90);
    let (young, actions) = policy.adopted(false, Health::Unknown, since, now);
    assert_eq!(actions, [VitalAction::Await]);
    assert_eq!(young.deadline(), Some(110 * SECOND));
    let (old, actions) = policy.adopted(true, Health::Healthy, since, now);
    assert_eq!(actions, []);
    assert_eq!(old.deadline(), Some(110 * SECOND));
    assert_eq!(old.health, Health::Healthy);
}

fn events() -> impl Strategy<Value = VitalEvent> {
    prop_oneof![
        Just(VitalEvent::Launched),
        Just(VitalEvent::Ended),
        Just(VitalEvent::Ready),
        Just(VitalEvent::Extended(3 * SECOND)),
        any::<bool>().prop_map(|well| VitalEvent::Checked { well }),
        Just(VitalEvent::Unchecked),
        Just(VitalEvent::Alive),
        Just(VitalEvent::Troubled),
        Just(VitalEvent::Silence(SECOND)),
        Just(VitalEvent::Deadline),
        Just(VitalEvent::Deadline),
    ]
}

proptest! {
    #[test]
    fn only_what_runs_is_looked_at_and_every_wait_ends(
        ready in any::<bool>(),
        checked in any::<bool>(),
        watched in any::<bool>(),
        restarts in any::<bool>(),
        script in proptest::collection::vec((events(), 0_u32..30), 0..80),
    ) {
        let policy = HealthPolicy {
            restarts,
            watchdog: watched.then_some(5 * SECOND),
            ..health()
        };
        let mut vitals = vitals(ready.then_some(20 * SECOND), checked.then_some(policy));
        let (mut now, mut up, mut awaiting) = (0, false, false);
        for (event, pause) in script {
            now += pause;
            if event == VitalEvent::Launched {
                step(&mut vitals, VitalEvent::Ended, now);
                awaiting = false;
            }
            up = match event {
                VitalEvent::Launched => true,
                VitalEvent::Ended => false,
                _ => up,
            };
            for action in step(&mut vitals, event, now) {
                match action {
                    VitalAction::Await => awaiting = true,
                    VitalAction::LetGo => awaiting = false,
                    VitalAction::Check => prop_assert!(up && checked && !watched),
                    VitalAction::Unfit => prop_assert!(up),
                    VitalAction::Report(_) => prop_assert!(up),
                }
            }
            prop_assert_eq!(awaiting, matches!(vitals.readiness, Readiness::Pending { .. }));
            prop_assert!(up || vitals.deadline().is_none());
            // What is awaited has a deadline.
            prop_assert!(!awaiting || vitals.deadline().is_some());
        }
    }
}
