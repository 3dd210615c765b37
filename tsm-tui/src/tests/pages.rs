//! Views of a process.

use super::*;

fn commands(model: &Model) -> Vec<String> {
    match model.wants().text.expect("a text that is wished").text {
        TextOf::Commands(all) => all.iter().map(|words| words.join(" ")).collect(),
        TextOf::Tree(_) => vec!["tree".to_owned()],
    }
}

#[test]
fn each_view_asks_for_what_it_shows() {
    let mut model = dashboard(three(), (80, 24));
    for (key, asked) in [
        ('i', "info api"),
        ('h', "why api, history api"),
        ('t', "tree"),
        ('p', "ports api"),
        ('P', "ports"),
        ('v', "env show api"),
    ] {
        press(&mut model, KeyCode::Char(key));
        assert_eq!(commands(&model).join(", "), asked);
        press(&mut model, KeyCode::Esc);
        assert_eq!(model.view, View::Overview);
    }
}

#[test]
fn views_are_gone_through_by_tab_and_processes_by_capitals() {
    let mut model = dashboard(three(), (80, 24));
    press(&mut model, KeyCode::Enter);
    let mut seen = vec![model.view];
    for _ in 0..View::TABS.len() {
        press(&mut model, KeyCode::Tab);
        seen.push(model.view);
    }
    assert_eq!(seen[..6], View::TABS);
    assert_eq!(seen[6], View::Logs);
    press(&mut model, KeyCode::BackTab);
    press(&mut model, KeyCode::Char('i'));
    press(&mut model, KeyCode::Char('J'));
    assert_eq!(commands(&model), ["info worker"]);
    press(&mut model, KeyCode::Char('K'));
    assert_eq!(commands(&model), ["info api"]);
    press(&mut model, KeyCode::Char('K'));
    assert_eq!(commands(&model), ["info api"]);
}

#[test]
fn a_text_is_read_again_when_its_process_changed_and_while_time_counts() {
    let mut model = dashboard(three(), (80, 24));
    press(&mut model, KeyCode::Char('i'));
    let revision = |model: &Model| model.wants().text.unwrap().revision;
    let first = revision(&model);
    let of = |id, name: &str| Change::Appeared(Box::new(process(id, name, "running")));
    change(&mut model, vec![of(2, "worker")]);
    assert_eq!(revision(&model), first);
    change(&mut model, vec![of(1, "api")]);
    assert!(revision(&model) > first);
    let before = revision(&model);
    for _ in 0..2 {
        update(
            &mut model,
            Message::Tick {
                now_ms: NOW,
                measured: None,
            },
        );
    }
    assert!(revision(&model) > before);
    text(
        &mut model,
        "Process: api (ID: 1)\nStatus: \x1b[32m✓\x1b[0m Running\n",
    );
    assert!(screen(&model).contains("Status: ✓ Running"));
    // What was asked for another view comes too late.
    let late = model.wants().text.unwrap();
    press(&mut model, KeyCode::Char('h'));
    let text = b"late".to_vec();
    update(&mut model, Message::Text { wish: late, text });
    assert!(!screen(&model).contains("late"));
}

#[test]
fn secrets_are_uncovered_and_environments_compared_on_request() {
    let mut model = dashboard(three(), (80, 24));
    press(&mut model, KeyCode::Char('v'));
    press(&mut model, KeyCode::Char('u'));
    assert_eq!(commands(&model), ["env show api --reveal"]);
    press(&mut model, KeyCode::Char('u'));
    press(&mut model, KeyCode::Char('C'));
    assert!(screen(&model).contains("worker"), "{}", screen(&model));
    type_text(&mut model, "wo");
    press(&mut model, KeyCode::Tab);
    press(&mut model, KeyCode::Enter);
    assert_eq!(commands(&model), ["env diff api worker"]);
    assert!(lines(&model)[0].contains("api"));
    press(&mut model, KeyCode::Char('C'));
    press(&mut model, KeyCode::Enter);
    assert_eq!(commands(&model), ["env diff api"]);
    text(&mut model, "");
    assert!(screen(&model).contains("no difference"));
    // Escape goes back to the environment, and then to the table.
    press(&mut model, KeyCode::Esc);
    assert_eq!(commands(&model), ["env show api"]);
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.view, View::Overview);
    // Another view of another day begins covered.
    press(&mut model, KeyCode::Char('v'));
    press(&mut model, KeyCode::Char('u'));
    press(&mut model, KeyCode::Esc);
    press(&mut model, KeyCode::Char('v'));
    assert_eq!(commands(&model), ["env show api"]);
}

#[test]
fn logs_are_followed_searched_filtered_wrapped_and_timed() {
    let mut model = dashboard(three(), (80, 10));
    press(&mut model, KeyCode::Enter);
    let many: Vec<String> = (0..30).map(|n| format!("line {n}")).collect();
    let mut many: Vec<(&str, bool)> = many.iter().map(|line| (line.as_str(), false)).collect();
    many[29].1 = true;
    log(&mut model, &many);
    assert!(screen(&model).contains("!line 29") && lines(&model)[0].contains("follows"));
    let wish = model.wants().log.unwrap();
    let part = LogPart::More(vec![PaneLine::of(b"more")]);
    update(&mut model, Message::Log { wish, part });
    assert!(screen(&model).contains("more"));
    press(&mut model, KeyCode::Up);
    assert!(!lines(&model)[0].contains("follows"));
    press(&mut model, KeyCode::Char('f'));
    assert!(lines(&model)[0].contains("follows"));
    // Searched as one types; from the end, which is what is seen.
    type_text(&mut model, "/line 1");
    assert!(screen(&model).contains(">line 19"), "{}", screen(&model));
    press(&mut model, KeyCode::Enter);
    press(&mut model, KeyCode::Char('N'));
    assert!(screen(&model).contains(">line 18"));
    press(&mut model, KeyCode::Char('n'));
    press(&mut model, KeyCode::Char('n'));
    assert!(screen(&model).contains(">line 1\n"));
    type_text(&mut model, "/nowhere");
    press(&mut model, KeyCode::Enter);
    assert_eq!(last_line(&model), "not found");
    // Only the lines that pass.
    type_text(&mut model, "&[27]$");
    press(&mut model, KeyCode::Enter);
    assert!(lines(&model)[0].contains("&6 of 31"), "{}", screen(&model));
    press(&mut model, KeyCode::Esc);
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.view, View::Logs);
    press(&mut model, KeyCode::Char('T'));
    press(&mut model, KeyCode::Char('G'));
    assert!(
        screen(&model).contains("10:28:53 line 29"),
        "{}",
        screen(&model)
    );
    // Without room for all of it, a line goes on below: the sign and the time take ten columns.
    let long = "x".repeat(100);
    log(&mut model, &[(&long, false)]);
    let wrapped = format!(
        "10:28:24 {}\n          {}\n",
        "x".repeat(70),
        "x".repeat(30)
    );
    assert!(screen(&model).contains(&wrapped), "{}", screen(&model));
    press(&mut model, KeyCode::Char('w'));
    assert!(!screen(&model).contains(&wrapped));
}

#[test]
fn scrolling_to_the_begin_reads_older_lines() {
    let mut model = dashboard(three(), (80, 10));
    press(&mut model, KeyCode::Enter);
    let lines: Vec<String> = (0..1000).map(|n| format!("line {n}")).collect();
    let lines: Vec<(&str, bool)> = lines.iter().map(|line| (line.as_str(), false)).collect();
    log(&mut model, &lines);
    press(&mut model, KeyCode::Char('g'));
    assert!(screen(&model).contains(" line 0\n"));
    assert_eq!(model.wants().log.unwrap().from, LogFrom::End(10_000));
    let more: Vec<String> = (0..1500).map(|n| format!("older {n}")).collect();
    let more: Vec<(&str, bool)> = more.iter().map(|line| (line.as_str(), false)).collect();
    log(&mut model, &more);
    // What is in sight stays.
    assert!(screen(&model).contains("older 500\n"), "{}", screen(&model));
    press(&mut model, KeyCode::Char('g'));
    // All of it is there: there is nothing older.
    assert_eq!(model.wants().log.unwrap().from, LogFrom::End(10_000));
}

#[test]
fn a_time_is_jumped_to_and_the_end_is_gone_back_to() {
    let mut model = dashboard(three(), (80, 10));
    press(&mut model, KeyCode::Enter);
    type_text(&mut model, "@never");
    press(&mut model, KeyCode::Enter);
    assert!(
        last_line(&model).contains("'never' is no time"),
        "{}",
        last_line(&model)
    );
    for _ in 0..5 {
        press(&mut model, KeyCode::Backspace);
    }
    type_text(&mut model, "10m");
    press(&mut model, KeyCode::Enter);
    assert_eq!(
        model.wants().log.unwrap().from,
        LogFrom::Time(NOW - 600_000)
    );
    log(&mut model, &[("then", false)]);
    assert!(lines(&model)[0].contains("from 10:19:24"));
    press(&mut model, KeyCode::Char('G'));
    assert!(matches!(model.wants().log.unwrap().from, LogFrom::End(_)));
}

#[test]
fn several_logs_are_merged_with_their_names() {
    let mut model = dashboard(three(), (80, 10));
    press(&mut model, KeyCode::Char(' '));
    press(&mut model, KeyCode::Char(' '));
    press(&mut model, KeyCode::Char('l'));
    let wish = model.wants().log.unwrap();
    let names: Vec<&str> = wish
        .sources
        .iter()
        .map(|source| source.name.as_str())
        .collect();
    assert_eq!(names, ["api", "worker"]);
    let lines = (0..2).map(|source| PaneLine {
        source,
        ..PaneLine::of(b"hello")
    });
    let part = LogPart::Begin(lines.collect());
    update(&mut model, Message::Log { wish, part });
    let shown = screen(&model);
    assert!(shown.contains(" api    hello\n worker hello"), "{shown}");
}

#[test]
fn who_looks_at_what_was_deleted_is_taken_back() {
    let mut model = dashboard(three(), (80, 24));
    press(&mut model, KeyCode::Char('i'));
    change(
        &mut model,
        vec![Change::Removed(Box::new(process(1, "api", "running")))],
    );
    assert_eq!(model.view, View::Overview);
    assert_eq!(last_line(&model), "it was deleted");
}
