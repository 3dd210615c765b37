//! One test's world: a directory, a home in it, an environment of its own, and nothing left of it at the end.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

pub(crate) use crate::command::{Begun, Going, Output, TSM, begin, finish, run, words};
use crate::processes::{self, Seen};
use crate::wait::{DEADLINE, wait_for, within};

pub(crate) struct Bed {
    directory: tempfile::TempDir,
}

impl Bed {
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("tsm-e2e-")
            .tempdir()
            .unwrap();
        let bed = Self { directory };
        for name in ["person", "tmp", "work"] {
            fs::create_dir(bed.root().join(name)).unwrap();
        }
        bed
    }

    /// The directory that holds all of this bed. Its path has no symbolic links.
    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    /// TSM's home; nobody has made it yet.
    pub(crate) fn home(&self) -> PathBuf {
        self.root().join("tsm")
    }

    /// Where commands are typed.
    pub(crate) fn work(&self) -> PathBuf {
        self.root().join("work")
    }

    /// A path below the directory where commands are typed.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.work().join(name)
    }

    /// Lets other users of the machine reach the working directory, but not the home.
    pub(crate) fn open_to_others(&self) {
        for directory in [self.root().to_owned(), self.work()] {
            fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    /// Writes a file below the working directory.
    #[track_caller]
    pub(crate) fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// A copy of the program that any user may execute, made by a child process (see [`Bed::script`]).
    #[track_caller]
    pub(crate) fn program(&self, path: &Path) {
        let mut install = self.command("install");
        install.args(["-m", "755", TSM]).arg(path);
        run(install).ok();
    }

    /// Writes a script that may be executed. The file is closed by a child process, so that no sibling thread's fork
    /// holds it open for writing when it is executed (`ETXTBSY`).
    #[track_caller]
    pub(crate) fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut child = Command::new("/bin/sh")
            .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
            .arg(&path)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        drop(stdin);
        assert!(child.wait().unwrap().success());
        path
    }

    /// A program that sleeps for ever under a name of this bed, so that it is found even with another's environment.
    pub(crate) fn sleeper(&self) -> PathBuf {
        let path = self.root().join("sleep");
        if !path.exists() {
            std::os::unix::fs::symlink("/bin/sleep", &path).unwrap();
        }
        path
    }

    /// A program with the bed's environment and working directory.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.root().join("person"))
            .env("TMPDIR", self.root().join("tmp"))
            .env("TSM_HOME", self.home())
            .env("TZ", "UTC")
            .env("COLUMNS", "100")
            .env("NO_COLOR", "1")
            .env("LANG", "C.UTF-8")
            .current_dir(self.work())
            .stdin(Stdio::null());
        command
    }

    /// `tsm ARGS`, ready to run.
    pub(crate) fn tsm_command<A: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
    ) -> Command {
        let mut command = self.command(TSM);
        command.args(args);
        command
    }

    /// `tsm ARGS` with its outcome.
    #[track_caller]
    pub(crate) fn tsm<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Output {
        run(self.tsm_command(args))
    }

    /// `tsm ARGS` under way.
    #[track_caller]
    pub(crate) fn begin<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Begun {
        begin(self.tsm_command(args))
    }

    /// A line of shell with its outcome; `$0` is `tsm`.
    #[track_caller]
    pub(crate) fn shell(&self, line: &str) -> Output {
        let mut command = self.command("/bin/sh");
        command.args(["-c", line, TSM]);
        run(command)
    }

    /// Starts a service of this name that does nothing, and returns its pid.
    #[track_caller]
    pub(crate) fn start_idle(&self, name: &str) -> u32 {
        self.tsm(["start", "--name", name, "--", "sleep", "100000"])
            .ok();
        self.pid(name)
    }

    /// `list --json`.
    #[track_caller]
    pub(crate) fn list(&self) -> Vec<Value> {
        let listed = self.tsm(["list", "--json", "--fast"]).ok();
        match serde_json::from_str(&listed.stdout) {
            Ok(Value::Array(views)) => views,
            other => panic!("list --json printed {other:?}: {}", listed.stdout),
        }
    }

    /// What `list --json` says of one process.
    #[track_caller]
    pub(crate) fn view(&self, name: &str) -> Value {
        let found = self.list().into_iter().find(|view| view["name"] == name);
        found.unwrap_or_else(|| panic!("'{name}' is not listed"))
    }

    /// The names that are listed, in their order.
    #[track_caller]
    pub(crate) fn names(&self) -> Vec<String> {
        let names = self.list();
        names
            .iter()
            .map(|view| view["name"].as_str().unwrap().to_owned())
            .collect()
    }

    /// `info --json` of one process.
    #[track_caller]
    pub(crate) fn info(&self, name: &str) -> Value {
        let told = self.tsm(["info", name, "--json"]).ok();
        serde_json::from_str(&told.stdout).unwrap()
    }

    #[track_caller]
    pub(crate) fn state(&self, name: &str) -> String {
        self.view(name)["state"].as_str().unwrap().to_owned()
    }

    /// The pid of a process that runs.
    #[track_caller]
    pub(crate) fn pid(&self, name: &str) -> u32 {
        let view = self.view(name);
        match view["pid"].as_u64() {
            Some(pid) => pid as u32,
            None => panic!("'{name}' has no pid: {view}"),
        }
    }

    /// Waits until a process is in this state, and returns what is listed then.
    #[track_caller]
    pub(crate) fn wait_state(&self, name: &str, state: &str) -> Value {
        let mut view = Value::Null;
        let reached = within(DEADLINE, || {
            view = self.view(name);
            (view["state"] == state).then_some(())
        });
        assert!(reached.is_some(), "'{name}' is never {state}: {view}");
        view
    }

    /// Waits until what is listed of a process holds.
    #[track_caller]
    pub(crate) fn wait_view(&self, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        wait_for(&format!("'{name}' is as it should be"), || {
            Some(self.view(name)).filter(&holds)
        })
    }

    /// Waits until a process is there and in this state.
    #[track_caller]
    pub(crate) fn wait_state_of_new(&self, name: &str, state: &str) {
        wait_for(&format!("'{name}' is {state}"), || {
            let view = self.list().into_iter().find(|view| view["name"] == name)?;
            (view["state"] == state).then_some(())
        });
    }

    /// Waits until the history of a process has this text, and returns all of it.
    #[track_caller]
    pub(crate) fn wait_log_of_events(&self, name: &str, text: &str) -> String {
        let path = self.home().join(format!("processes/{name}.events.jsonl"));
        wait_for(&format!("the history of '{name}' has {text}"), || {
            let events = fs::read_to_string(&path).ok()?;
            events.contains(text).then_some(events)
        })
    }

    /// Waits until another process runs under this name than `before`, and returns its pid.
    #[track_caller]
    pub(crate) fn wait_new_pid(&self, name: &str, before: u32) -> u32 {
        let mut view = Value::Null;
        let pid = within(DEADLINE, || {
            view = self.view(name);
            let pid = view["pid"].as_u64()? as u32;
            (view["state"] == "running" && pid != before).then_some(pid)
        });
        match pid {
            Some(pid) => pid,
            None => panic!("'{name}' ({before}) does not run again: {view}"),
        }
    }

    /// Kills the main process of a service, as a crash would.
    #[track_caller]
    pub(crate) fn crash(&self, name: &str) -> u32 {
        let pid = self.pid(name);
        Seen::now(pid).signal(Signal::KILL);
        pid
    }

    fn supervisor(&self) -> Value {
        let told = run(self.tsm_command(["supervisor", "status", "--json"]));
        serde_json::from_str(&told.stdout).unwrap_or(Value::Null)
    }

    /// The pid of the supervisor, if one runs.
    pub(crate) fn supervisor_pid(&self) -> Option<u32> {
        self.supervisor()["pid"].as_u64().map(|pid| pid as u32)
    }

    /// The pid of the guardian, if one runs.
    pub(crate) fn guardian_pid(&self) -> Option<u32> {
        self.supervisor()["guardian"].as_u64().map(|pid| pid as u32)
    }

    /// The pid of the guardian's sentinel, if there is one.
    pub(crate) fn sentinel_pid(&self) -> Option<u32> {
        self.supervisor()["sentinel"].as_u64().map(|pid| pid as u32)
    }

    /// Files of TSM's home by their path in it, directories with a `/` behind them.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut directories = vec![self.home()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                let path = entry.path();
                let name = path.strip_prefix(self.home()).unwrap().to_string_lossy();
                if path.is_dir() {
                    found.push(format!("{name}/"));
                    directories.push(path);
                } else {
                    found.push(name.into_owned());
                }
            }
        }
        found.sort();
        found
    }

    /// The files that belong to processes.
    pub(crate) fn process_files(&self) -> Vec<String> {
        let of_a_process = |name: &String| {
            ["processes/", "pids/", "logs/"]
                .iter()
                .any(|directory| name.len() > directory.len() && name.starts_with(directory))
                && name != "logs/tsm.log"
        };
        self.files().into_iter().filter(of_a_process).collect()
    }

    /// Waits until a file of the working directory holds this.
    #[track_caller]
    pub(crate) fn wait_file(&self, name: &str, holds: impl Fn(&str) -> bool) -> String {
        let path = self.path(name);
        wait_for(&format!("{} holds what it should", path.display()), || {
            fs::read_to_string(&path).ok().filter(|text| holds(text))
        })
    }

    /// Waits until scripts have written so many pids into a file, and returns the processes.
    #[track_caller]
    pub(crate) fn wait_pids(&self, file: &str, number: usize) -> Vec<Seen> {
        let text = self.wait_file(file, |text| {
            text.ends_with('\n') && text.lines().count() >= number
        });
        text.lines()
            .map(|line| Seen::now(line.trim().parse().unwrap()))
            .collect()
    }

    /// Waits until a log file has this text, and returns all of it.
    #[track_caller]
    pub(crate) fn wait_log(&self, file: &str, text: &str) -> String {
        let path = self.home().join("logs").join(file);
        wait_for(&format!("{file} has {text:?}"), || {
            let bytes = fs::read(&path).ok()?;
            let log = String::from_utf8_lossy(&bytes).into_owned();
            log.contains(text).then_some(log)
        })
    }

    /// Prints what TSM itself noted, for a test that failed.
    fn tell(&self) {
        for directory in ["logs", "processes"] {
            let entries = fs::read_dir(self.home().join(directory));
            for path in entries
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
            {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if name == "tsm.log" || name.ends_with(".events.jsonl") {
                    let text = fs::read_to_string(&path).unwrap_or_default();
                    let lines: Vec<&str> = text.lines().collect();
                    let last = lines[lines.len().saturating_sub(30)..].join("\n");
                    eprintln!("{name}:\n{last}");
                }
            }
        }
    }

    /// Ends all processes, the supervisor, the guardian and its sentinel, and says what is left then.
    fn end(&self) -> Result<(), String> {
        if self.home().is_dir() {
            // A test may have left records that cannot be read: what matters is what is left.
            let home = self.home();
            let home = home.as_os_str();
            let option = OsStr::new("--home");
            let tsm = |words: [&'static str; 2]| {
                let words = words.map(OsStr::new);
                run(self.tsm_command([option, home].into_iter().chain(words)))
            };
            tsm(["kill", "--all"]);
            let status = self.supervisor();
            let keepers: Vec<Seen> = ["pid", "guardian", "sentinel"]
                .iter()
                .filter_map(|key| status[*key].as_u64())
                .filter(|&pid| processes::stat(pid as u32).is_some())
                .map(|pid| Seen::now(pid as u32))
                .collect();
            tsm(["supervisor", "stop"]);
            if within(DEADLINE, || {
                keepers.iter().all(|k| !k.is_alive()).then_some(())
            })
            .is_none()
            {
                return Err(format!(
                    "supervisor, guardian or sentinel did not end: {keepers:?}"
                ));
            }
        }
        let left = || processes::belonging_to(&self.home(), self.root());
        // What a test itself has just ended may need a moment.
        if within(Duration::from_secs(5), || left().is_empty().then_some(())).is_some() {
            return Ok(());
        }
        Err(format!("processes are left: {:#?}", left()))
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.end()))
            .unwrap_or_else(|_| Err("the end of the bed failed".to_owned()));
        if std::thread::panicking() {
            self.tell();
        }
        let Err(left) = ended else { return };
        for (process, _) in processes::belonging_to(&self.home(), self.root()) {
            process.signal(Signal::KILL);
        }
        if std::thread::panicking() {
            eprintln!("{left}");
        } else {
            panic!("{left}");
        }
    }
}

/// A port of this machine that nobody has: below those that the kernel gives to clients, and another for each test.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Several test programs may run at once.
    let first = 12_000 + (std::process::id() % 190) as u16 * 100;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % 100;
        if is_free(port) {
            return port;
        }
    }
}

/// Whether nobody listens on a port.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Whether these tests run as root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
