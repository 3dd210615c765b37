//! Every view, in two sizes, with none, one and a thousand processes, as it was when somebody last looked at it and found
//! it good. `SNAPSHOTS=overwrite cargo test -p tsm-tui` takes what is drawn now for that.

use std::path::Path;

use ratatui::style::{Color, Modifier};

use super::*;

const SIZES: [(u16, u16); 2] = [(80, 24), (200, 50)];

fn check(name: &str, model: &Model) {
    let (columns, rows) = model.screen;
    let file = format!("src/tests/snapshots/{name}-{columns}x{rows}.txt");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let expected = snapbox::Data::read_from(&file, None).raw();
    let assert = snapbox::Assert::new().action_env(snapbox::assert::DEFAULT_ACTION_ENV);
    assert.eq(screen(model) + "\n", expected);
}

/// A dashboard that has measured, with a log below the table.
fn filled(processes: Vec<ProcessView>, size: (u16, u16)) -> Model {
    let mut model = dashboard(processes, size);
    let running: Vec<u32> = model
        .table
        .all()
        .filter(|entry| entry.view.pid.is_some())
        .map(|entry| entry.view.id)
        .collect();
    for round in 0..12_u32 {
        let usage = |id: u32| {
            (
                id,
                f64::from((id * 7 + round * 13) % 90),
                u64::from(8 + round) << 20,
            )
        };
        let measured = Measured {
            usage: running.iter().copied().map(usage).collect(),
            machine: Machine {
                load: [0.52, 0.4, 0.33],
                cores: 2,
                busy: Some(f64::from(round * 8)),
                memory_used: 3 << 30,
                memory_all: 8 << 30,
            },
            disk_full: false,
        };
        let (now_ms, measured) = (NOW, Some(measured));
        update(&mut model, Message::Tick { now_ms, measured });
    }
    if model.wants().log.is_some() {
        some_log(&mut model);
    }
    model
}

fn some_log(model: &mut Model) {
    let lines = [
        ("listening on 4001", false),
        ("\x1b[32mGET\x1b[0m /api/users 200 12ms", false),
        ("warning: slow request", true),
        (
            "a long line that says the same again and again, a long line that says the same again and again, and then ends",
            false,
        ),
    ];
    log(model, &lines);
}

const INFO: &str = "Process: api (ID: 1)\nStatus: \x1b[32m✓\x1b[0m Running (PID: 4001)\nScript: ./api.sh\nPort: 4001\n";
const ENV: &str =
    "shell   HOME=/home/u\nshell   PATH=/usr/bin:/bin\noption  TOKEN=••••\ntsm     TSM_NAME=api\n";
const HISTORY: &str =
    "api runs since 2026-11-22 10:27:19\n\n2026-11-22 10:27:19  started (run 1, PID: 4001)\n";
const TREE: &str = "    PID  CPU TIME     MEM  THREADS      AGE  COMMAND\n   4001   0:01.23    3.0M        1      90s  sh run.sh\n   4002   0:00.10    1.0M        1      90s  └─ node api.js\n";
const PORTS: &str =
    "NAME  PORT  LISTENS ON          WHO\napi   4001  tcp 127.0.0.1:4001  node (4002)\n";

#[test]
fn every_view_looks_as_it_should() {
    for size in SIZES {
        for (number, processes) in [
            ("none", Vec::new()),
            ("one", three().into_iter().take(1).collect()),
            ("thousand", thousand()),
        ] {
            let model = filled(processes, size);
            check(&format!("overview-{number}"), &model);
            for (key, shown) in [
                ('l', ""),
                ('i', INFO),
                ('v', ENV),
                ('h', HISTORY),
                ('t', TREE),
                ('p', PORTS),
            ] {
                let mut model = model.clone();
                press(&mut model, KeyCode::Char(key));
                let title = model.view.title();
                if key == 'l' && model.wants().log.is_some() {
                    some_log(&mut model);
                } else if model.wants().text.is_some() {
                    text(&mut model, shown);
                }
                // Without a process there is nothing to open: it is said.
                let title = if model.view == View::Overview {
                    "nothing-selected"
                } else {
                    title
                };
                check(&format!("{title}-{number}"), &model);
            }
            let mut model = model.clone();
            press(&mut model, KeyCode::Char('P'));
            text(&mut model, if number == "none" { "" } else { PORTS });
            check(&format!("all-ports-{number}"), &model);
        }
    }
}

#[test]
fn what_lies_above_looks_as_it_should() {
    for size in SIZES {
        let model = filled(three(), size);
        for (key, name) in [
            ('?', "help"),
            ('x', "signal"),
            ('a', "form"),
            ('d', "question"),
        ] {
            let mut model = model.clone();
            press(&mut model, KeyCode::Char(key));
            check(name, &model);
        }
        let mut typing = model.clone();
        type_text(&mut typing, ":st");
        let found = [
            ("start", "Start something"),
            ("startup", "At boot"),
            ("stop", "End it"),
        ];
        let found = found.map(|(word, help)| Candidate {
            word: word.to_owned(),
            help: help.to_owned(),
        });
        let (ask, found) = (Ask::Line("st".to_owned()), found.to_vec());
        update(&mut typing, Message::Candidates { ask, found });
        press(&mut typing, KeyCode::Tab);
        press(&mut typing, KeyCode::Tab);
        check("command", &typing);
        let mut running = model.clone();
        type_text(&mut running, ":doctor");
        press(&mut running, KeyCode::Enter);
        let job = running.jobs[0].number;
        let bytes = b"\x1b[33mwarning\x1b[0m: something\nremedy: this\n".to_vec();
        update(&mut running, Message::Printed { job, bytes });
        check("output", &running);
    }
}

#[test]
fn any_size_is_drawn_and_the_smallest_keeps_what_matters() {
    let many: Vec<ProcessView> = thousand();
    for (columns, rows) in [
        (1, 1),
        (2, 3),
        (7, 2),
        (20, 5),
        (40, 10),
        (80, 10),
        (40, 100),
        (300, 100),
    ] {
        for processes in [Vec::new(), three(), many.clone()] {
            for keys in [
                "", "?", "/w", ":s", "a", "x", "d", "l", "i", "v", "t", "i?", "l/x", "N*",
            ] {
                let mut model = filled(processes.clone(), (columns, rows));
                type_text(&mut model, keys);
                drawn(&model);
            }
        }
    }
    let mut model = filled(three(), (40, 10));
    model.place = Some("/a/long/home".to_owned());
    check("overview-small", &model);
    press(&mut model, KeyCode::Char('?'));
    check("help-small", &model);
    press(&mut model, KeyCode::Esc);
    press(&mut model, KeyCode::Enter);
    some_log(&mut model);
    check("logs-small", &model);
    press(&mut model, KeyCode::Char('a'));
    check("form-small", &model);
}

/// The cells of a row that look different from the default, as letters.
fn styles(model: &Model, row: u16) -> Vec<(String, Color, Modifier)> {
    let buffer = drawn(model);
    let cells = (0..buffer.area.width).map(|x| &buffer[(x, row)]);
    let styled = cells.filter(|cell| cell.fg != Color::Reset || !cell.modifier.is_empty());
    styled
        .map(|cell| (cell.symbol().to_owned(), cell.fg, cell.modifier))
        .collect()
}

#[test]
fn states_and_standard_error_have_colours_unless_none_are_wanted() {
    let mut model = filled(three(), (80, 24));
    let is_coloured = |model: &Model| {
        let buffer = drawn(model);
        let mut cells = buffer.content.iter();
        cells.any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
    };
    assert!(!is_coloured(&model));
    for view in ["?", "a", "x", "l/slow", "i", ":s"] {
        let mut model = model.clone();
        type_text(&mut model, view);
        assert!(!is_coloured(&model), "{view}");
    }
    let theme = |light| Theme {
        depth: Depth::Sixteen,
        light,
    };
    for light in [false, true] {
        model.theme = theme(light);
        let found = styles(&model, 5);
        assert!(
            found.contains(&("f".to_owned(), Color::Red, Modifier::empty())),
            "{found:?}"
        );
        // Neither yellow nor cyan can be read on white.
        let buffer = drawn(&model);
        let pale = |colour| matches!(colour, Color::Yellow | Color::Cyan | Color::White);
        if light {
            assert!(buffer.content.iter().all(|cell| !pale(cell.fg)));
        }
        // Only named colours, and no background but of what is found.
        let named = |colour| !matches!(colour, Color::Rgb(..) | Color::Indexed(_));
        assert!(
            buffer
                .content
                .iter()
                .all(|cell| named(cell.fg) && cell.bg == Color::Reset)
        );
    }
    model.theme = theme(false);
    press(&mut model, KeyCode::Enter);
    some_log(&mut model);
    let green = styles(&model, 2);
    assert_eq!(green[0], ("G".to_owned(), Color::Green, Modifier::empty()));
    let error = styles(&model, 3);
    assert!(error.iter().all(|(_, colour, _)| *colour == Color::Red));
}
