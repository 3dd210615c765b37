//! What a second of the dashboard costs the thread that draws: a frame, and what comes before it, with 10, 1,000 and
//! 10,000 processes on a screen of 200 by 50.
//!
//! ```console
//! $ cargo bench -p tsm-tui
//! ```

#![expect(clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use tsm_core::home::Home;
use tsm_core::meta::Meta;
use tsm_core::view::ProcessView;
use tsm_tui::{Machine, Measured, Message, Model, update, view};

const NOW: u64 = 1_795_343_364_000;

fn process(id: u32) -> ProcessView {
    let line = format!(
        "script='/srv/app/run-{id}.sh' pid={} tsm_id={id} cwd='/srv/app' port={} state='running' restarts={} \
         start_time={} namespace='group-{}'",
        10_000 + id,
        1_000 + id % 60_000,
        id % 7,
        NOW / 1000 - u64::from(id),
        id % 5,
    );
    let meta = Meta::parse(line.as_bytes()).unwrap();
    let name = format!("service-{id}").parse().unwrap();
    ProcessView::from_meta(&name, &meta, NOW)
}

fn tick(processes: u32, round: u32) -> Message {
    let usage = |id: u32| {
        (
            id,
            f64::from((id * 7 + round * 13) % 100),
            u64::from(id) << 16,
        )
    };
    let measured = Measured {
        usage: (0..processes).map(usage).collect(),
        machine: Machine::default(),
        disk_full: false,
    };
    Message::Tick {
        now_ms: NOW + 1000 * u64::from(round),
        measured: Some(measured),
    }
}

fn dashboard(processes: u32) -> Model {
    let mut model = Model::new(Home::at("/home/u/.tsm"), (200, 50));
    let known = Message::Known {
        processes: (0..processes).map(process).collect(),
        supervised: true,
        damaged: Vec::new(),
        now_ms: NOW,
    };
    update(&mut model, known);
    for round in 0..40 {
        update(&mut model, tick(processes, round));
    }
    model
}

fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame");
    for processes in [10, 1_000, 10_000] {
        let id = |what| BenchmarkId::new(what, processes);
        let model = dashboard(processes);
        let mut terminal = Terminal::new(TestBackend::new(200, 50)).unwrap();
        // What is drawn each time, whatever changed.
        group.bench_with_input(id("drawn"), &model, |bencher, model| {
            bencher.iter(|| {
                terminal
                    .draw(|frame| view(black_box(model), frame))
                    .unwrap();
            });
        });
        // What a second brings: all is measured, time passes, and it is drawn.
        let mut ticking = model.clone();
        let mut round = 40;
        group.bench_function(id("measured-and-drawn"), |bencher| {
            bencher.iter(|| {
                round += 1;
                update(&mut ticking, tick(processes, round));
                terminal.draw(|frame| view(&ticking, frame)).unwrap();
            });
        });
        // A key moves the selection.
        let mut moving = model.clone();
        let mut down = false;
        group.bench_function(id("key-and-drawn"), |bencher| {
            bencher.iter(|| {
                down = !down;
                let code = if down { KeyCode::Down } else { KeyCode::Up };
                update(
                    &mut moving,
                    Message::Key(KeyEvent::new(code, KeyModifiers::NONE)),
                );
                terminal.draw(|frame| view(&moving, frame)).unwrap();
            });
        });
        // A letter of a filter: everything is arranged anew.
        let mut filtered = model.clone();
        update(
            &mut filtered,
            Message::Key(KeyEvent::new(KeyCode::Char('/'), KeyModifiers::NONE)),
        );
        let mut typed = false;
        group.bench_function(id("filtered-and-drawn"), |bencher| {
            bencher.iter(|| {
                typed = !typed;
                let code = if typed {
                    KeyCode::Char('1')
                } else {
                    KeyCode::Backspace
                };
                update(
                    &mut filtered,
                    Message::Key(KeyEvent::new(code, KeyModifiers::NONE)),
                );
                if !typed {
                    update(
                        &mut filtered,
                        Message::Key(KeyEvent::new(KeyCode::Char('/'), KeyModifiers::NONE)),
                    );
                }
                terminal.draw(|frame| view(&filtered, frame)).unwrap();
            });
        });
    }
    group.finish();
}

criterion_group!(benches, frames);
criterion_main!(benches);
