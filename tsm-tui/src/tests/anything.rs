//! Whatever is pressed, clicked and learnt, in whatever order: it can be drawn, and only who wants to leave does.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Key(KeyCode),
    Control(char),
    Click(u16, u16),
    Wheel(bool, u16),
    Resize(u16, u16),
    Learn(usize),
    Change(u32, &'static str),
    Log(usize),
    Text(usize),
    Tick,
    Answer,
    End(i32),
}

fn step() -> impl Strategy<Value = Step> {
    let keys = "aslivhtpPSrRdxczeW/&:?!nNwfT@uC*oOgGjkJK bqy0my".chars();
    let keys: Vec<KeyCode> = keys
        .map(KeyCode::Char)
        .chain([
            KeyCode::Esc,
            KeyCode::Enter,
            KeyCode::Tab,
            KeyCode::BackTab,
            KeyCode::Backspace,
            KeyCode::Up,
            KeyCode::Down,
            KeyCode::Left,
            KeyCode::Right,
            KeyCode::PageUp,
            KeyCode::PageDown,
            KeyCode::Home,
            KeyCode::End,
        ])
        .collect();
    prop_oneof![
        20 => proptest::sample::select(keys).prop_map(Step::Key),
        2 => proptest::sample::select(vec!['c', 'l', 's', 'u', 'z']).prop_map(Step::Control),
        2 => (0..90_u16, 0..30_u16).prop_map(|(x, y)| Step::Click(x, y)),
        2 => (any::<bool>(), 0..30_u16).prop_map(|(up, y)| Step::Wheel(up, y)),
        1 => (1..120_u16, 1..40_u16).prop_map(|(x, y)| Step::Resize(x, y)),
        1 => (0..30_usize).prop_map(Step::Learn),
        2 => (0..6_u32, proptest::sample::select(vec!["running", "failed", ""])).prop_map(|(id, state)| Step::Change(id, state)),
        2 => (0..40_usize).prop_map(Step::Log),
        2 => (0..40_usize).prop_map(Step::Text),
        1 => Just(Step::Tick),
        2 => Just(Step::Answer),
        1 => (0..3_i32).prop_map(Step::End),
    ]
}

/// What is asked for completion and not answered.
fn asked(model: &Model) -> Option<Ask> {
    match &model.layer {
        Some(Layer::Prompt(prompt)) => prompt.completion.asked.clone(),
        Some(Layer::Form(form)) => form.completion.asked.clone(),
        _ => None,
    }
}

fn take(model: &mut Model, step: &Step) -> Vec<Effect> {
    match *step {
        Step::Key(code) => return press(model, code),
        Step::Control(c) => return control(model, c),
        Step::Click(x, y) => return click(model, x, y),
        Step::Wheel(up, y) => {
            let kind = if up {
                MouseEventKind::ScrollUp
            } else {
                MouseEventKind::ScrollDown
            };
            return mouse(model, kind, 5, y);
        }
        Step::Resize(x, y) => return update(model, Message::Resize(x, y)),
        Step::Learn(number) => return learn(model, thousand().into_iter().take(number).collect()),
        Step::Change(id, "") => {
            let gone = process(id, "x", "stopped");
            change(model, vec![Change::Removed(Box::new(gone))]);
        }
        Step::Change(id, state) => {
            let view = process(id, &format!("service-{id}"), state);
            change(model, vec![Change::Appeared(Box::new(view))]);
        }
        Step::Log(number) => {
            if let Some(wish) = model.wants().log {
                let line = |n: usize| PaneLine::of("漢字 \x1b[31mx\ty".repeat(n).as_bytes());
                let lines = (0..number).map(line).collect();
                let part = if number % 3 == 0 {
                    LogPart::More(lines)
                } else {
                    LogPart::Begin(lines)
                };
                return update(model, Message::Log { wish, part });
            }
        }
        Step::Text(number) => {
            if let Some(wish) = model.wants().text {
                let text = "a line of a text\n".repeat(number).into_bytes();
                return update(model, Message::Text { wish, text });
            }
        }
        Step::Tick => {
            let measured = Some(Measured {
                usage: vec![(1, 5.0, 7)],
                ..Measured::default()
            });
            return update(
                model,
                Message::Tick {
                    now_ms: NOW,
                    measured,
                },
            );
        }
        Step::Answer => {
            if let Some(ask) = asked(model) {
                let found = ["start", "stop", "stöp"].map(|word| Candidate {
                    word: word.to_owned(),
                    help: String::new(),
                });
                let found = found.to_vec();
                return update(model, Message::Candidates { ask, found });
            }
        }
        Step::End(status) => {
            if let Some(job) = model.jobs.first().map(|job| job.number) {
                let bytes = b"one\ntwo\nthree".to_vec();
                update(model, Message::Printed { job, bytes });
                let status = Some(status);
                return update(model, Message::Ended { job, status });
            }
        }
    }
    Vec::new()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn nothing_breaks_it_and_only_who_wants_to_leave_does(steps in proptest::collection::vec(step(), 1..80)) {
        let mut model = dashboard(thousand().into_iter().take(12).collect(), (80, 24));
        for step in &steps {
            let was_command = matches!(&model.layer, Some(Layer::Prompt(prompt)) if prompt.purpose == Purpose::Command);
            let effects = take(&mut model, step);
            let may_leave = matches!(step, Step::Key(KeyCode::Char('q')) | Step::Control('c'))
                || (was_command && matches!(step, Step::Key(KeyCode::Enter)));
            prop_assert!(may_leave || !effects.contains(&Effect::Leave), "{step:?}");
            drawn(&model);
        }
        // However deep one is, Escape leads back to the table and no further.
        for _ in 0..8 {
            let effects = press(&mut model, KeyCode::Esc);
            prop_assert!(!effects.contains(&Effect::Leave));
        }
        prop_assert!(model.layer.is_none() && model.view == View::Overview);
    }
}
