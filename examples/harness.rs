//! A test harness: starts the services that a test suite needs, each on a port of its own and ready before the first test, and
//! leaves nothing behind, whether the tests pass, fail or panic.
//!
//! ```console
//! $ cargo run -p tsm-core --example harness
//! ```

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for a terminal"
)]

use std::ffi::{OsStr, OsString};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tsm_core::control::{ActOptions, Client, Launcher, StartRequest, Verb};
use tsm_core::env::Environment;
use tsm_core::error::{BestEffort as _, Error, Result};
use tsm_core::home::Home;
use tsm_core::launch::{Typed, resolve};
use tsm_core::spec::{ProcessSpec, ReadyCheck, ReadySpec, RestartPolicy};
use tsm_core::store::ProcessStore;
use tsm_core::supervise::{self, Options};
use tsm_core::view::Overview;

/// How long a service may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// Services for the tests of one suite, in a home of their own.
struct Services {
    directory: tempfile::TempDir,
    client: Client,
}

/// One that runs and is ready.
struct Service {
    name: String,
    port: u16,
}

impl Services {
    fn begin() -> Result<Self> {
        let directory = tempfile::tempdir().map_err(|source| Error::System {
            action: "make a directory",
            source,
        })?;
        let home = Home::at(directory.path().join("home"));
        let launcher = Launcher {
            // This program is its own supervisor: a test suite needs no tsm that is installed.
            program: own_program()?,
            arguments: vec!["supervisor".into(), "guard".into(), home.root().into()],
            environment: Vec::new(),
        };
        Ok(Self {
            directory,
            client: Client::new(home, launcher, "the test harness"),
        })
    }

    /// Starts a program on a port that nobody has, and returns when it listens on it. One that ends instead is an error with
    /// the reason: it is not restarted, because a test that needs that is wrong.
    fn start(&self, name: &str, program: &OsStr, args: &[OsString]) -> Result<Service> {
        let cwd = self.directory.path();
        let path = std::env::var_os("PATH");
        let typed = Typed {
            target: program,
            args,
            cwd,
            path: path.as_deref(),
            shell: None,
            interpreter: None,
        };
        let resolved = resolve(typed)?;
        let mut spec = ProcessSpec::new(program, resolved.program, cwd);
        spec.args = args.iter().map(Into::into).collect();
        spec.restart = RestartPolicy::No;
        let mut ready = ReadySpec::new(ReadyCheck::Port(None));
        ready.timeout_ms = READY_WITHIN.as_millis() as u64;
        spec.ready = Some(Box::new(ready));
        let mut request = StartRequest::new(resolved.name, spec);
        request.name = Some(name.parse()?);
        request.any_port = true;
        request.wait_ms = Some(READY_WITHIN.as_millis() as u64);
        let environment = Environment::from_os(std::env::vars_os());
        let (started, _) = self.client.start(request, &environment.into())?;
        let overview = Overview::read(&ProcessStore::new(self.client.home().clone()))?;
        let view = overview
            .processes
            .into_iter()
            .find(|view| view.name == started.name);
        let port = view.and_then(|view| view.port).unwrap_or_default();
        Ok(Service {
            name: name.to_owned(),
            port,
        })
    }

    /// Ends one and starts it again, as a test of what happens then does; returns when it is ready.
    fn restart(&self, service: &Service) -> Result<()> {
        let options = ActOptions {
            wait_ms: Some(READY_WITHIN.as_millis() as u64),
            ..ActOptions::default()
        };
        let names = [service.name.clone()];
        self.client.act(Verb::Restart, &names, options, |_| {})?;
        Ok(())
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        let all = ["all".to_owned()];
        let force = ActOptions {
            force: true,
            ..ActOptions::default()
        };
        let ended = self.client.act(Verb::Delete, &all, force, |_| {});
        if let Err(error) = ended.and_then(|_| self.client.shut_down()) {
            eprintln!("harness: something may be left: {error}");
        }
    }
}

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let done = match words.get(1).and_then(|word| word.to_str()) {
        Some("supervisor") => supervisor(&words),
        Some("serve") => serve().map(|()| 0),
        _ => suite().map(|()| 0),
    };
    match done {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("harness: {error}");
            ExitCode::from(error.kind().exit_status())
        }
    }
}

/// The tests: two services, one asks the other, and one is restarted under it.
fn suite() -> Result<()> {
    let services = Services::begin()?;
    let program = own_program()?;
    let serve = ["serve".into()];
    let one = services.start("one", program.as_os_str(), &serve)?;
    let two = services.start("two", program.as_os_str(), &serve)?;
    for service in [&one, &two] {
        println!("{} answers: {}", service.name, ask(service.port)?);
    }
    let before = ask(one.port)?;
    services.restart(&one)?;
    println!("{} answers: {}", one.name, ask(one.port)?);
    let is_another = ask(one.port)? != before;
    println!("it is another process: {is_another}");
    Ok(())
}

fn ask(port: u16) -> Result<String> {
    let system = |source| Error::System {
        action: "ask a service",
        source,
    };
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(system)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(system)?;
    Ok(answer)
}

/// What a service of this suite does: it tells everybody who it is.
fn serve() -> Result<()> {
    let system = |source| Error::System {
        action: "listen",
        source,
    };
    let port = std::env::var("PORT")
        .ok()
        .and_then(|port| port.parse().ok());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.unwrap_or(0))).map_err(system)?;
    for stream in listener.incoming() {
        let answer = format!("process {}", std::process::id());
        stream
            .and_then(|mut stream| stream.write_all(answer.as_bytes()))
            .best_effort("who went away wants no answer");
    }
    Ok(())
}

/// `harness supervisor guard HOME` is the guardian, `harness supervisor run HOME` the supervisor that it starts.
fn supervisor(words: &[OsString]) -> Result<u8> {
    let home = words.get(3).cloned().unwrap_or_default();
    let environment = std::env::vars_os().collect();
    if words.get(2).is_some_and(|word| word == "guard") {
        let arguments = ["harness".into(), "supervisor".into(), "run".into(), home];
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
