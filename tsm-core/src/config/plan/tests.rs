use super::*;
use crate::env::{Origins, Snapshot};
use crate::spec::{Condition, Dependency, Program, RestartPolicy};
use proptest::prelude::*;

const FILE: &str = "/srv/tspm.yaml";

fn wanted(name: &str, variables: &[(&str, &str)]) -> Wanted {
    let program = Program {
        file: "x".into(),
        words: vec!["x".into()],
        shell_fallback: false,
    };
    let mut spec = ProcessSpec::new("x", program, "/srv");
    spec.config = Some(FILE.into());
    Wanted {
        name: name.parse().unwrap(),
        spec,
        variables: variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned(), Origin::Config))
            .collect(),
        any_port: false,
    }
}

fn shell() -> Environment {
    Environment::from_block(b"HOME=/root\0A=shell\0").unwrap()
}

fn planned(wanted: &[Wanted], known: &[Known], prune: bool) -> Vec<Planned> {
    let (file, shell) = (FILE.into(), shell());
    let options = Options {
        file: &file,
        prune,
        update_env: false,
        shell: &shell,
    };
    plan(wanted, |_| true, known, &options)
}

/// What is known when the steps have been taken.
fn applied(steps: &[Planned], known: &[Known]) -> Vec<Known> {
    let mut known = known.to_vec();
    for planned in steps {
        let before = known.iter().find(|known| known.name == planned.name);
        let (spec, environment, origins) = match before {
            Some(before) => (
                planned.spec.clone().unwrap_or_else(|| before.spec.clone()),
                before.environment.clone(),
                before.spec.origins.clone(),
            ),
            None => (planned.spec.clone().unwrap(), shell(), Origins::default()),
        };
        let snapshot = Snapshot::from(environment);
        let (snapshot, origins) = planned.update.apply(&snapshot, &origins, None).unwrap();
        let mut after = Known {
            name: planned.name.clone(),
            spec,
            environment: snapshot.environment,
            standing: match planned.step {
                Step::Create | Step::Start | Step::Restart => Standing::Up,
                Step::Stop => Standing::Down,
                Step::Leave => before.unwrap().standing,
            },
        };
        after.spec.origins = origins;
        if planned.any_port {
            after.spec.port.get_or_insert(20_000);
        }
        known.retain(|known| known.name != planned.name);
        known.push(after);
    }
    known
}

fn steps(planned: &[Planned]) -> Vec<(&str, Step)> {
    let steps = planned.iter();
    steps.map(|p| (p.name.as_str(), p.step)).collect()
}

fn keys(planned: &Planned) -> Vec<&str> {
    planned.changes.iter().map(|c| c.key.as_str()).collect()
}

#[test]
fn what_is_new_starts_what_changed_is_restarted_and_what_is_the_same_is_left() {
    let first = [wanted("api", &[("A", "1")]), wanted("db", &[])];
    let made = planned(&first, &[], false);
    assert_eq!(steps(&made), [("api", Step::Create), ("db", Step::Create)]);
    let known = applied(&made, &[]);
    assert_eq!(
        steps(&planned(&first, &known, true)),
        [("api", Step::Leave), ("db", Step::Leave)]
    );

    let mut changed = [wanted("api", &[("B", "2")]), wanted("db", &[])];
    changed[0].spec.port = Some(4000);
    changed[0].spec.args = vec!["-v".into()];
    changed[1].spec.stop_timeout_ms = 1;
    let again = planned(&changed, &known, false);
    assert_eq!(
        steps(&again),
        [("api", Step::Restart), ("db", Step::Restart)]
    );
    assert_eq!(keys(&again[0]), ["args", "port", "env.B", "env.A"]);
    assert_eq!(keys(&again[1]), ["killTimeout"]);
    // What the file gives no more is the shell's again.
    let known = applied(&again, &known);
    let api = known.iter().find(|known| known.name.as_str() == "api");
    assert_eq!(
        api.unwrap().environment.get(b"A"),
        Some(b"shell".as_slice())
    );
}

#[test]
fn what_is_gone_is_stopped_only_where_that_is_asked_for_and_dependents_first() {
    let mut all = [wanted("db", &[]), wanted("api", &[]), wanted("left", &[])];
    all[1].spec.depends_on = vec![Dependency {
        name: "db".parse().unwrap(),
        condition: Condition::Started,
    }];
    let known = applied(&planned(&all, &[], false), &[]);
    let left = &all[2..];
    assert_eq!(
        steps(&planned(left, &known, false)),
        [("left", Step::Leave)]
    );
    let pruned = planned(left, &known, true);
    assert_eq!(
        steps(&pruned),
        [
            ("api", Step::Stop),
            ("db", Step::Stop),
            ("left", Step::Leave)
        ]
    );
    // Another file's, and what no file declares, is nobody's to stop.
    let mut others = known.clone();
    others[0].spec.config = None;
    others[1].spec.config = Some("/other.yaml".into());
    assert_eq!(
        steps(&planned(left, &others, true)),
        [("left", Step::Leave)]
    );
    let known = applied(&pruned, &known);
    assert_eq!(steps(&planned(left, &known, true)), [("left", Step::Leave)]);
}

#[test]
fn what_was_stopped_by_hand_starts_again_and_a_task_is_done_once() {
    let all = [wanted("api", &[]), wanted("migrate", &[])];
    let mut known = applied(&planned(&all, &[], false), &[]);
    known[0].standing = Standing::Down;
    known[1].standing = Standing::Done;
    assert_eq!(
        steps(&planned(&all, &known, false)),
        [("api", Step::Start), ("migrate", Step::Leave)]
    );
    let changed = [wanted("migrate", &[("V", "2")])];
    let again = planned(&changed, &known, false);
    assert_eq!(steps(&again), [("migrate", Step::Start)]);
}

#[test]
fn what_a_person_set_stays_and_what_the_shell_gave_does_not_count() {
    let all = [wanted("api", &[("A", "1")])];
    let mut known = applied(&planned(&all, &[], false), &[]);
    known[0].environment.set(b"MINE", b"1").unwrap();
    known[0].spec.origins.note(b"MINE", Origin::Option);
    known[0].environment.set(b"HOME", b"/elsewhere").unwrap();
    known[0].spec.umask = 0o077;
    assert_eq!(steps(&planned(&all, &known, false)), [("api", Step::Leave)]);
    let (file, shell) = (FILE.into(), shell());
    let options = Options {
        file: &file,
        prune: false,
        update_env: true,
        shell: &shell,
    };
    let fresh = plan(&all, |_| true, &known, &options);
    assert_eq!(steps(&fresh), [("api", Step::Restart)]);
    assert!(fresh[0].update.from_shell);
}

#[test]
fn a_process_that_the_command_line_started_is_taken_over() {
    let mut by_hand = applied(&planned(&[wanted("api", &[])], &[], false), &[]);
    by_hand[0].spec.config = None;
    by_hand[0].environment.set(b"F", b"file").unwrap();
    by_hand[0].spec.origins.note(b"F", Origin::File);
    let taken = planned(&[wanted("api", &[])], &by_hand, false);
    assert_eq!(steps(&taken), [("api", Step::Leave)]);
    assert_eq!(taken[0].spec.as_ref().unwrap().config, Some(FILE.into()));
    assert!(taken[0].update.is_empty());
}

prop_compose! {
    fn any_wanted(name: &'static str)(
        port in proptest::option::of(1_u16..5),
        args in proptest::collection::vec("[a-b]", 0..2),
        restart in 0..3_usize,
        kill in 0_u64..3,
        any_port: bool,
        variables in proptest::collection::btree_map("[A-C]", "[x-y]", 0..3),
    ) -> Wanted {
        let mut wanted = wanted(name, &[]);
        wanted.spec.port = port.filter(|_| !any_port);
        wanted.any_port = any_port;
        wanted.spec.args = args.into_iter().map(Into::into).collect();
        wanted.spec.restart =
            [RestartPolicy::No, RestartPolicy::OnFailure, RestartPolicy::Always][restart];
        wanted.spec.stop_timeout_ms = kill;
        wanted.variables =
            variables.into_iter().map(|(name, value)| (name, value, Origin::Config)).collect();
        wanted
    }
}

fn any_file() -> impl Strategy<Value = Vec<Wanted>> {
    let each = ["a", "b", "c"].map(|name| proptest::option::of(any_wanted(name)));
    each.prop_map(|all| all.into_iter().flatten().collect())
}

proptest! {
    #[test]
    fn applied_twice_is_applied_once(
        before in any_file(),
        after in any_file(),
        prune: bool,
        stopped: [bool; 3],
    ) {
        let mut known = applied(&planned(&before, &[], false), &[]);
        for (known, stopped) in known.iter_mut().zip(stopped) {
            if stopped {
                known.standing = Standing::Down;
            }
        }
        let once = applied(&planned(&after, &known, prune), &known);
        let again = planned(&after, &once, prune);
        for planned in &again {
            prop_assert_eq!(planned.step, Step::Leave);
            prop_assert!(planned.changes.is_empty() && planned.spec.is_none());
            prop_assert!(planned.update.is_empty());
        }
        prop_assert_eq!(applied(&again, &once), once.clone());
        // And all is as the file declares it.
        for wanted in &after {
            let known = once.iter().find(|known| known.name == wanted.name).unwrap();
            prop_assert_eq!(known.standing, Standing::Up);
            prop_assert_eq!(&known.spec.args, &wanted.spec.args);
            for (name, value, _) in &wanted.variables {
                prop_assert_eq!(known.environment.get(name.as_bytes()), Some(value.as_bytes()));
            }
        }
    }
}
