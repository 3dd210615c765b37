//! systemd: a system unit that runs as the user, or a unit of the user's own manager.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::{
    Command, Failure, Found, Installation, Needs, Owner, Place, Platform, Scope, Step, Wanted,
    mark, names,
};
use crate::error::Result;
use crate::sys::{cgroup, limits};

const SUFFIX: &str = ".service";
/// How many descriptors it keeps: three a service. Their names stand in one variable, which may have 128 KiB
/// (`execve(2)`, MAX_ARG_STRLEN), and have less than 16 bytes on average.
const STORED: u32 = 8192;
/// The first version that can wait longer from one restart to the next (`RestartSteps=`), and start a main process in a group
/// below the one that is delegated (`DelegateSubgroup=`).
const WITH_STEPS: u32 = 254;

/// The init system.
#[derive(Clone, Copy, Debug)]
pub(super) struct Systemd;

impl Platform for Systemd {
    fn name(&self) -> &'static str {
        "systemd"
    }

    /// See `sd_booted(3)`.
    fn is_here(&self) -> bool {
        Path::new("/run/systemd/system").is_dir()
    }

    fn install(&self, wanted: &Wanted) -> Result<Installation> {
        let place = &wanted.place;
        let user = &wanted.owner.account.name;
        let (unit, other) = names::free(&directory(place), SUFFIX, wanted)?;
        let path = directory(place).join(&unit);
        let mut remarks = Vec::new();
        if let Some(other) = other {
            let other = other.display();
            remarks.push(format!(
                "tsm.service starts {other}; this one is called {unit}"
            ));
        }
        let text = unit_text(wanted, version());
        let mut steps = Vec::new();
        let lingers = place.scope == Scope::User && !does_linger(user);
        if lingers {
            steps.push(Step::Run {
                command: Command::new(["loginctl", "enable-linger", user]),
                undo: vec![Command::new(["loginctl", "disable-linger", user])],
                failure: Failure::Matters(format!(
                    "until root does 'loginctl enable-linger {user}', it starts at the first login and ends with the last"
                )),
            });
        }
        steps.push(Step::Write {
            path: path.clone(),
            text: text.clone(),
            mode: 0o644,
            undone: vec![systemctl(place, &["daemon-reload"])],
        });
        steps.push(systemctl(place, &["daemon-reload"]).into());
        steps.push(Step::Run {
            command: systemctl(place, &["enable", &unit]),
            undo: vec![systemctl(place, &["disable", &unit])],
            failure: Failure::Ends(None),
        });
        Ok(Installation {
            starts: vec![start(place, &unit)],
            unit,
            path,
            text,
            steps,
            remarks,
            lingers,
        })
    }

    fn find(&self, place: &Place, _owner: &Owner) -> Vec<Found> {
        let directory = directory(place);
        let found = names::ours(&directory, SUFFIX)
            .into_iter()
            .map(|(unit, home)| {
                let path = directory.join(&unit);
                let ignored = |command| Step::Run {
                    command,
                    undo: Vec::new(),
                    failure: Failure::Ignored,
                };
                let steps = vec![
                    // Its supervisor is gone by now: this keeps systemd from starting another one.
                    ignored(systemctl(place, &["stop", &unit])),
                    ignored(systemctl(place, &["disable", &unit])),
                    Step::Remove {
                        path: path.clone(),
                        // Those of a user may have been made for it.
                        directories: if place.scope == Scope::User { 3 } else { 0 },
                    },
                    ignored(systemctl(place, &["daemon-reload"])),
                    ignored(systemctl(place, &["reset-failed", &unit])),
                ];
                Found {
                    platform: self.name(),
                    scope: place.scope,
                    active: is_active(place, &unit),
                    unit,
                    path,
                    home,
                    steps,
                }
            });
        found.collect()
    }
}

/// Where units are.
fn directory(place: &Place) -> PathBuf {
    match place.scope {
        Scope::System => "/etc/systemd/system".into(),
        Scope::User => place.config_directory.join("systemd/user"),
    }
}

fn systemctl(place: &Place, words: &[&str]) -> Command {
    let scope = match place.scope {
        Scope::System => None,
        Scope::User => Some("--user"),
    };
    let all = std::iter::once("systemctl")
        .chain(scope)
        .chain(words.iter().copied());
    let runtime = place.runtime_directory.clone().filter(|_| scope.is_some());
    Command {
        words: all.map(str::to_owned).collect(),
        variable: runtime.map(|directory| ("XDG_RUNTIME_DIR", directory)),
        stdin: None,
    }
}

fn is_active(place: &Place, unit: &str) -> bool {
    systemctl(place, &["is-active", "--quiet", unit])
        .run()
        .is_ok()
}

fn start(place: &Place, unit: &str) -> Step {
    // What ran before is left running when the steps are taken back.
    let undo = if is_active(place, unit) {
        Vec::new()
    } else {
        // SIGKILL: SIGTERM would stop the services that it has taken over.
        let kill = ["kill", "--signal=SIGKILL", "--kill-who=main", unit];
        vec![
            systemctl(place, &kill),
            systemctl(place, &["stop", unit]),
            systemctl(place, &["reset-failed", unit]),
        ]
    };
    let user = if place.scope == Scope::User {
        " --user"
    } else {
        ""
    };
    Step::Run {
        command: systemctl(place, &["start", unit]),
        undo,
        failure: Failure::Ends(Some(format!(
            "'journalctl{user} -n 20 -u {unit}' shows why"
        ))),
    }
}

/// Whether the user's manager runs without a login (`loginctl(1)`).
pub fn does_linger(user: &str) -> bool {
    Path::new("/var/lib/systemd/linger").join(user).exists()
}

/// The major version of the systemd that is installed; 0 where there is none.
fn version() -> u32 {
    let told = Command::new(["systemctl", "--version"])
        .run()
        .unwrap_or_default();
    let number = told.split_ascii_whitespace().nth(1);
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// A path as one word of a directive: quoted where need be, with its `%` doubled, which would name something else.
fn word(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"/._-+@:=,".contains(b);
    if bytes.iter().all(is_plain) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let mut quoted = String::from("\"");
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => quoted.extend(['\\', char::from(byte)]),
            b'%' => quoted.push_str("%%"),
            b' '..=b'~' => quoted.push(char::from(byte)),
            // A String takes everything.
            _ => drop(write!(quoted, "\\x{byte:02x}")),
        }
    }
    quoted.push('"');
    quoted
}

/// As [`word`], for the command lines of a service, where `$` is special as well (`systemd.service(5)`, "Command lines").
fn argument(path: &Path) -> String {
    word(path).replace('$', "$$")
}

/// The unit. No directive confines anything: what is started under it would be confined as well.
fn unit_text(wanted: &Wanted, version: u32) -> String {
    let home = wanted.owner.home.root();
    let user = &wanted.owner.account.name;
    let is_system = wanted.place.scope == Scope::System;
    let mut lines = vec![
        mark(&wanted.owner.home),
        "[Unit]".to_owned(),
        format!("Description=TSM: the services of {user}"),
        "Documentation=https://github.com/tetra-services/tsm".to_owned(),
    ];
    if is_system {
        lines.push("Wants=network-online.target".to_owned());
        lines
            .push("After=network-online.target remote-fs.target nss-user-lookup.target".to_owned());
    }
    lines.extend([
        format!("RequiresMountsFor={} {}", word(home), word(&wanted.program)),
        // systemd tries for ever, and more and more slowly where it can.
        "StartLimitIntervalSec=0".to_owned(),
        String::new(),
        "[Service]".to_owned(),
        "Type=notify".to_owned(),
        "NotifyAccess=main".to_owned(),
        "UMask=0077".to_owned(),
    ]);
    if is_system {
        lines.push(format!("User={user}"));
    }
    lines.extend([
        format!(
            "ExecStart={} --home {} resurrect --boot",
            word(&wanted.program),
            argument(home)
        ),
        format!("ExecReload={} -HUP $MAINPID", kill_program()),
        "Restart=on-failure".to_owned(),
    ]);
    if version >= WITH_STEPS {
        lines.extend(
            [
                "RestartSec=100ms",
                "RestartSteps=10",
                "RestartMaxDelaySec=60s",
            ]
            .map(str::to_owned),
        );
    } else {
        lines.push("RestartSec=1s".to_owned());
    }
    lines.extend([
        "# A supervisor that died takes no service along; told to stop, it stops them itself, wherever they are.".to_owned(),
        "KillMode=process".to_owned(),
        format!("TimeoutStopSec={}s", wanted.needs.stop_seconds()),
        "TimeoutStartSec=5min".to_owned(),
        format!("FileDescriptorStoreMax={STORED}"),
        "# A cgroup of its own for each service, made by the supervisor; what one of them does is no other's end.".to_owned(),
        "Delegate=yes".to_owned(),
        "OOMPolicy=continue".to_owned(),
        "TasksMax=infinity".to_owned(),
        "# Into a group whose groups below have controllers nobody can be put, the next supervisor neither.".to_owned(),
        if version >= WITH_STEPS {
            format!("DelegateSubgroup={}", cgroup::SUPERVISOR)
        } else {
            format!(
                "ExecStopPost=-{} supervisor make-room --home {}",
                word(&wanted.program),
                argument(home)
            )
        },
    ]);
    lines.extend(limit_lines(&wanted.needs));
    lines.extend([
        String::new(),
        "[Install]".to_owned(),
        format!(
            "WantedBy={}",
            if is_system {
                "multi-user.target"
            } else {
                "default.target"
            }
        ),
        String::new(),
    ]);
    lines.join("\n")
}

fn kill_program() -> &'static str {
    let usual = ["/bin/kill", "/usr/bin/kill"];
    let found = usual.into_iter().find(|path| Path::new(path).exists());
    found.unwrap_or(usual[0])
}

/// The limits that a service may ask for, as far as those of a unit are lower: who is not root cannot raise them
/// (`systemd.exec(5)`, "Process Properties").
fn limit_lines(needs: &Needs) -> Vec<String> {
    const DIRECTIVES: [(&str, &str); 8] = [
        ("nofile", "LimitNOFILE"),
        ("core", "LimitCORE"),
        ("memlock", "LimitMEMLOCK"),
        ("msgqueue", "LimitMSGQUEUE"),
        ("nice", "LimitNICE"),
        ("nproc", "LimitNPROC"),
        ("rtprio", "LimitRTPRIO"),
        ("sigpending", "LimitSIGPENDING"),
    ];
    let usual = limits::of_init();
    let line = |(name, directive): &(&str, &str)| {
        let hard = needs.limit(name)?;
        // Those of files are of systemd's own making; the others are as process 1 has them where nothing is said.
        let given = usual.iter().find(|l| limits::name(l.resource) == *name);
        let is_enough = *name != "nofile" && given.is_some_and(|given| given.hard >= hard);
        let value = if hard == u64::MAX {
            "infinity".to_owned()
        } else {
            hard.to_string()
        };
        (!is_enough).then(|| format!("{directive}={value}"))
    };
    DIRECTIVES.iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests;
