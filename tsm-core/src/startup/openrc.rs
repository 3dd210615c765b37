//! OpenRC: a service script that runs as the user, kept up by `supervise-daemon(8)`.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::{
    Command, Failure, Found, Installation, Owner, Place, Platform, Scope, Step, Wanted, mark, names,
};
use crate::env::quote::quote;
use crate::error::{Error, Result};

/// The init system.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenRc;

const SCRIPTS: &str = "/etc/init.d";

impl Platform for OpenRc {
    fn name(&self) -> &'static str {
        "openrc"
    }

    fn is_here(&self) -> bool {
        Path::new("/run/openrc").is_dir()
    }

    fn install(&self, wanted: &Wanted) -> Result<Installation> {
        if wanted.place.scope == Scope::User {
            return Err(Error::Startup {
                step: "start at boot by OpenRC".to_owned(),
                reason: format!(
                    "only root may; sudo tsm startup openrc -u {}",
                    wanted.owner.account.name
                )
                .into(),
            });
        }
        let (unit, other) = names::free(Path::new(SCRIPTS), "", wanted)?;
        let path = Path::new(SCRIPTS).join(&unit);
        let text = script(wanted);
        Ok(Installation {
            starts: vec![Step::Run {
                command: Command::new(["rc-service", &unit, "start"]),
                // If it could not be started, it has not taken over anything that would have to be
                // stopped.
                undo: vec![Command::new(["rc-service", &unit, "zap"])],
                failure: Failure::Ends(None),
            }],
            steps: vec![
                Step::Write {
                    path: path.clone(),
                    text: text.clone(),
                    mode: 0o755,
                    undone: Vec::new(),
                },
                Step::Run {
                    command: Command::new(["rc-update", "add", &unit, "default"]),
                    undo: vec![Command::new(["rc-update", "del", &unit, "default"])],
                    failure: Failure::Ends(None),
                },
            ],
            remarks: other
                .map(|other| {
                    format!(
                        "the service tsm starts {}; this one is called {unit}",
                        other.display()
                    )
                })
                .into_iter()
                .collect(),
            unit,
            path,
            text,
            lingers: false,
        })
    }

    fn find(&self, place: &Place, _owner: &Owner) -> Vec<Found> {
        if place.scope == Scope::User {
            return Vec::new();
        }
        let found = names::ours(Path::new(SCRIPTS), "")
            .into_iter()
            .map(|(unit, home)| {
                let path = Path::new(SCRIPTS).join(&unit);
                Found {
                    platform: self.name(),
                    scope: Scope::System,
                    // OpenRC keeps it up until the machine goes down, and would start the
                    // supervisor again.
                    active: false,
                    steps: vec![
                        Step::Run {
                            command: Command::new(["rc-update", "del", &unit, "default"]),
                            undo: vec![Command::new(["rc-update", "add", &unit, "default"])],
                            failure: Failure::Matters("it may be disabled already".to_owned()),
                        },
                        Step::Remove {
                            path: path.clone(),
                            directories: 0,
                        },
                    ],
                    unit,
                    path,
                    home,
                }
            });
        found.collect()
    }
}

/// The script (`openrc-run(8)`). It needs nothing, since what mounts file systems is called otherwise by each distribution: what is not
/// there is left out. What the words of the command are is evaluated by a shell once more.
fn script(wanted: &Wanted) -> String {
    let shell = |bytes: &[u8]| String::from_utf8_lossy(&quote(bytes)).into_owned();
    let path = |path: &Path| shell(path.as_os_str().as_bytes());
    let user = &wanted.owner.account.name;
    let arguments = format!("--home {} resurrect --boot", path(wanted.owner.home.root()));
    let open_files = match wanted.needs.limit("nofile") {
        Some(u64::MAX) => "rc_ulimit=\"-n unlimited\"\n".to_owned(),
        Some(files) => format!("rc_ulimit=\"-n {files}\"\n"),
        None => String::new(),
    };
    format!(
        r#"#!/sbin/openrc-run
{mark}
name="TSM"
description="TSM: the services of {user}"
supervisor="supervise-daemon"
command={program}
command_args={arguments}
command_user={user}
respawn_delay="1"
respawn_max="0"
retry="TERM/{stop}/KILL/5"
error_logger="logger -t tsm"
{open_files}
depend() {{
    use localmount netmount net dns
    after firewall mountall mountnfs
}}
"#,
        mark = mark(&wanted.owner.home),
        program = path(&wanted.program),
        arguments = shell(arguments.as_bytes()),
        user = shell(user.as_bytes()),
        stop = wanted.needs.stop_seconds(),
    )
}
