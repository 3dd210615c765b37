//! The dashboard without a terminal: keys in, effects and screens out.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use tsm_core::control::Verb;
use tsm_core::view::ProcessView;

use super::*;

fn process(id: u32, name: &str, state: &str) -> ProcessView {
    let is_up = state == "running";
    ProcessView {
        id,
        name: name.parse().unwrap(),
        namespace: "default".to_owned(),
        state: state.to_owned(),
        pid: is_up.then_some(4000 + id),
        port: None,
        restarts: 0,
        started_at: None,
        uptime_ms: is_up.then_some(125_000),
        cpu_percent: is_up.then_some(1.5),
        memory_bytes: is_up.then_some(3 << 20),
        exit: None,
        script: "x".into(),
        args: Vec::new(),
        cwd: "/".into(),
        kind: "cli".to_owned(),
        wanted: is_up,
        waits: None,
        next_start_at: None,
        slow_lane: false,
        ready: None,
        health: None,
        status_text: None,
        cgroup: None,
        next_run_at: None,
        started_s: 0,
        next_ms: None,
        sample: None,
        leader: None,
        lowered: None,
        out_file: None,
        err_file: None,
    }
}

fn three() -> Vec<ProcessView> {
    let mut api = process(1, "api", "running");
    api.port = Some(4001);
    let mut bad = process(12, "bad", "failed");
    bad.restarts = 16;
    vec![api, process(2, "worker", "running"), bad]
}

/// A dashboard that has looked at a home with these processes.
fn dashboard(processes: Vec<ProcessView>, screen: (u16, u16)) -> Model {
    let mut model = Model {
        screen,
        ..Model::default()
    };
    learn(&mut model, processes);
    model
}

fn learn(model: &mut Model, processes: Vec<ProcessView>) -> Vec<Effect> {
    let facts = Facts {
        processes,
        supervised: true,
        ..Facts::default()
    };
    update(model, Message::Facts(facts))
}

fn press(model: &mut Model, code: KeyCode) -> Vec<Effect> {
    update(model, Message::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn type_text(model: &mut Model, text: &str) {
    for c in text.chars() {
        press(model, KeyCode::Char(c));
    }
}

fn drawn(model: &Model) -> TestBackend {
    let (columns, rows) = model.screen;
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| view(model, frame)).unwrap();
    terminal.backend().clone()
}

/// The lines of the screen, without blanks at their ends.
fn lines(model: &Model) -> Vec<String> {
    let backend = drawn(model);
    let buffer = backend.buffer();
    (0..buffer.area.height)
        .map(|y| {
            let row: String = (0..buffer.area.width)
                .map(|x| buffer[(x, y)].symbol())
                .collect();
            row.trim_end().to_owned()
        })
        .collect()
}

/// The lines, with empty ones at the end of the log left out but for one.
fn screen(model: &Model) -> String {
    let mut lines = lines(model);
    lines.dedup_by(|next, line| next.is_empty() && line.is_empty());
    lines.join("\n")
}

fn log(model: &mut Model, id: u32, lines: &[(&str, bool)]) {
    let lines = lines
        .iter()
        .map(|&(text, is_error)| LogLine {
            text: text.to_owned(),
            is_error,
        })
        .collect();
    update(model, Message::Log { id, lines });
}

const KEYS: &str = "j/k move  s start  S stop  r restart  d delete  / filter  ? help  q leave";

#[test]
fn a_home_without_processes_says_how_to_start_one() {
    let model = dashboard(Vec::new(), (80, 24));
    let rule = "─".repeat(80);
    assert_eq!(
        screen(&model),
        format!(
            "TSM  0 processes  0 running
STATE  NAME  ID  PID  PORT  CPU  MEM  UPTIME  RESTARTS
No processes. 'tsm start' starts one.
{rule}

{KEYS}"
        )
    );
}

#[test]
fn one_process_and_its_log() {
    let mut model = dashboard(vec![process(1, "api", "running")], (80, 24));
    log(&mut model, 1, &[("hello", false), ("oops", true)]);
    let rule = "─".repeat(80 - "─ log of api ".chars().count());
    assert_eq!(
        screen(&model),
        format!(
            "TSM  1 process  1 running  CPU 1.5%  MEM 3.0M
STATE    NAME  ID   PID  PORT   CPU   MEM  UPTIME  RESTARTS
running  api    1  4001     -  1.5%  3.0M      2m         0
─ log of api {rule}
hello
oops

{KEYS}"
        )
    );
}

#[test]
fn three_processes() {
    let model = dashboard(three(), (80, 24));
    let rule = "─".repeat(80 - "─ log of api ".chars().count());
    assert_eq!(
        screen(&model),
        format!(
            "TSM  3 processes  2 running  1 failed  CPU 3.0%  MEM 6.0M
STATE    NAME    ID   PID  PORT   CPU   MEM  UPTIME  RESTARTS
running  api      1  4001  4001  1.5%  3.0M      2m         0
running  worker   2  4002     -  1.5%  3.0M      2m         0
failed   bad     12     -     -     -     -       -        16
─ log of api {rule}

{KEYS}"
        )
    );
}

#[test]
fn a_small_screen_keeps_what_matters() {
    let mut model = dashboard(three(), (40, 10));
    model.place = Some("/a/long/home".to_owned());
    let many: Vec<String> = (0..20).map(|n| format!("line {n}")).collect();
    let many: Vec<(&str, bool)> = many.iter().map(|line| (line.as_str(), false)).collect();
    log(&mut model, 1, &many);
    assert_eq!(
        screen(&model),
        "TSM  3 processes  2 running  1 failed  C
STATE    NAME    ID   PID  PORT  UPTIME
running  api      1  4001  4001      2m
running  worker   2  4002     -      2m
failed   bad     12     -     -       -
─ log of api ───────────────────────────
line 17
line 18
line 19
s S r d  / filter  ? help  q leave"
    );
    press(&mut model, KeyCode::Char('?'));
    let help = screen(&model);
    assert!(help.contains("q          leave"), "{help}");
}

#[test]
fn any_size_is_drawn() {
    for columns in [1, 2, 7, 40, 300] {
        for rows in [1, 2, 3, 5, 10, 100] {
            for mode in [Mode::Table, Mode::Help, Mode::Filter] {
                let mut model = dashboard(three(), (columns, rows));
                log(&mut model, 1, &[("wide \u{6f22}\u{5b57} text", false)]);
                model.mode = mode;
                drawn(&model);
            }
        }
    }
}

#[test]
fn of_a_thousand_processes_the_selected_one_is_in_sight() {
    let all: Vec<ProcessView> = (0..1000)
        .map(|id| process(id, &format!("p{id}"), "running"))
        .collect();
    let mut model = dashboard(all, (80, 24));
    press(&mut model, KeyCode::Char('G'));
    assert_eq!(model.selected, Some(999));
    assert!(screen(&model).contains("p999"));
    press(&mut model, KeyCode::Char('g'));
    assert!(screen(&model).contains("p0 "));
}

#[test]
fn states_have_colours_unless_none_are_wanted() {
    let colours = |wanted| {
        let mut model = dashboard(three(), (80, 24));
        model.colour = wanted;
        log(&mut model, 1, &[("oops", true)]);
        let backend = drawn(&model);
        let buffer = backend.buffer();
        // Two states, and a line of standard error.
        [(0, 2), (0, 4), (0, 6)].map(|at| buffer[at].fg)
    };
    assert_eq!(colours(true), [Color::Green, Color::Red, Color::Red]);
    assert_eq!(colours(false), [Color::Reset; 3]);
    let model = dashboard(three(), (80, 24));
    let backend = drawn(&model);
    let plain = |cell: &ratatui::buffer::Cell| cell.fg == Color::Reset && cell.bg == Color::Reset;
    assert!(backend.buffer().content.iter().all(plain));
}

#[test]
fn a_look_selects_and_then_asks_for_the_log() {
    let mut model = Model {
        screen: (80, 24),
        ..Model::default()
    };
    let effects = learn(&mut model, three());
    let read = |id, name: &str| Effect::ReadLog {
        id,
        name: name.to_owned(),
        lines: 24,
    };
    assert_eq!(effects, [read(1, "api")]);
    assert_eq!(press(&mut model, KeyCode::Char('j')), [read(2, "worker")]);
    assert_eq!(press(&mut model, KeyCode::Down), [read(12, "bad")]);
    assert_eq!(press(&mut model, KeyCode::Char('j')), []);
    assert_eq!(press(&mut model, KeyCode::Char('k')), [read(2, "worker")]);
    // An answer about another one comes too late.
    log(&mut model, 12, &[("late", false)]);
    assert_eq!(model.log, None);
    // The selected one is gone: the one in its row is next.
    let rest = three().into_iter().filter(|view| view.id != 2).collect();
    assert_eq!(learn(&mut model, rest), [read(12, "bad")]);
    assert_eq!(learn(&mut model, Vec::new()), []);
    assert_eq!(model.selected, None);
}

#[test]
fn keys_ask_for_actions_once_and_answers_are_told() {
    let mut model = dashboard(three(), (80, 24));
    for (key, verb) in [('s', Verb::Start), ('S', Verb::Stop), ('r', Verb::Restart)] {
        let asked = Effect::Act {
            verb,
            id: 1,
            name: "api".to_owned(),
        };
        assert_eq!(press(&mut model, KeyCode::Char(key)), [asked]);
        assert_eq!(press(&mut model, KeyCode::Char(key)), []);
    }
    assert!(screen(&model).ends_with("restarting api …"));
    let answer = |verb, result| Message::Acted {
        verb,
        id: 1,
        result,
    };
    let told = answer(Verb::Restart, Ok("api restarted".to_owned()));
    assert_eq!(update(&mut model, told), [Effect::Look]);
    assert!(screen(&model).ends_with("api restarted"));
    let told = answer(Verb::Stop, Err("it\nresists".to_owned()));
    update(&mut model, told);
    assert!(screen(&model).ends_with("it resists"));
    press(&mut model, KeyCode::Char('k'));
    assert!(screen(&model).ends_with("starting api …"));
}

#[test]
fn a_deletion_is_asked_about() {
    let mut model = dashboard(three(), (80, 24));
    for no in [KeyCode::Char('n'), KeyCode::Esc, KeyCode::Enter] {
        assert_eq!(press(&mut model, KeyCode::Char('d')), []);
        assert!(screen(&model).ends_with("Delete api and its files? y/n"));
        assert_eq!(press(&mut model, KeyCode::Char('x')), []);
        assert_eq!(press(&mut model, no), []);
        assert_eq!(model.mode, Mode::Table);
    }
    press(&mut model, KeyCode::Char('d'));
    // Meanwhile the selection moves; the answer is about what was asked.
    learn(&mut model, three().split_off(1));
    let asked = Effect::Act {
        verb: Verb::Delete,
        id: 1,
        name: "api".to_owned(),
    };
    assert_eq!(press(&mut model, KeyCode::Char('y')), [asked]);
}

#[test]
fn the_filter_acts_as_one_types_and_escape_clears_it() {
    let mut model = dashboard(three(), (80, 24));
    let names = |model: &Model| {
        let names: Vec<String> = model.visible().iter().map(|v| v.name.to_string()).collect();
        names.join(" ")
    };
    type_text(&mut model, "/wor");
    assert_eq!(names(&model), "worker");
    assert_eq!(model.selected, Some(2));
    assert!(lines(&model)[23].starts_with("/wor"));
    // Letters are letters here, not commands.
    type_text(&mut model, "q");
    assert_eq!(names(&model), "");
    assert!(screen(&model).contains("No process passes the filter."));
    assert_eq!(press(&mut model, KeyCode::Enter), []);
    assert_eq!(press(&mut model, KeyCode::Char('s')), []);
    type_text(&mut model, "/");
    press(&mut model, KeyCode::Backspace);
    press(&mut model, KeyCode::Enter);
    assert_eq!(
        (names(&model).as_str(), &model.mode),
        ("worker", &Mode::Table)
    );
    press(&mut model, KeyCode::Esc);
    assert_eq!(names(&model), "api worker bad");
    type_text(&mut model, "/FAIL");
    assert_eq!(names(&model), "bad");
    press(&mut model, KeyCode::Esc);
    assert_eq!(
        (names(&model).as_str(), &model.mode),
        ("api worker bad", &Mode::Table)
    );
}

#[test]
fn escape_never_leaves_and_q_does() {
    let mut model = dashboard(three(), (80, 24));
    for key in ['?', '/', 'd', 'j'] {
        press(&mut model, KeyCode::Char(key));
        for _ in 0..3 {
            let effects = press(&mut model, KeyCode::Esc);
            assert!(!effects.contains(&Effect::Leave), "{key}");
        }
        assert_eq!(model.mode, Mode::Table);
    }
    assert_eq!(press(&mut model, KeyCode::Char('q')), [Effect::Leave]);
    let key = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(update(&mut model, Message::Key(key)), [Effect::Leave]);
    assert_eq!(update(&mut model, Message::Leave), [Effect::Leave]);
}

#[test]
fn a_home_that_cannot_be_read_is_told_until_it_can() {
    let mut model = dashboard(three(), (80, 24));
    update(&mut model, Message::Trouble("cannot read it".to_owned()));
    assert!(screen(&model).ends_with("cannot read it"));
    press(&mut model, KeyCode::Char('j'));
    assert!(screen(&model).ends_with("cannot read it"));
    learn(&mut model, three());
    assert!(screen(&model).ends_with(KEYS));
}
