//! Starts a service, watches what it prints and how it comes back from a crash, and stops it: with `tsm-core` alone.
//!
//! ```console
//! $ cargo run -p tsm-core --example embed
//! ```

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for a terminal"
)]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tsm_core::control::{ActOptions, Client, Launcher, StartRequest, Verb};
use tsm_core::env::Environment;
use tsm_core::error::{Error, Result};
use tsm_core::home::Home;
use tsm_core::launch::{Typed, resolve};
use tsm_core::logs::{Source, tail_and_follow};
use tsm_core::spec::ProcessSpec;
use tsm_core::store::ProcessStore;
use tsm_core::supervise::{self, Options};
use tsm_core::view::Overview;

/// A service that prints a few lines and fails: it will be started again.
const SERVICE: &str =
    "echo \"hello from $TSM_NAME\"; sleep 0.3; echo 'something is wrong' >&2; exit 1";

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let done = match words.get(1).and_then(|word| word.to_str()) {
        // This program is its own supervisor: the client below starts it with these words.
        Some("supervisor") => serve(&words),
        _ => demonstrate().map(|()| 0),
    };
    match done {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("embed: {error}");
            ExitCode::from(error.kind().exit_status())
        }
    }
}

/// `embed supervisor guard HOME` is the guardian, `embed supervisor run HOME` the supervisor that it starts.
fn serve(words: &[OsString]) -> Result<u8> {
    let home = words.get(3).cloned().unwrap_or_default();
    let environment = std::env::vars_os().collect();
    if words.get(2).is_some_and(|word| word == "guard") {
        let arguments = ["embed".into(), "supervisor".into(), "run".into(), home];
        return supervise::guard(&own_program()?, &arguments, None, environment);
    }
    supervise::run(Options {
        home: Home::at(home),
        foreground: false,
        resurrect: None,
        environment,
        upgrade: None,
    })
}

fn own_program() -> Result<PathBuf> {
    std::env::current_exe().map_err(|source| Error::System {
        action: "find this program",
        source,
    })
}

fn demonstrate() -> Result<()> {
    let directory = std::env::temp_dir().join(format!("tsm-embed-{}", std::process::id()));
    let home = Home::at(&directory);
    let launcher = Launcher {
        program: own_program()?,
        arguments: vec![
            "supervisor".into(),
            "guard".into(),
            directory.clone().into(),
        ],
        environment: Vec::new(),
    };
    let client = Client::new(home.clone(), launcher, "the embedding example");

    let path = std::env::var_os("PATH");
    let typed = Typed {
        target: SERVICE.as_ref(),
        args: &[],
        cwd: Path::new("/"),
        path: path.as_deref(),
        shell: None,
        interpreter: None,
    };
    let resolved = resolve(typed)?;
    let spec = ProcessSpec::new(SERVICE, resolved.program, "/");
    let mut request = StartRequest::new(resolved.name, spec);
    request.name = Some("greeter".parse()?);
    let (started, _) = client.start(request, &Environment::from_os(std::env::vars_os()).into())?;
    println!(
        "{} runs with ID {} and PID {:?}",
        started.name, started.id, started.pid
    );

    let source = Source::of(&home, &started.name);
    let (tail, mut follower) = tail_and_follow(&[source], None)?;
    let mut seen = 0;
    for line in tail {
        println!("  {}", String::from_utf8_lossy(&line?.bytes));
        seen += 1;
    }
    while seen < 6 {
        for line in follower.next_batch(Some(Duration::from_secs(10)))? {
            println!("  {}", String::from_utf8_lossy(&line.bytes));
            seen += 1;
        }
    }

    let overview = Overview::with_usage(&ProcessStore::new(home))?;
    for view in &overview.processes {
        println!(
            "{} is {}, restarted {} times",
            view.name, view.state, view.restarts
        );
    }
    client.act(
        Verb::Delete,
        &["all".to_owned()],
        ActOptions::default(),
        |_| {},
    )?;
    client.shut_down()?;
    #[expect(clippy::disallowed_methods, reason = "it was made above")]
    let removed = std::fs::remove_dir_all(&directory);
    removed.map_err(|source| Error::Io {
        action: "remove",
        path: directory,
        source,
    })?;
    println!("stopped, and nothing is left");
    Ok(())
}
