mod model;
mod random;
mod world;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn machine(restart: RestartPolicy, phase: Phase) -> Machine {
    let policy = Policy {
        restart,
        max_restarts: None,
        stop_timeout: 10 * SECOND,
        hooks: HookSet::default(),
        backoff: Backoff::default(),
    };
    Machine::new(policy, Desired::Up, phase)
}

fn running(restart: RestartPolicy) -> Machine {
    machine(
        restart,
        Phase::Running {
            since: Duration::ZERO,
        },
    )
}

/// Steps without jitter: 0.5 is the middle of the spread.
fn step(machine: &mut Machine, event: Event, at: Duration) -> Vec<Action> {
    let (next, actions) = machine.step(event, at, 0.5);
    *machine = next;
    actions
}

const GONE: Event = Event::Swept { group: 0, rest: 0 };

/// Crashes right after each start, and returns the delays before the restarts.
fn crash_loop(machine: &mut Machine, times: u32, uptime: Duration) -> Vec<Duration> {
    let mut now = Duration::ZERO;
    let mut delays = Vec::new();
    for _ in 0..times {
        now += uptime;
        let actions = step(machine, FAILED, now);
        let Some(Action::Report(Report::Backoff { delay, .. })) = actions.first() else {
            break;
        };
        delays.push(*delay);
        step(machine, GONE, now);
        now += *delay;
        if machine.deadline().is_some() {
            step(machine, Event::Deadline, now);
        }
        assert!(
            matches!(machine.phase, Phase::Launching { asked: false }),
            "{machine:?}"
        );
        step(machine, Event::Launched, now);
    }
    delays
}

#[test]
fn the_first_restart_is_at_once_and_later_ones_double_up_to_a_minute() {
    let mut machine = running(RestartPolicy::OnFailure);
    let delays = crash_loop(&mut machine, 12, SECOND);
    let ms: Vec<u128> = delays.iter().map(Duration::as_millis).collect();
    assert_eq!(
        ms,
        [
            0, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000
        ]
    );
    assert_eq!((machine.failures, machine.restarts), (12, 12));
}

#[test]
fn a_crash_loop_goes_to_the_slow_lane_and_never_gives_up_by_itself() {
    let mut machine = running(RestartPolicy::OnFailure);
    let delays = crash_loop(&mut machine, 30, SECOND);
    assert_eq!(delays.len(), 30);
    assert!(delays[16..].iter().all(|delay| *delay == SLOW));
}

#[test]
fn a_minute_of_running_starts_the_count_anew() {
    let mut machine = running(RestartPolicy::OnFailure);
    crash_loop(&mut machine, 5, SECOND);
    let delays = crash_loop(&mut machine, 1, 1000 * SECOND);
    assert_eq!(delays, [Duration::ZERO]);
    assert_eq!(machine.failures, 1);
}

#[test]
fn max_restarts_gives_up() {
    let mut machine = running(RestartPolicy::Always);
    machine.policy.max_restarts = Some(2);
    assert_eq!(crash_loop(&mut machine, 10, SECOND).len(), 2);
    assert!(machine.has_failed(), "{machine:?}");
    step(&mut machine, GONE, 100 * SECOND);
    assert_eq!(machine.phase, Phase::Resting(Rest::Failed));
}

#[test]
fn policies_decide_by_the_kind_of_end() {
    for (policy, success, phase) in [
        (RestartPolicy::No, false, Some(Rest::Failed)),
        (RestartPolicy::No, true, Some(Rest::Exited)),
        (RestartPolicy::OnFailure, true, Some(Rest::Exited)),
        (RestartPolicy::OnFailure, false, None),
        (RestartPolicy::Always, true, None),
    ] {
        let mut machine = running(policy);
        step(&mut machine, Event::Exited { success }, SECOND);
        if phase == Some(Rest::Failed) {
            step(&mut machine, GONE, SECOND);
        }
        match phase {
            Some(rest) => assert_eq!(machine.phase, Phase::Resting(rest)),
            None => assert!(matches!(
                machine.phase,
                Phase::Ending {
                    next: Next::Wait { .. },
                    ..
                }
            )),
        }
    }
}

#[test]
fn a_stop_asks_the_group_then_the_rest_then_kills() {
    let mut machine = running(RestartPolicy::Always);
    let actions = step(&mut machine, Event::Stop { force: false }, SECOND);
    assert_eq!(actions, [Action::Remember, Action::SignalGroup(Force::Ask)]);
    assert_eq!(machine.deadline(), Some(11 * SECOND));
    // The leader ends at once, its children ignore SIGTERM: the SIGKILL is not cancelled.
    assert_eq!(
        step(&mut machine, Event::Exited { success: true }, SECOND),
        [Action::Sweep]
    );
    assert_eq!(
        step(&mut machine, Event::Swept { group: 2, rest: 1 }, SECOND),
        []
    );
    assert_eq!(
        step(&mut machine, Event::Deadline, 11 * SECOND),
        [Action::SignalGroup(Force::Kill), Action::Sweep]
    );
    assert_eq!(
        step(
            &mut machine,
            Event::Swept { group: 0, rest: 1 },
            11 * SECOND
        ),
        [Action::SignalRest(Force::Ask)]
    );
    assert_eq!(
        step(&mut machine, Event::Deadline, 13 * SECOND),
        [Action::SignalGroup(Force::Kill), Action::Sweep]
    );
    let kill = [
        Action::SignalGroup(Force::Kill),
        Action::SignalRest(Force::Kill),
    ];
    assert_eq!(
        step(
            &mut machine,
            Event::Swept { group: 0, rest: 1 },
            13 * SECOND
        ),
        kill
    );
    assert_eq!(
        step(&mut machine, Event::LeftGone, 13 * SECOND),
        [Action::Sweep]
    );
    assert_eq!(
        step(&mut machine, GONE, 13 * SECOND),
        [Action::Report(Report::Stopped)]
    );
    assert_eq!(machine.phase, Phase::Resting(Rest::Stopped));
}

#[test]
fn the_rest_has_what_the_group_left_of_its_time_and_a_little_at_least() {
    for (ended, until) in [(2, 11), (10, 12)] {
        let mut machine = running(RestartPolicy::Always);
        step(&mut machine, Event::Stop { force: false }, SECOND);
        step(
            &mut machine,
            Event::Exited { success: true },
            ended * SECOND,
        );
        let swept = Event::Swept { group: 0, rest: 1 };
        let asked = step(&mut machine, swept, ended * SECOND);
        assert_eq!(asked, [Action::SignalRest(Force::Ask)]);
        assert_eq!(machine.deadline(), Some(until * SECOND));
    }
}

#[test]
fn what_resists_is_told_and_still_watched() {
    let mut machine = running(RestartPolicy::No);
    step(&mut machine, Event::Stop { force: true }, SECOND);
    assert_eq!(
        step(&mut machine, Event::Deadline, 6 * SECOND),
        [Action::Report(Report::Resists)]
    );
    step(&mut machine, FAILED, 60 * SECOND);
    assert_eq!(
        step(&mut machine, GONE, 60 * SECOND),
        [Action::Report(Report::Stopped)]
    );
}

#[test]
fn a_stop_cancels_a_restart_that_was_pending() {
    let mut machine = running(RestartPolicy::Always);
    crash_loop(&mut machine, 3, SECOND);
    step(&mut machine, FAILED, 10 * SECOND);
    step(&mut machine, GONE, 10 * SECOND);
    assert!(matches!(machine.phase, Phase::Waiting { .. }));
    assert_eq!(
        step(&mut machine, Event::Stop { force: false }, 10 * SECOND),
        [Action::Sweep]
    );
    step(&mut machine, GONE, 10 * SECOND);
    assert_eq!(
        (machine.phase, machine.deadline()),
        (Phase::Resting(Rest::Stopped), None)
    );
    assert_eq!(step(&mut machine, Event::Deadline, 1000 * SECOND), []);
}

#[test]
fn what_a_crash_leaves_behind_is_ended_before_the_next_run() {
    let mut machine = running(RestartPolicy::OnFailure);
    step(&mut machine, FAILED, SECOND);
    assert_eq!(
        step(&mut machine, Event::Swept { group: 1, rest: 0 }, SECOND),
        [Action::SignalGroup(Force::Ask)]
    );
    assert_eq!(
        step(&mut machine, Event::LeftGone, 2 * SECOND),
        [Action::Sweep]
    );
    assert_eq!(step(&mut machine, GONE, 2 * SECOND), [Action::Launch]);
}

#[test]
fn what_a_run_that_failed_for_good_leaves_behind_is_ended() {
    let mut machine = running(RestartPolicy::No);
    assert_eq!(step(&mut machine, FAILED, SECOND), [Action::Sweep]);
    let left = Event::Swept { group: 1, rest: 1 };
    let asked = [Action::SignalGroup(Force::Ask)];
    assert_eq!(step(&mut machine, left, SECOND), asked);
    assert!(machine.has_failed(), "{machine:?}");
    step(&mut machine, Event::LeftGone, 2 * SECOND);
    let ended = [Action::Report(Report::Ended)];
    assert_eq!(step(&mut machine, GONE, 2 * SECOND), ended);
    assert_eq!(machine.phase, Phase::Resting(Rest::Failed));
    // One that ended well may have been meant to leave a process.
    let mut machine = running(RestartPolicy::No);
    let success = Event::Exited { success: true };
    assert_eq!(step(&mut machine, success, SECOND), ended);
}

#[test]
fn what_a_run_leaves_behind_whose_end_nobody_saw_is_ended_only_before_another_run() {
    let mut machine = running(RestartPolicy::No);
    let ended = [Action::Report(Report::Ended)];
    assert_eq!(step(&mut machine, Event::EndedUnseen, SECOND), ended);
    assert_eq!(machine.phase, Phase::Resting(Rest::Failed));
    for policy in [RestartPolicy::OnFailure, RestartPolicy::Always] {
        let mut machine = running(policy);
        let actions = step(&mut machine, Event::EndedUnseen, SECOND);
        assert_eq!(actions.last(), Some(&Action::Sweep));
    }
    // One that is being ended goes on to end.
    let mut machine = running(RestartPolicy::No);
    step(&mut machine, Event::Stop { force: false }, SECOND);
    let sweep = [Action::Sweep];
    assert_eq!(step(&mut machine, Event::EndedUnseen, SECOND), sweep);
}

#[test]
fn one_that_failed_is_started_again_while_its_leftovers_are_ended() {
    let mut machine = running(RestartPolicy::No);
    step(&mut machine, FAILED, SECOND);
    step(&mut machine, Event::Swept { group: 1, rest: 0 }, SECOND);
    assert_eq!(step(&mut machine, Event::Start, SECOND), []);
    step(&mut machine, Event::LeftGone, 2 * SECOND);
    assert_eq!(step(&mut machine, GONE, 2 * SECOND), [Action::Launch]);
}

#[test]
fn a_start_that_a_person_waits_for_and_that_fails_is_not_tried_again() {
    let mut machine = machine(RestartPolicy::Always, Phase::Launching { asked: true });
    assert_eq!(
        step(&mut machine, Event::LaunchFailed, SECOND),
        [Action::Report(Report::StartFailed)]
    );
    assert_eq!(machine.phase, Phase::Resting(Rest::Failed));
}

#[test]
fn a_child_that_never_executed_is_launched_again_without_counting() {
    let mut machine = running(RestartPolicy::No);
    assert_eq!(
        step(&mut machine, Event::NeverExecuted, SECOND),
        [Action::Launch]
    );
    assert_eq!((machine.failures, machine.restarts), (0, 0));
}

#[test]
fn a_shutdown_changes_no_desired_state() {
    let mut machine = running(RestartPolicy::OnFailure);
    step(&mut machine, Event::ShutDown { force: false }, SECOND);
    step(&mut machine, FAILED, SECOND);
    step(&mut machine, GONE, SECOND);
    assert_eq!(
        (machine.phase, machine.desired),
        (Phase::Resting(Rest::Stopped), Desired::Up)
    );
}

#[test]
fn what_is_not_fit_is_ended_and_counts_as_a_failure() {
    let mut machine = running(RestartPolicy::OnFailure);
    let actions = step(&mut machine, Event::Unfit, SECOND);
    let backoff = Report::Backoff {
        delay: Duration::ZERO,
        slow: false,
    };
    let asked = [
        Action::Report(backoff),
        Action::Remember,
        Action::SignalGroup(Force::Ask),
    ];
    assert_eq!(actions, asked);
    assert_eq!(step(&mut machine, Event::Unfit, SECOND), []);
    step(&mut machine, FAILED, 2 * SECOND);
    assert_eq!(step(&mut machine, GONE, 2 * SECOND), [Action::Launch]);
    assert_eq!((machine.failures, machine.restarts), (1, 1));
    let mut machine = running(RestartPolicy::No);
    step(&mut machine, Event::Unfit, SECOND);
    step(&mut machine, FAILED, SECOND);
    let ended = [Action::Report(Report::Ended)];
    assert_eq!(step(&mut machine, GONE, SECOND), ended);
    assert_eq!(machine.phase, Phase::Resting(Rest::Failed));
}

#[test]
fn hooks_come_before_the_first_signal_and_after_the_last_process() {
    let mut machine = running(RestartPolicy::Always);
    machine.policy.hooks = HookSet {
        pre_stop: true,
        post_stop: true,
    };
    machine.owes_hook = true;
    let stop = Event::Stop { force: false };
    assert_eq!(step(&mut machine, stop, SECOND), [Action::PreStopHook]);
    // Its time counts from the end of the hook.
    let asked = [Action::Remember, Action::SignalGroup(Force::Ask)];
    assert_eq!(step(&mut machine, Event::HookDone, 5 * SECOND), asked);
    assert_eq!(machine.deadline(), Some(15 * SECOND));
    step(&mut machine, FAILED, 5 * SECOND);
    assert_eq!(step(&mut machine, GONE, 5 * SECOND), [Action::PostStopHook]);
    // The stop may have been asked for while the hook of an end by itself ran, which leaves behind what it likes.
    assert_eq!(
        step(&mut machine, Event::HookDone, 6 * SECOND),
        [Action::Sweep]
    );
    assert_eq!(
        step(&mut machine, GONE, 6 * SECOND),
        [Action::Report(Report::Stopped)]
    );
    // Nothing ran since.
    step(&mut machine, stop, 7 * SECOND);
    assert_eq!(
        step(&mut machine, GONE, 7 * SECOND),
        [Action::Report(Report::Stopped)]
    );
}

#[test]
fn whoever_asks_for_what_resists_is_told_that_it_does() {
    let requests = [
        Event::Start,
        Event::Restart,
        Event::Stop { force: false },
        Event::Stop { force: true },
        Event::Delete,
        Event::ShutDown { force: false },
    ];
    for request in requests {
        for leader in [true, false] {
            let mut machine = machine(
                RestartPolicy::No,
                Phase::Ending {
                    stage: Stage::Resisting,
                    leader,
                    next: Next::Rest(Rest::Stopped),
                },
            );
            machine.desired = Desired::Down;
            let actions = step(&mut machine, request, 100 * SECOND);
            assert!(
                actions.contains(&Action::SignalGroup(Force::Kill)),
                "{request:?}: {actions:?}"
            );
            let due = machine.deadline().expect("an answer comes in time");
            step(
                &mut machine,
                Event::Swept { group: 1, rest: 0 },
                100 * SECOND,
            );
            let actions = step(&mut machine, Event::Deadline, due);
            assert_eq!(actions, [Action::Report(Report::Resists)], "{request:?}");
            assert!(matches!(
                machine.phase,
                Phase::Ending {
                    stage: Stage::Resisting,
                    ..
                }
            ));
        }
    }
}
