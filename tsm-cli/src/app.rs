//! From words to an exit status.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};
use tsm_core::control::{Client, Verb};
use tsm_core::env::ShellState;
use tsm_core::error::{Error, ErrorKind};
use tsm_core::home::Home;
use tsm_core::store::ProcessStore;

use crate::args::{Cli, Command, ConfigCommand, Global, ListArgs, SupervisorCommand};
use crate::output::{Output, complain};
use crate::usage::wrong_usage;
use crate::{arrange, commands, table};

/// Why a command did not do what it should.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something to tell, and its class.
    Core(Error),
    /// It was told already; only the exit status is left to give.
    Told(ErrorKind),
    /// Standard output could not be written.
    Output(io::Error),
    /// It was told already; this exit status is handed on.
    Status(u8),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

pub(crate) type Outcome = Result<(), Failure>;

/// What `tsm` alone says where it was never used.
const FIRST_STEPS: &str = "No processes. To begin:
  tsm start ./server.sh --name api   runs a script, a program or a \"command line\", in the environment of this shell
  tsm logs api -f                    what it prints; 'tsm' shows all that runs, 'tsm stop api' ends it
  tsm startup                        starts what runs again at every boot; 'tsm --help' has the rest";

/// What every command has at hand.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) home: Home,
    pub(crate) output: Output,
    pub(crate) command: &'static str,
    /// Where the shell hook says what only the shell knows.
    pub(crate) shell_state: Option<PathBuf>,
}

impl Context {
    pub(crate) fn store(&self) -> ProcessStore {
        ProcessStore::new(self.home.clone())
    }

    pub(crate) fn client(&self) -> Result<Client, Error> {
        let launcher = commands::supervisor::launcher(&self.home)?;
        Ok(Client::new(self.home.clone(), launcher, self.by()))
    }

    /// What only the shell knows, where its hook hands it over. It is read once.
    pub(crate) fn shell_state(&self) -> Option<ShellState> {
        let path = self.shell_state.as_ref()?;
        let mut dump = Vec::new();
        let read = std::fs::File::open(path).and_then(|file| {
            // One byte more than is allowed, so that a state that is too long is noticed and not
            // cut.
            let most = tsm_core::env::shell::MAX_BYTES as u64 + 1;
            io::Read::read_to_end(&mut io::Read::take(file, most), &mut dump)
        });
        let state = match read {
            Ok(_) => ShellState::from_dump(&dump).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        state
            .map_err(|reason| {
                complain(format_args!(
                    "the state of this shell could not be taken ({reason}); the variables are all that is kept"
                ));
            })
            .ok()
    }

    /// How the home is called where several are in use; `None` for `~/.tsm`, which needs no name.
    pub(crate) fn place(&self) -> Option<String> {
        // With `HOME` alone, so that `TSM_HOME` and its like make a home unusual.
        let usual = Home::resolve(|name| std::env::var_os(name).filter(|_| name == "HOME"));
        let root = self.home.root();
        let is_usual = usual.is_ok_and(|usual| usual.root() == root);
        (!is_usual).then(|| table::printable(&root.display().to_string()))
    }

    /// Who asks, for the history.
    fn by(&self) -> String {
        use tsm_core::sys::{account, procfs};
        let given = |name: &&str| std::env::var(name).ok().filter(|user| !user.is_empty());
        let uid = account::effective_uid();
        // The supervisor adds the real user where it is another one. The variables come first,
        // since looking a name up may ask the network.
        let user = ["USER", "LOGNAME"].iter().find_map(given);
        let user = user.unwrap_or_else(|| match account::name_of(uid) {
            number if number == uid.to_string() => format!("uid {uid}"),
            name => name,
        });
        let behind = given(&"SUDO_USER").filter(|name| uid == 0 && *name != user);
        let behind = behind.map_or_else(String::new, |name| format!(" ({name} by sudo)"));
        let place = procfs::terminal(std::process::id())
            .map(|name| format!(" on {name}"))
            .unwrap_or_default();
        format!("{user}{behind} from `tsm {}`{place}", self.command)
    }
}

/// A program that was replaced while this one runs is called `NAME (deleted)`; its successor has the name.
pub(crate) fn executable(program: PathBuf) -> PathBuf {
    match program
        .to_str()
        .and_then(|name| name.strip_suffix(" (deleted)"))
    {
        Some(name) => PathBuf::from(name),
        None => program,
    }
}

/// What a supervisor needs of an environment; its services never see it.
pub(crate) fn supervisor_environment() -> Vec<(OsString, OsString)> {
    // A supervisor outlives the shell that started it: the rest of that shell's environment would
    // be stale and may be secret.
    const KEPT: &[&str] = &[
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "LANG",
        "LC_ALL",
        "TZ",
        "TMPDIR",
        "XDG_RUNTIME_DIR",
        "DBUS_SESSION_BUS_ADDRESS",
        "RUST_BACKTRACE",
        "TSM_FAIL_POINT",
    ];
    KEPT.iter()
        .filter_map(|name| Some(((*name).into(), std::env::var_os(name)?)))
        .collect()
}

pub(crate) fn run(words: &[OsString]) -> ExitCode {
    // Before the parser: see `machinery`.
    if let Some(status) = commands::supervisor::machinery(words) {
        return status;
    }
    let cli = match parse(words.to_vec()) {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(wrong_usage(&error, words)),
    };
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has seen enough (`tsm list | head -1`); Rust ignores SIGPIPE, so that it
        // arrives as an error.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(Failure::Output(error)) => {
            complain(format_args!("cannot write to standard output: {error}"));
            ExitCode::from(ErrorKind::Failed.exit_status())
        }
        Err(Failure::Told(kind)) => ExitCode::from(kind.exit_status()),
        Err(Failure::Status(status)) => ExitCode::from(status),
        Err(Failure::Core(error)) => {
            complain(&error);
            ExitCode::from(error.kind().exit_status())
        }
    }
}

/// What the words, `tsm` first, ask for.
pub(crate) fn parse(words: Vec<OsString>) -> Result<Cli, clap::Error> {
    let tsm = Cli::command();
    let words = arrange::arrange(asked_for_help(words), &tsm);
    tsm.try_get_matches_from(words)
        .and_then(|matches| Cli::from_arg_matches(&matches))
}

/// `tsm help stop` is `tsm stop --help`.
fn asked_for_help(mut words: Vec<OsString>) -> Vec<OsString> {
    if words.get(1).is_some_and(|word| word == "help") {
        words.remove(1);
        words.push("--help".into());
    }
    words
}

fn dispatch(cli: Cli) -> Outcome {
    let context = |name| context(&cli.global, name);
    let Some(command) = cli.command else {
        let context = context("list")?;
        return if context.home.exists() {
            commands::list::run(&context, &ListArgs::default())
        } else {
            Ok(context.output.fact(FIRST_STEPS)?)
        };
    };
    match command {
        Command::Start(args) => commands::start::run(&context("start")?, &args),
        Command::Stop(args) => commands::act::stop(&context("stop")?, args.select, args.force),
        Command::Kill(args) => commands::act::stop(&context("kill")?, args, true),
        Command::Restart(args) => commands::act::restart(&context("restart")?, args),
        Command::Scale(args) => commands::scale::run(&context("scale")?, &args),
        Command::Delete(args) => commands::act::delete(&context("delete")?, args),
        Command::Signal(args) => commands::act::signal(&context("signal")?, &args),
        Command::Reload(args) => commands::act::reload(&context("reload")?, args),
        Command::List(args) => commands::list::run(&context("list")?, &args),
        Command::Info(args) => commands::info::run(&context("info")?, &args),
        Command::Ports(args) => commands::ports::run(&context("ports")?, &args),
        Command::Logs(args) => commands::logs::run(&context("logs")?, &args),
        Command::Why(args) => commands::why::run(&context("why")?, &args),
        Command::History(args) => commands::history::run(&context("history")?, &args),
        Command::Doctor(args) => {
            // A doctor is needed most where the home is not safe to use.
            commands::doctor::run(&unchecked_context(&cli.global, "doctor")?, &args)
        }
        Command::Reset(args) => commands::act::reset(&context("reset")?, args),
        Command::Rotate(args) => commands::act::for_logs(&context("rotate")?, Verb::Rotate, args),
        Command::Flush(args) => commands::act::for_logs(&context("flush")?, Verb::Flush, args),
        Command::Reopen(args) => commands::act::for_logs(&context("reopen")?, Verb::Reopen, args),
        Command::Env(command) => commands::env::run(&context("env")?, command),
        Command::Config(ConfigCommand::Check(args)) => {
            commands::config::check(&context("config check")?, &args)
        }
        Command::Config(ConfigCommand::Import(args)) => {
            commands::import::run(&context("config import")?, &args)
        }
        Command::Config(ConfigCommand::Schema) => commands::config::print_schema(),
        Command::Init { shell } => commands::hook::init(shell),
        Command::Completions { shell } => commands::hook::completions(shell),
        Command::Schema { document } => {
            commands::schema::run(&context("schema")?, document.as_deref())
        }
        Command::Man(args) => commands::man::run(&context("man")?, &args),
        Command::Complete { words } => commands::complete::run(&context("__complete")?, &words),
        Command::Save(args) => commands::persist::save(&context("save")?, &args),
        Command::Resurrect(args) => commands::persist::resurrect(&context("resurrect")?, &args),
        Command::Import(args) => commands::persist::import(&context("import")?, &args),
        Command::Startup(args) => commands::startup::install(&cli.global, &args),
        Command::Unstartup(args) => commands::startup::remove(&cli.global, &args),
        Command::Repl => commands::repl::run(&context("repl")?, &cli.global),
        Command::Tui => commands::tui::run(&context("tui")?),
        Command::Supervisor(SupervisorCommand::Status { json }) => {
            commands::supervisor::status(&context("supervisor status")?, json)
        }
        Command::Supervisor(SupervisorCommand::Start) => {
            commands::supervisor::start(&context("supervisor start")?)
        }
        Command::Supervisor(SupervisorCommand::Stop) => {
            commands::supervisor::stop(&context("supervisor stop")?)
        }
        Command::Supervisor(SupervisorCommand::Upgrade) => {
            commands::supervisor::upgrade(&context("supervisor upgrade")?)
        }
        Command::Supervisor(SupervisorCommand::Run) => {
            commands::supervisor::run(&context("supervisor run")?)
        }
    }
}

fn context(global: &Global, command: &'static str) -> Result<Context, Error> {
    let context = unchecked_context(global, command)?;
    // Root would otherwise leave files of its own in a user's home, which that user's supervisor
    // could not write.
    if let Some(owner) = context.home.become_owner()? {
        context
            .output
            .remark(format_args!("goes on as {owner}, whose home that is"));
    }
    // Only where it is there: a command that just looks creates no home.
    if context.home.root().exists() {
        context.home.check_owner()?;
    }
    Ok(context)
}

/// With a home that may not be safe to use: for who finds that out.
fn unchecked_context(global: &Global, command: &'static str) -> Result<Context, Error> {
    let home = match &global.home {
        Some(home) if home.as_os_str().is_empty() => {
            return Err(Error::bad_value("--home", "it is empty; name a directory"));
        }
        Some(home) => Home::at(home),
        None => Home::resolve(|name| std::env::var_os(name))?,
    };
    Ok(Context {
        home,
        output: Output::new(global),
        command,
        shell_state: global.shell_state.clone(),
    })
}
