//! A snapshot of 250 variables and 600 functions, written to files and read from them again, as a ratio to a plain write and
//! read of the same bytes in the same run: `cargo bench -p tsm-core --bench snapshot`.

#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use tsm_core::env::{Environment, ShellState, file};

const ROUNDS: usize = 200;

fn environment() -> Environment {
    let mut environment = Environment::new();
    for number in 0..250 {
        let value = match number % 5 {
            0 => format!("/usr/local/bin:/usr/bin:/bin:/opt/{number}/bin").repeat(4),
            1 => format!("it's {number} \"quoted\" $words; and `more`"),
            2 => format!("two\nlines\tof {number}\x1b[0m"),
            3 => String::new(),
            _ => number.to_string(),
        };
        let name = format!("VARIABLE_{number}");
        environment
            .set(name.as_bytes(), value.as_bytes())
            .expect("a variable");
    }
    environment
}

fn shell_state() -> Vec<u8> {
    let mut text = b"# TSM shell snapshot for bash 5.2\n".to_vec();
    for number in 0..600 {
        let body = "    local word=\"${1:-none}\";\n    printf '%s\\n' \"$word\" | sed -e 's/a/b/' || return 1\n";
        text.extend_from_slice(
            format!(
                "function_{number} () \n{{ \n{}}}\n",
                body.repeat(1 + number % 7)
            )
            .as_bytes(),
        );
    }
    text.extend_from_slice(b"# end of the TSM shell snapshot\n");
    text
}

/// The median time of one round.
fn median(mut round: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            round();
            begin.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[ROUNDS / 2]
}

fn main() {
    let directory = tempfile::tempdir().expect("a directory");
    let paths = [
        directory.path().join("a.env"),
        directory.path().join("a.shell"),
    ];
    let environment = environment();
    let shell = shell_state();
    let text = file::format(&environment);
    let state = ShellState::parse(&shell).expect("a whole shell state");
    let write = |path: &Path, bytes: &[u8]| fs::write(path, bytes).expect("written");
    let read = |path: &Path| fs::read(path).expect("read");

    let plain_write = median(|| {
        write(&paths[0], &text);
        write(&paths[1], &shell);
    });
    let tsm_write = median(|| {
        write(&paths[0], &file::format(black_box(&environment)));
        write(&paths[1], black_box(&state).as_bytes());
    });
    let plain_read = median(|| {
        black_box((read(&paths[0]), read(&paths[1])));
    });
    let tsm_read = median(|| {
        let environment = file::parse(&read(&paths[0])).expect("an environment");
        let state = ShellState::parse(&read(&paths[1])).expect("a shell state");
        black_box((environment, state));
    });
    let kib = (text.len() + shell.len()) >> 10;
    println!("a snapshot of 250 variables and 600 functions, {kib} KiB; medians of {ROUNDS}");
    for (what, plain, tsm) in [
        ("written", plain_write, tsm_write),
        ("read", plain_read, tsm_read),
    ] {
        let ratio = tsm.as_secs_f64() / plain.as_secs_f64();
        println!("{what:8} plain {plain:>10.1?}   TSM {tsm:>10.1?}   {ratio:.2}×");
    }
}
