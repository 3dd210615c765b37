//! The form in which something new is started.

use super::*;

fn offer(model: &mut Model, effects: &[Effect], words: &[&str]) {
    let [Effect::Complete(ask)] = effects else {
        panic!("nothing is asked: {effects:?}");
    };
    let found = words.iter().map(|word| Candidate {
        word: (*word).to_owned(),
        help: String::new(),
    });
    let (ask, found) = (ask.clone(), found.collect());
    update(model, Message::Candidates { ask, found });
}

#[test]
fn it_is_filled_in_completed_and_started() {
    let mut model = dashboard(three(), (80, 24));
    press(&mut model, KeyCode::Char('a'));
    assert!(screen(&model).contains("Start a new process"));
    let effects = type_text(&mut model, "./s");
    offer(&mut model, &effects, &["./scripts/", "./server.sh"]);
    assert!(screen(&model).contains("./server.sh"));
    let effects = press(&mut model, KeyCode::Char('e'));
    offer(&mut model, &effects, &["./server.sh"]);
    press(&mut model, KeyCode::Tab);
    // It is complete: the next Tab goes on.
    press(&mut model, KeyCode::Tab);
    type_text(&mut model, "web");
    press(&mut model, KeyCode::Down);
    type_text(&mut model, "4001");
    for _ in 0..3 {
        press(&mut model, KeyCode::Down);
    }
    type_text(&mut model, "al");
    press(&mut model, KeyCode::Tab);
    let effects = press(&mut model, KeyCode::Enter);
    let words = [
        "start",
        "--name",
        "web",
        "--port",
        "4001",
        "--restart",
        "always",
        "./server.sh",
    ];
    let words = words.map(str::to_owned).to_vec();
    assert_eq!(effects, [Effect::Run { job: 0, words }]);
    assert_eq!(last_line(&model), "starting web …");
    assert!(model.layer.is_none());
    // It is not to be filled in again for one mistake.
    let bytes = b"tsm: the port 4001 is taken\ntsm: by somebody\n".to_vec();
    update(&mut model, Message::Printed { job: 0, bytes });
    let status = Some(5);
    update(&mut model, Message::Ended { job: 0, status });
    let shown = screen(&model);
    assert!(
        shown.contains("the port 4001 is taken") && shown.contains("always"),
        "{shown}"
    );
}

#[test]
fn what_is_wrong_is_told_where_it_is() {
    let mut model = dashboard(three(), (80, 24));
    press(&mut model, KeyCode::Char('a'));
    press(&mut model, KeyCode::Up);
    press(&mut model, KeyCode::Up);
    type_text(&mut model, "oops");
    // Nothing is started while there is nothing to start.
    press(&mut model, KeyCode::Enter);
    press(&mut model, KeyCode::Up);
    assert!(model.jobs.is_empty());
    control(&mut model, 's');
    assert!(screen(&model).contains("what is to be started?"));
    type_text(&mut model, "npm run dev");
    control(&mut model, 's');
    assert!(
        screen(&model).contains("'oops' is no K=V"),
        "{}",
        screen(&model)
    );
    press(&mut model, KeyCode::Esc);
    assert!(model.layer.is_none() && model.jobs.is_empty());
}

#[test]
fn pasted_text_is_typed_where_one_types_and_nowhere_else() {
    let mut model = dashboard(three(), (80, 24));
    let paste = |model: &mut Model, text: &str| update(model, Message::Paste(text.to_owned()));
    assert_eq!(paste(&mut model, "dq"), []);
    assert!(model.layer.is_none());
    press(&mut model, KeyCode::Char(':'));
    let effects = paste(&mut model, "list\nstop all\n");
    assert_eq!(effects, [Effect::Complete(Ask::Line("list".to_owned()))]);
    assert_eq!(last_line(&model), ":list");
}
