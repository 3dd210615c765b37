//! The dashboard without a terminal: keys in, effects and screens out.

mod acts;
mod anything;
mod forms;
mod pages;
mod screens;
mod table;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use tsm_core::home::Home;
use tsm_core::view::ProcessView;
use tsm_core::watch::Change;

use super::*;

/// 2026-11-22 10:29:24 UTC.
const NOW: u64 = 1_795_343_364_000;

fn process(id: u32, name: &str, state: &str) -> ProcessView {
    let is_up = state == "running";
    ProcessView {
        id,
        name: name.parse().unwrap(),
        namespace: "default".to_owned(),
        state: state.into(),
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
        started_s: if is_up { NOW / 1000 - 125 } else { 0 },
        next_ms: None,
        sample: None,
        leader: None,
        lowered: None,
        out_file: None,
        err_file: None,
    }
}

/// One that runs and listens, one that runs, one that failed.
fn three() -> Vec<ProcessView> {
    let mut api = process(1, "api", "running");
    api.port = Some(4001);
    api.health = Some("healthy".to_owned());
    let mut bad = process(12, "bad", "failed");
    bad.restarts = 16;
    vec![api, process(2, "worker", "running"), bad]
}

/// A thousand of several namespaces and states.
fn thousand() -> Vec<ProcessView> {
    (0..1000)
        .map(|id| {
            let state = match id % 50 {
                7 => "failed",
                13 => "stopped",
                _ => "running",
            };
            let mut view = process(id, &format!("service-{id}"), state);
            view.namespace = ["shop", "mail", "default"][id as usize % 3].to_owned();
            view
        })
        .collect()
}

/// A dashboard that has looked at a home with these processes.
fn dashboard(processes: Vec<ProcessView>, screen: (u16, u16)) -> Model {
    let mut model = Model::new(Home::at("/home/u/.tsm"), screen);
    // The same everywhere.
    model.stamp = |ms| {
        let s = ms / 1000 % 86_400;
        format!(
            "2026-11-22 {:02}:{:02}:{:02}",
            s / 3600,
            s / 60 % 60,
            s % 60
        )
    };
    learn(&mut model, processes);
    model
}

fn learn(model: &mut Model, processes: Vec<ProcessView>) -> Vec<Effect> {
    let known = Message::Known {
        processes,
        supervised: true,
        damaged: Vec::new(),
        now_ms: NOW,
    };
    update(model, known)
}

fn change(model: &mut Model, changes: Vec<Change>) {
    let changed = Message::Changed {
        changes,
        damaged: Vec::new(),
        now_ms: NOW,
    };
    update(model, changed);
}

fn press(model: &mut Model, code: KeyCode) -> Vec<Effect> {
    update(model, Message::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn control(model: &mut Model, c: char) -> Vec<Effect> {
    let key = KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL);
    update(model, Message::Key(key))
}

/// Types letters; gives what the last one asks for.
fn type_text(model: &mut Model, text: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    for c in text.chars() {
        effects = press(model, KeyCode::Char(c));
    }
    effects
}

fn mouse(model: &mut Model, kind: MouseEventKind, column: u16, row: u16) -> Vec<Effect> {
    let event = MouseEvent {
        kind,
        column,
        row,
        modifiers: KeyModifiers::NONE,
    };
    let now_ms = NOW;
    update(model, Message::Mouse { event, now_ms })
}

fn click(model: &mut Model, column: u16, row: u16) -> Vec<Effect> {
    mouse(model, MouseEventKind::Down(MouseButton::Left), column, row)
}

/// Lines come from the logs of the view.
fn log(model: &mut Model, lines: &[(&str, bool)]) {
    let lines = lines
        .iter()
        .enumerate()
        .map(|(at, (text, is_error))| PaneLine {
            is_error: *is_error,
            time_ms: Some(NOW - 60_000 + 1000 * at as u64),
            ..PaneLine::of(text.as_bytes())
        });
    let part = LogPart::Begin(lines.collect());
    let wish = model.wants().log.expect("a log that is wished");
    update(model, Message::Log { wish, part });
}

/// The text of the view comes.
fn text(model: &mut Model, text: &str) {
    let wish = model.wants().text.expect("a text that is wished");
    let text = text.as_bytes().to_vec();
    update(model, Message::Text { wish, text });
}

fn drawn(model: &Model) -> Buffer {
    let (columns, rows) = model.screen;
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| view(model, frame)).unwrap();
    terminal.backend().buffer().clone()
}

/// The lines of the screen, without blanks at their ends.
fn lines(model: &Model) -> Vec<String> {
    let buffer = drawn(model);
    (0..buffer.area.height)
        .map(|y| {
            let cells = (0..buffer.area.width).map(|x| buffer[(x, y)].symbol());
            cells.collect::<String>().trim_end().to_owned()
        })
        .collect()
}

fn screen(model: &Model) -> String {
    lines(model).join("\n")
}

fn last_line(model: &Model) -> String {
    lines(model).pop().unwrap()
}

/// The names that the table shows, in order; heads of namespaces with a `/` behind.
fn rows(model: &Model) -> String {
    let rows = model.table.rows().iter().map(|row| match row {
        Row::Group(namespace) => format!("{namespace}/"),
        Row::Process(id) => model.table.get(*id).unwrap().view.name.to_string(),
    });
    rows.collect::<Vec<_>>().join(" ")
}

fn selected(model: &Model) -> Option<&str> {
    let entry = model.table.selected_entry()?;
    Some(entry.view.name.as_str())
}
