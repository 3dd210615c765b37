//! The programs in `examples/` do what they say. Cargo builds them before the tests of this package.
#![cfg(test)]
#![expect(
    clippy::let_underscore_must_use,
    reason = "a test clears up as well as it can"
)]

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tsm_core::control::{ActOptions, Client, Launcher, StartRequest, Verb};
use tsm_core::env::Environment;
use tsm_core::home::Home;
use tsm_core::launch::{Typed, resolve};
use tsm_core::spec::ProcessSpec;

fn example(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    // target/debug/deps/examples-… → target/debug/examples/NAME
    let built = own.parent().and_then(Path::parent).unwrap();
    let program = built.join("examples").join(name);
    assert!(
        program.is_file(),
        "{} is not built: cargo build -p tsm-core --examples",
        program.display()
    );
    program
}

fn run(name: &str) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(example(name)).output().unwrap();
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{name}: {status}: {stderr}");
    String::from_utf8(stdout).unwrap()
}

/// A home with one service in it, looked after by the supervisor of `embed`; both end with it.
struct Bed {
    _directory: tempfile::TempDir,
    home: Home,
    client: Client,
}

impl Bed {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path().join("home"));
        let words = ["supervisor".into(), "guard".into(), home.root().into()];
        let launcher = Launcher {
            program: example("embed"),
            arguments: words.to_vec(),
            environment: Vec::new(),
        };
        let client = Client::new(home.clone(), launcher, "a test of the examples");
        let bed = Self {
            _directory: directory,
            home,
            client,
        };
        let path = std::env::var_os("PATH");
        let target = "sleep 1000";
        let typed = Typed {
            target: target.as_ref(),
            args: &[],
            cwd: Path::new("/"),
            path: path.as_deref(),
            shell: None,
            interpreter: None,
        };
        let resolved = resolve(typed).unwrap();
        let spec = ProcessSpec::new(target, resolved.program, "/");
        let mut request = StartRequest::new(resolved.name, spec);
        request.name = Some("sleeper".parse().unwrap());
        let path = OsString::from("PATH");
        let environment = Environment::from_os(std::env::var_os("PATH").map(|value| (path, value)));
        bed.client.start(request, &environment.into()).unwrap();
        bed
    }

    fn act(&self, verb: Verb) {
        let names = ["sleeper".to_owned()];
        let done = self.client.act(verb, &names, ActOptions::default(), |_| {});
        let (outcomes, _) = done.unwrap();
        assert!(outcomes.iter().all(|outcome| outcome.error.is_none()));
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let force = ActOptions {
            force: true,
            ..ActOptions::default()
        };
        let all = ["all".to_owned()];
        let ended = self.client.act(Verb::Delete, &all, force, |_| {});
        let ended = ended.and_then(|_| self.client.shut_down());
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

/// A program that runs beside the test, line by line.
struct Beside {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Beside {
    fn new(name: &str, words: &[&std::ffi::OsStr]) -> Self {
        let mut command = Command::new(example(name));
        let mut child = command.args(words).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The first line that has this in it; what came before is read, too.
    fn line_with(&mut self, part: &str) -> String {
        let mut lines = self.lines.by_ref().map(Result::unwrap);
        lines
            .find(|line| line.contains(part))
            .unwrap_or_else(|| panic!("it ended without a line with {part}"))
    }

    /// What is left of it, when it has ended by itself.
    fn rest(mut self) -> Vec<String> {
        let rest = self.lines.by_ref().map(Result::unwrap).collect();
        assert!(self.child.wait().unwrap().success());
        rest
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // One that a failed test leaves behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn embed_starts_a_service_sees_it_come_back_and_leaves_nothing() {
    let said = run("embed");
    assert!(said.contains("greeter runs with ID 1"), "{said}");
    assert!(said.contains("hello from greeter"), "{said}");
    assert!(said.contains("something is wrong"), "{said}");
    assert!(said.ends_with("stopped, and nothing is left\n"), "{said}");
}

#[test]
fn harness_runs_services_for_a_suite() {
    let said = run("harness");
    assert!(said.contains("one answers: process "), "{said}");
    assert!(said.contains("two answers: process "), "{said}");
    assert!(said.ends_with("it is another process: true\n"), "{said}");
}

#[test]
fn watch_prints_states_and_events_until_the_state_that_was_asked_for() {
    let bed = Bed::new();
    let home = bed.home.root().as_os_str();
    let mut watch = Beside::new("watch", &[home, "sleeper".as_ref(), "stopped".as_ref()]);
    watch.line_with("sleeper is running");
    bed.act(Verb::Stop);
    let rest = watch.rest();
    let said = rest.join("\n");
    let asked = said.find(r#""event":"stop-requested""#);
    let exited = said.find(r#""event":"exited""#);
    let stopped = said.find("-> stopped");
    assert!(asked.is_some() && asked < exited, "{said}");
    assert!(exited.is_some() && exited < stopped, "{said}");
}

#[test]
fn dashboard_draws_what_is_there_and_what_changes() {
    let bed = Bed::new();
    let home = bed.home.root().as_os_str();
    let mut dashboard = Beside::new("dashboard", &[home, "1".as_ref()]);
    let row = dashboard.line_with("sleeper");
    assert!(
        row.contains("running") && row.contains("0 restarts"),
        "{row}"
    );
    bed.act(Verb::Stop);
    let rest = dashboard.rest().join("\n");
    assert!(rest.contains("sleeper: running -> stopp"), "{rest}");
}
