//! What keys ask for, and what is told of it.

use super::*;

fn words(effects: &[Effect]) -> String {
    match effects {
        [Effect::Run { words, .. }] => words.join(" "),
        [Effect::Foreground { words, .. }] => format!("foreground {}", words.join(" ")),
        other => format!("{other:?}"),
    }
}

fn ended(model: &mut Model, job: u64, printed: &str, status: i32) {
    let bytes = printed.as_bytes().to_vec();
    update(model, Message::Printed { job, bytes });
    let status = Some(status);
    update(model, Message::Ended { job, status });
}

#[test]
fn keys_run_commands_once_and_answers_are_told() {
    let mut model = dashboard(three(), (80, 24));
    for (key, command) in [
        ('s', "start 1"),
        ('S', "stop 1"),
        ('r', "restart 1"),
        ('R', "reload 1"),
        ('z', "reset 1"),
        ('W', "save"),
        ('e', "foreground env edit 1"),
    ] {
        assert_eq!(words(&press(&mut model, KeyCode::Char(key))), command);
    }
    assert_eq!(press(&mut model, KeyCode::Char('S')), []);
    assert_eq!(last_line(&model), "editing api … and 6 more");
    ended(&mut model, 1, "Process stopped: api (ID: 1)\n", 0);
    assert_eq!(last_line(&model), "api stopped");
    // Until the next key.
    press(&mut model, KeyCode::Char('k'));
    assert!(!screen(&model).contains("api stopped"));
    ended(&mut model, 2, "tsm: it\ntsm: resists\n", 7);
    assert_eq!(last_line(&model), "it (! shows all)");
    press(&mut model, KeyCode::Char('!'));
    assert_eq!(model.view, View::Output);
    assert!(screen(&model).contains("tsm: it\n"));
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.view, View::Overview);
}

#[test]
fn the_same_keys_act_in_every_view() {
    let mut model = dashboard(three(), (80, 24));
    press(&mut model, KeyCode::Char('j'));
    press(&mut model, KeyCode::Enter);
    assert_eq!(words(&press(&mut model, KeyCode::Char('r'))), "restart 2");
    press(&mut model, KeyCode::Char('v'));
    assert_eq!(
        words(&press(&mut model, KeyCode::Char('e'))),
        "foreground env edit 2"
    );
}

#[test]
fn a_deletion_is_asked_about() {
    let mut model = dashboard(three(), (80, 24));
    for no in [KeyCode::Char('n'), KeyCode::Esc, KeyCode::Enter] {
        assert_eq!(press(&mut model, KeyCode::Char('d')), []);
        assert_eq!(last_line(&model), "Delete api and its files? y/n");
        assert_eq!(press(&mut model, KeyCode::Char('x')), []);
        assert_eq!(press(&mut model, no), []);
        assert!(model.layer.is_none());
    }
    press(&mut model, KeyCode::Char('d'));
    // Meanwhile the selection moves; the answer is about what was asked.
    learn(&mut model, three().split_off(1));
    assert_eq!(
        words(&press(&mut model, KeyCode::Char('y'))),
        "delete 1 --yes"
    );
    assert_eq!(last_line(&model), "deleting api …");
}

#[test]
fn what_is_about_several_is_asked_about() {
    let mut model = dashboard(three(), (80, 24));
    press(&mut model, KeyCode::Char('*'));
    press(&mut model, KeyCode::Char('S'));
    assert_eq!(last_line(&model), "Stop 3 processes? y/n");
    assert_eq!(words(&press(&mut model, KeyCode::Char('y'))), "stop 1 2 12");
    ended(&mut model, 0, "Process stopped: api (ID: 1)\n", 0);
    assert_eq!(last_line(&model), "3 processes stopped");
}

#[test]
fn signals_are_chosen_and_numbers_typed() {
    let mut model = dashboard(three(), (80, 24));
    press(&mut model, KeyCode::Char('x'));
    assert!(screen(&model).contains("Signal to api"));
    press(&mut model, KeyCode::Char('k'));
    assert_eq!(words(&press(&mut model, KeyCode::Enter)), "signal 1 KILL");
    press(&mut model, KeyCode::Char('c'));
    assert_eq!(last_line(&model), "how many api: 1");
    press(&mut model, KeyCode::Backspace);
    press(&mut model, KeyCode::Char('x'));
    assert_eq!(press(&mut model, KeyCode::Enter), []);
    assert!(last_line(&model).contains("4, max, +2 or -1"));
    press(&mut model, KeyCode::Backspace);
    press(&mut model, KeyCode::Char('4'));
    assert_eq!(words(&press(&mut model, KeyCode::Enter)), "scale api 4");
}

#[test]
fn any_command_is_typed_and_what_it_prints_is_shown() {
    let mut model = dashboard(three(), (80, 24));
    let effects = press(&mut model, KeyCode::Char(':'));
    assert_eq!(effects, [Effect::Complete(Ask::Line(String::new()))]);
    let effects = type_text(&mut model, "li");
    assert_eq!(effects, [Effect::Complete(Ask::Line("li".to_owned()))]);
    let found = vec![Candidate {
        word: "list".to_owned(),
        help: "All processes".to_owned(),
    }];
    let ask = Ask::Line("l".to_owned());
    // The answer to an earlier question comes too late.
    update(
        &mut model,
        Message::Candidates {
            ask,
            found: found.clone(),
        },
    );
    assert!(!screen(&model).contains("All processes"));
    let ask = Ask::Line("li".to_owned());
    update(&mut model, Message::Candidates { ask, found });
    assert!(screen(&model).contains("list  All processes"));
    press(&mut model, KeyCode::Tab);
    assert!(last_line(&model).starts_with(":list"));
    assert_eq!(words(&press(&mut model, KeyCode::Enter)), "list");
    let job = model.jobs[0].number;
    let print = |model: &mut Model, text: &str| {
        let bytes = text.as_bytes().to_vec();
        update(model, Message::Printed { job, bytes });
    };
    print(&mut model, "ID  NA");
    print(&mut model, "ME\n");
    assert_eq!(model.view, View::Overview);
    print(&mut model, " 1  api\n 2");
    assert_eq!(model.view, View::Output);
    assert_eq!(lines(&model)[0], "tsm list  runs; Ctrl-C ends it");
    assert_eq!(control(&mut model, 'c'), [Effect::Interrupt(job)]);
    let status = Some(0);
    update(&mut model, Message::Ended { job, status });
    assert_eq!(
        lines(&model)[..4],
        ["tsm list", "ID  NAME", " 1  api", " 2"]
    );
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.view, View::Overview);
    // What is closed stays closed, whatever comes.
    type_text(&mut model, ":logs -f");
    press(&mut model, KeyCode::Enter);
    let job = model.jobs[0].number;
    for view in [View::Output, View::Overview] {
        let bytes = b"one\ntwo\n".to_vec();
        update(&mut model, Message::Printed { job, bytes });
        assert_eq!(model.view, view);
        press(&mut model, KeyCode::Esc);
    }
    assert_eq!(last_line(&model), "logs -f …  ! shows it, Ctrl-C ends it");
    let status = Some(0);
    update(&mut model, Message::Ended { job, status });
    assert_eq!(model.view, View::Overview);
    // The lines that were typed are there again.
    press(&mut model, KeyCode::Char(':'));
    press(&mut model, KeyCode::Up);
    press(&mut model, KeyCode::Up);
    assert_eq!(last_line(&model), ":list");
    press(&mut model, KeyCode::Esc);
    // What is told in a line is told in the last one.
    type_text(&mut model, ":tsm frobnicate");
    assert_eq!(words(&press(&mut model, KeyCode::Enter)), "frobnicate");
    ended(&mut model, 2, "tsm: no such command\n", 2);
    assert_eq!(
        (model.view, last_line(&model).as_str()),
        (View::Overview, "no such command")
    );
}

#[test]
fn commands_that_take_the_terminal_get_it_and_deletions_are_asked_about() {
    let mut model = dashboard(three(), (80, 24));
    let mut run = |line: &str| {
        type_text(&mut model, ":");
        type_text(&mut model, line);
        let effects = press(&mut model, KeyCode::Enter);
        (effects, last_line(&model))
    };
    assert_eq!(words(&run("repl").0), "foreground repl");
    assert_eq!(words(&run("env edit api").0), "foreground env edit api");
    assert_eq!(run("stop 'x").1, "a quote is open");
    assert_eq!(run("monit").1, "this is it");
    assert_eq!(run("q").0, [Effect::Leave]);
    assert_eq!(run("delete 'a*'").1, "Run 'delete 'a*''? y/n");
    let effects = press(&mut model, KeyCode::Char('y'));
    assert_eq!(words(&effects), "delete --yes a*");
}

#[test]
fn escape_never_leaves_and_q_does() {
    let mut model = dashboard(three(), (80, 24));
    for key in "?/dj:xca!livhtpP".chars() {
        press(&mut model, KeyCode::Char(key));
        for _ in 0..4 {
            let effects = press(&mut model, KeyCode::Esc);
            assert!(!effects.contains(&Effect::Leave), "{key}");
        }
        assert!(
            model.layer.is_none() && model.view == View::Overview,
            "{key}"
        );
    }
    for key in "?livhtp".chars() {
        press(&mut model, KeyCode::Char(key));
        assert_eq!(
            press(&mut model, KeyCode::Char('q')),
            [Effect::Leave],
            "{key}"
        );
        model.layer = None;
        press(&mut model, KeyCode::Esc);
    }
    assert_eq!(control(&mut model, 'c'), [Effect::Leave]);
    assert_eq!(control(&mut model, 'z'), [Effect::Suspend]);
    assert_eq!(update(&mut model, Message::Leave), [Effect::Leave]);
    // Ctrl-C closes what is typed before it leaves.
    type_text(&mut model, ":stop");
    assert_eq!(control(&mut model, 'c'), []);
    assert!(model.layer.is_none());
}

#[test]
fn a_home_that_cannot_be_read_is_told_until_it_can() {
    let mut model = dashboard(three(), (80, 24));
    update(&mut model, Message::Trouble("cannot read it".to_owned()));
    assert_eq!(last_line(&model), "cannot read it");
    press(&mut model, KeyCode::Char('j'));
    assert_eq!(last_line(&model), "cannot read it");
    learn(&mut model, three());
    assert!(!screen(&model).contains("cannot"));
}
