//! Parsing and formatting: records (`.meta`) and environment snapshots (`.env`).

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, Throughput};
use tsm_core::env::{Environment, file};
use tsm_core::meta::{Kind, Meta, State};

const RECORDS: u32 = 1_000;
const VARIABLES: usize = 250;

/// Records as a supervisor writes them: most run, some have ended, some wait.
fn records() -> Vec<Meta> {
    (1..=RECORDS)
        .map(|id| {
            let runs = id % 5 != 0;
            Meta {
                id,
                script: format!("services/worker-{id}.py").into_bytes(),
                cwd: b"/home/someone/projects/a service with spaces".to_vec(),
                kind: Kind::Cli,
                pid: runs.then_some(100_000 + id),
                ticks: runs.then_some(4_000_000 + u64::from(id)),
                port: (id % 3 == 0).then_some(4000 + (id % 1000) as u16),
                start_time: 1_790_000_000,
                started_ms: Some(1_790_000_000_123),
                state: Some(if runs { State::Running } else { State::Failed }),
                desired: Some("up".to_owned()),
                args: Some(b"--listen '127.0.0.1' --name 'it'\\''s me'".to_vec()),
                run: Some(u64::from(id % 7)),
                boot: Some("0fd5ad6c-2f4b-4a3e-9f57-62d1c0a9d7b1".to_owned()),
                restarts: Some(u64::from(id % 4)),
                exit: (!runs).then(|| "signal:9".to_owned()),
                exit_ms: (!runs).then_some(1_790_000_100_456),
                reason: (!runs).then(|| b"killed by SIGKILL".to_vec()),
                ..Meta::default()
            }
        })
        .collect()
}

/// An environment as a developer's shell has it: short values, paths, and a few that need quoting.
fn environment() -> Environment {
    let mut block = String::new();
    for number in 0..VARIABLES {
        let written = match number % 10 {
            0 => write!(
                block,
                "SOME_PATH_{number}=/usr/local/bin:/usr/bin:/bin:/opt/{number}/bin:/home/someone/.cargo/bin\0"
            ),
            1 => write!(
                block,
                "MESSAGE_{number}=it's the \"{number}th\" line\nand another one\0"
            ),
            2 => write!(
                block,
                "BASH_FUNC_helper_{number}%%=() {{  echo \"$1\" | sed 's/a/b/'\n}}\0"
            ),
            3 => write!(block, "UNICODE_{number}=Grüße aus Köln № {number}\0"),
            _ => write!(block, "VARIABLE_{number}=value-{number}\0"),
        };
        // Writing into a String does not fail.
        written.unwrap_or_default();
    }
    Environment::from_block(block.as_bytes()).unwrap_or_default()
}

fn bench_meta(criterion: &mut Criterion) {
    let records = records();
    let lines: Vec<Vec<u8>> = records.iter().map(Meta::to_line).collect();
    let mut group = criterion.benchmark_group("meta");
    group.throughput(Throughput::Elements(u64::from(RECORDS)));
    group.bench_function("parse 1,000 lines", |bencher| {
        bencher.iter(|| {
            for line in &lines {
                black_box(Meta::parse(black_box(line))).ok();
            }
        });
    });
    group.bench_function("format 1,000 lines", |bencher| {
        bencher.iter(|| {
            for record in &records {
                black_box(black_box(record).to_line());
            }
        });
    });
    group.finish();
}

fn bench_environment(criterion: &mut Criterion) {
    let environment = environment();
    assert_eq!(environment.len(), VARIABLES);
    let text = file::format(&environment);
    assert_eq!(file::parse(&text).ok().as_ref(), Some(&environment));
    let mut group = criterion.benchmark_group("env");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("parse 250 variables", |bencher| {
        bencher.iter(|| black_box(file::parse(black_box(&text))));
    });
    group.bench_function("format 250 variables", |bencher| {
        bencher.iter(|| black_box(file::format(black_box(&environment))));
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    bench_meta(&mut criterion);
    bench_environment(&mut criterion);
    criterion.final_summary();
}
