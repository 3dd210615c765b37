//! The overview: what is selected, sorted, filtered, grouped, marked.

use super::*;

#[test]
fn the_selected_one_stays_selected_and_where_it_is_gone_the_one_in_its_place_is() {
    let mut model = dashboard(three(), (80, 24));
    assert_eq!(selected(&model), Some("api"));
    press(&mut model, KeyCode::Char('j'));
    assert_eq!(selected(&model), Some("worker"));
    press(&mut model, KeyCode::Down);
    press(&mut model, KeyCode::Down);
    assert_eq!(selected(&model), Some("bad"));
    press(&mut model, KeyCode::Char('k'));
    learn(
        &mut model,
        three().into_iter().filter(|view| view.id != 2).collect(),
    );
    assert_eq!(selected(&model), Some("bad"));
    learn(&mut model, Vec::new());
    assert_eq!(selected(&model), None);
    assert_eq!(model.wants(), Wants::default());
}

#[test]
fn the_log_of_the_selected_one_is_wished_and_what_comes_late_is_not_shown() {
    let mut model = dashboard(three(), (80, 24));
    let of = |model: &Model| {
        let wish = model.wants().log.unwrap();
        wish.sources[0].name.clone()
    };
    assert_eq!(of(&model), "api");
    let late = model.wants().log.unwrap();
    press(&mut model, KeyCode::Char('j'));
    assert_eq!(of(&model), "worker");
    let part = LogPart::Begin(vec![PaneLine::of(b"late")]);
    update(&mut model, Message::Log { wish: late, part });
    assert!(!screen(&model).contains("late"));
    log(&mut model, &[("in time", false)]);
    assert!(screen(&model).contains("in time"));
    // A second later it is the same wish, and nothing is read again.
    let before = model.wants();
    let measured = None;
    update(
        &mut model,
        Message::Tick {
            now_ms: NOW + 1000,
            measured,
        },
    );
    assert_eq!(model.wants(), before);
}

#[test]
fn what_is_not_seen_is_not_wished() {
    let mut model = dashboard(three(), (80, 24));
    assert!(model.wants().clock && model.wants().usage);
    press(&mut model, KeyCode::Char('i'));
    let wants = model.wants();
    assert!(wants.clock && !wants.usage && wants.log.is_none() && wants.text.is_some());
    press(&mut model, KeyCode::Char('l'));
    let wants = model.wants();
    assert!(!wants.clock && !wants.usage && wants.log.is_some() && wants.text.is_none());
    // Where nothing runs nothing changes by itself.
    let mut model = dashboard(vec![process(1, "api", "stopped")], (80, 24));
    let wants = model.wants();
    assert!(!wants.clock && !wants.usage && wants.log.is_some());
    press(&mut model, KeyCode::Char('v'));
    assert!(!model.wants().clock);
}

#[test]
fn the_filter_acts_as_one_types_and_escape_drops_it() {
    let mut model = dashboard(three(), (80, 24));
    type_text(&mut model, "/wor");
    assert_eq!(
        (rows(&model).as_str(), selected(&model)),
        ("worker", Some("worker"))
    );
    assert!(last_line(&model).starts_with("/wor"));
    // Letters are letters here, not commands.
    assert_eq!(type_text(&mut model, "q"), []);
    assert_eq!(rows(&model), "");
    assert!(screen(&model).contains("No process passes the filter."));
    press(&mut model, KeyCode::Backspace);
    press(&mut model, KeyCode::Enter);
    assert_eq!(
        (rows(&model).as_str(), model.layer.is_none()),
        ("worker", true)
    );
    press(&mut model, KeyCode::Esc);
    assert_eq!(rows(&model), "api worker bad");
    for (typed, found) in [
        ("FAIL", "bad"),
        ("healthy", "api"),
        ("4001", "api"),
        ("12", "bad"),
        ("run ap", "api"),
    ] {
        type_text(&mut model, "/");
        type_text(&mut model, typed);
        assert_eq!(rows(&model), found, "{typed}");
        press(&mut model, KeyCode::Esc);
        assert_eq!(
            (rows(&model).as_str(), model.layer.is_none()),
            ("api worker bad", true)
        );
    }
    // While it is typed, the table can be gone through.
    type_text(&mut model, "/r");
    press(&mut model, KeyCode::Down);
    assert_eq!(
        (rows(&model).as_str(), selected(&model)),
        ("api worker", Some("worker"))
    );
    control(&mut model, 'u');
    assert_eq!(rows(&model), "api worker bad");
    press(&mut model, KeyCode::Backspace);
    assert!(model.layer.is_none());
}

#[test]
fn it_is_sorted_by_any_column_and_back() {
    let mut views = three();
    views[1].cpu_percent = Some(80.0);
    views.push(process(3, "api@10", "running"));
    views.push(process(4, "api@9", "running"));
    let mut model = dashboard(views, (80, 24));
    assert_eq!(rows(&model), "api worker api@10 api@9 bad");
    let by = |model: &mut Model, head: &str| {
        while model.table.order().0.head() != head {
            press(model, KeyCode::Char('o'));
        }
        rows(model)
    };
    assert_eq!(by(&mut model, "CPU"), "worker api api@10 api@9 bad");
    assert_eq!(by(&mut model, "RESTARTS"), "bad api worker api@10 api@9");
    assert_eq!(by(&mut model, "NAME"), "api api@9 api@10 bad worker");
    press(&mut model, KeyCode::Char('O'));
    assert_eq!(rows(&model), "worker bad api@10 api@9 api");
    assert!(screen(&model).contains("NAME▾"));
    // What is measured moves rows where they are sorted by it.
    by(&mut model, "CPU");
    let measured = Measured {
        usage: vec![(1, 99.0, 1), (2, 1.0, 1)],
        ..Measured::default()
    };
    let measured = Some(measured);
    update(
        &mut model,
        Message::Tick {
            now_ms: NOW,
            measured,
        },
    );
    assert!(rows(&model).starts_with("api "));
}

#[test]
fn several_namespaces_are_grouped_and_folded() {
    let mut views = three();
    views[1].namespace = "jobs".to_owned();
    let mut model = dashboard(views, (80, 24));
    assert_eq!(rows(&model), "default/ api bad jobs/ worker");
    assert_eq!(selected(&model), Some("api"));
    assert!(screen(&model).contains("▾jobs  1 process, 1 running  CPU 1.5%  MEM 3.0M"));
    press(&mut model, KeyCode::Left);
    assert_eq!(rows(&model), "default/ jobs/ worker");
    assert_eq!(selected(&model), None);
    press(&mut model, KeyCode::Right);
    assert_eq!(rows(&model), "default/ api bad jobs/ worker");
    press(&mut model, KeyCode::Enter);
    assert_eq!(rows(&model), "default/ jobs/ worker");
    press(&mut model, KeyCode::Enter);
    // An action on the head is about all of it.
    let effects = press(&mut model, KeyCode::Char('s'));
    let words = ["start", "1", "12"].map(str::to_owned).to_vec();
    assert_eq!(effects, [Effect::Run { job: 0, words }]);
    press(&mut model, KeyCode::Char('N'));
    assert_eq!(rows(&model), "api worker bad");
    press(&mut model, KeyCode::Char('N'));
    type_text(&mut model, "/wor");
    assert_eq!(rows(&model), "jobs/ worker");
}

#[test]
fn several_are_marked_and_escape_drops_the_marks() {
    let mut model = dashboard(three(), (80, 24));
    press(&mut model, KeyCode::Char(' '));
    assert_eq!(selected(&model), Some("worker"));
    press(&mut model, KeyCode::Down);
    press(&mut model, KeyCode::Char(' '));
    assert!(lines(&model)[0].contains("2 marked"), "{}", screen(&model));
    let effects = press(&mut model, KeyCode::Char('s'));
    let words = ["start", "1", "12"].map(str::to_owned).to_vec();
    assert_eq!(effects, [Effect::Run { job: 0, words }]);
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.table.marks(), 0);
    press(&mut model, KeyCode::Char('*'));
    assert_eq!(model.table.marks(), 3);
    press(&mut model, KeyCode::Char('u'));
    assert_eq!(model.table.marks(), 0);
}

#[test]
fn what_was_measured_is_drawn_as_bars_and_forgotten_with_the_run() {
    let mut model = dashboard(vec![process(1, "api", "running")], (200, 50));
    for cpu in [0.0, 50.0, 100.0] {
        let measured = Measured {
            usage: vec![(1, cpu, 5 << 20)],
            ..Measured::default()
        };
        let measured = Some(measured);
        update(
            &mut model,
            Message::Tick {
                now_ms: NOW,
                measured,
            },
        );
    }
    let shown = screen(&model);
    assert!(
        shown.contains("▁▅█") && shown.contains("100.0%") && shown.contains("5.0M"),
        "{shown}"
    );
    let before = Box::new(process(1, "api", "running"));
    let mut now = before.clone();
    now.pid = Some(9);
    now.cpu_percent = None;
    change(&mut model, vec![Change::Changed { before, now }]);
    assert!(!screen(&model).contains("▁▅█"));
}

#[test]
fn changes_come_one_by_one() {
    let mut model = dashboard(Vec::new(), (80, 24));
    change(
        &mut model,
        vec![Change::Appeared(Box::new(process(1, "api", "running")))],
    );
    assert_eq!(rows(&model), "api");
    change(&mut model, vec![Change::Supervised(false)]);
    assert!(lines(&model)[0].contains("no supervisor"));
    change(
        &mut model,
        vec![Change::Removed(Box::new(process(1, "api", "running")))],
    );
    assert!(screen(&model).contains("No processes. Press a to start one."));
    let damaged = vec!["the record of x is torn".to_owned()];
    let changed = Message::Changed {
        changes: Vec::new(),
        damaged,
        now_ms: NOW,
    };
    update(&mut model, changed);
    assert!(lines(&model)[0].contains("1 unreadable"));
}

#[test]
fn where_nothing_runs_no_load_is_shown_that_was_measured_before() {
    let mut model = dashboard(three(), (80, 24));
    let (now_ms, measured) = (NOW, Some(Measured::default()));
    update(&mut model, Message::Tick { now_ms, measured });
    assert!(screen(&model).contains("machine  load"));
    let gone = |id, name: &str| Change::Removed(Box::new(process(id, name, "running")));
    change(&mut model, vec![gone(1, "api"), gone(2, "worker")]);
    assert!(!screen(&model).contains("machine  load"));
    assert!(!model.wants().clock);
}

#[test]
fn of_a_thousand_processes_the_selected_one_is_in_sight() {
    let mut model = dashboard(thousand(), (80, 24));
    press(&mut model, KeyCode::Char('N'));
    press(&mut model, KeyCode::Char('G'));
    assert_eq!(selected(&model), Some("service-999"));
    assert!(screen(&model).contains("service-999"));
    press(&mut model, KeyCode::PageUp);
    press(&mut model, KeyCode::Up);
    assert!(screen(&model).contains(selected(&model).unwrap()));
    press(&mut model, KeyCode::Char('g'));
    assert!(screen(&model).contains("service-0 "));
    // Where there is room, nothing is above the first row.
    update(&mut model, Message::Resize(80, 50));
    assert_eq!(model.table.top, 0);
}

#[test]
fn the_mouse_selects_sorts_marks_folds_scrolls_and_opens() {
    let mut model = dashboard(three(), (80, 24));
    // Two lines of totals and the heads are above.
    click(&mut model, 20, 4);
    assert_eq!(selected(&model), Some("worker"));
    click(&mut model, 0, 5);
    assert_eq!((selected(&model), model.table.marks()), (Some("bad"), 1));
    press(&mut model, KeyCode::Char('u'));
    let heads = &lines(&model)[2];
    let at = heads.chars().take_while(|c| *c != 'N').count() as u16;
    click(&mut model, at, 2);
    assert_eq!(rows(&model), "api bad worker");
    mouse(&mut model, MouseEventKind::ScrollUp, 20, 4);
    assert_eq!(selected(&model), Some("api"));
    click(&mut model, 20, 3);
    click(&mut model, 20, 3);
    assert_eq!(model.view, View::Logs);
    // Tabs.
    let tabs = lines(&model)[0].clone();
    let at = tabs.find("history").unwrap() as u16;
    click(&mut model, at, 0);
    assert_eq!(model.view, View::History);
    click(&mut model, 0, 0);
    assert_eq!(model.view, View::Overview);
    press(&mut model, KeyCode::Char('?'));
    click(&mut model, 0, 0);
    assert!(model.layer.is_none());
    let mut views = three();
    views[1].namespace = "jobs".to_owned();
    let mut model = dashboard(views, (80, 24));
    click(&mut model, 4, 3);
    assert_eq!(rows(&model), "default/ jobs/ worker");
}
