//! What services say of themselves over `NOTIFY_SOCKET` (`sd_notify(3)`): that they are ready, how they are, that they
//! are alive, which process is the main one.
//!
//! One socket serves all services of a home; whose a message is, the kernel's credentials of the sender tell. It is a file
//! in the home, and for services that cannot reach that (of another user, or below a path that is too long) a name of the
//! abstract name space. Both lie in the store, so that what is said while there is no supervisor is heard by the next one.

use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{BestEffort as _, IoContext as _, Result};
use crate::spec::{HealthCheck, ProcessSpec, ReadyCheck};
use crate::supervise::service::Leader;
use crate::supervise::supervisor::{Kind, Supervisor, token};
use crate::supervise::vitals::VitalEvent;
use crate::sys::poll::Interest;
use crate::sys::{Identity, Pidfd, procfs, socket};

/// The longest path that a socket may have, with its zero byte (`unix(7)`).
const LONGEST_PATH: usize = 107;
/// How many messages are heard before other events get their turn.
const AT_ONCE: usize = 64;
/// How far up its ancestors are asked whose a process is.
const ANCESTORS: usize = 64;
/// The longest status that is kept.
const LONGEST_STATUS: usize = 256;

/// The sockets that there are, which is none until a service needs one.
#[derive(Default)]
pub(in crate::supervise) struct Ears {
    file: Option<OwnedFd>,
    hidden: Option<OwnedFd>,
}

impl Ears {
    /// Those that the keeper gave back.
    pub(in crate::supervise) fn inherited(file: Option<OwnedFd>, hidden: Option<OwnedFd>) -> Self {
        Self { file, hidden }
    }

    fn is_deaf(&self) -> bool {
        self.file.is_none() && self.hidden.is_none()
    }

    /// The sockets, by the names that they have in the store.
    pub(in crate::supervise) fn named(&self) -> impl Iterator<Item = (&'static str, &OwnedFd)> {
        let file = self.file.iter().map(|fd| ("notify", fd));
        file.chain(self.hidden.iter().map(|fd| ("notify-hidden", fd)))
    }
}

impl Supervisor {
    /// Watches the sockets that the keeper gave back.
    pub(in crate::supervise) fn watch_ears(&mut self) {
        for (_, fd) in self.ears.named() {
            if let Err(error) = self.poll.add(fd, token(Kind::Notify, 0), Interest::Read) {
                self.log.say(format_args!(
                    "cannot watch the notification socket: {error}"
                ));
            }
        }
    }

    /// The variables by which a service finds the socket, where its spec asks for it.
    pub(in crate::supervise) fn variables_to_speak(
        &mut self,
        spec: &ProcessSpec,
    ) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let ready = spec.ready.as_ref();
        let says_ready = ready.is_some_and(|ready| ready.check == ReadyCheck::Notify);
        let health = spec.health.as_ref();
        let watchdog = health.filter(|health| health.check == HealthCheck::Watchdog);
        if !says_ready && watchdog.is_none() {
            return Ok(Vec::new());
        }
        let mut variables = vec![("NOTIFY_SOCKET", self.ear_for(spec)?)];
        if let Some(health) = watchdog {
            let microseconds = health.timeout_ms.saturating_mul(1000).to_string();
            variables.push(("WATCHDOG_USEC", microseconds.into_bytes()));
        }
        Ok(variables)
    }

    /// The address of a socket that a service can reach; it is made where there is none yet.
    fn ear_for(&mut self, spec: &ProcessSpec) -> Result<Vec<u8>> {
        let path: PathBuf = self.writer.home().root().join("notify.sock");
        let bytes = path.as_os_str().as_bytes();
        if spec.user.is_none() && bytes.len() < LONGEST_PATH {
            if self.ears.file.is_none() || !path.exists() {
                std::fs::remove_file(&path).best_effort("what a dead supervisor left behind");
                let made = socket::hear_at(&path).at("make the socket", &path)?;
                self.poll
                    .add(&made, token(Kind::Notify, 0), Interest::Read)
                    .at("watch the socket", &path)?;
                self.store.put("notify", made.as_fd());
                if let Some(before) = self.ears.file.replace(made) {
                    self.poll.unwatch(&before);
                }
            }
            return Ok(bytes.to_vec());
        }
        let name = hidden_name(self.writer.home().root().as_os_str().as_bytes());
        if self.ears.hidden.is_none() {
            let made = socket::hear_hidden(&name).doing("make a notification socket")?;
            self.poll
                .add(&made, token(Kind::Notify, 0), Interest::Read)
                .doing("watch a notification socket")?;
            self.store.put("notify-hidden", made.as_fd());
            self.ears.hidden = Some(made);
        }
        Ok([b"@", name.as_slice()].concat())
    }

    /// Hears what services have to say.
    pub(in crate::supervise) fn hear_services(&mut self) {
        if self.ears.is_deaf() {
            return;
        }
        let mut bytes = [0; 4096];
        for _ in 0..AT_ONCE {
            let mut heard = None;
            for (_, fd) in self.ears.named() {
                if let Ok(Some(message)) = socket::hear(fd, &mut bytes) {
                    heard = Some(message);
                    break;
                }
            }
            let Some(message) = heard else { return };
            let text = String::from_utf8_lossy(&bytes[..message.length]).into_owned();
            if let Some(id) = self.service_of(message.pid) {
                self.heard(id, &text);
            }
            // Its descriptors are closed here: that is what `BARRIER=1` waits for.
        }
    }

    /// The service that a process belongs to.
    fn service_of(&self, pid: u32) -> Option<u32> {
        // The sender is often a child of the main process, such as `systemd-notify(1)`.
        let mut at = pid;
        for _ in 0..ANCESTORS {
            let led = self.services.iter().find(|(_, service)| {
                service
                    .leader
                    .as_ref()
                    .is_some_and(|leader| leader.identity.pid == at && leader.is_pinned())
            });
            if let Some((id, _)) = led {
                return Some(*id);
            }
            let Some(process) = procfs::process(at).filter(|p| p.parent > 1) else {
                break;
            };
            at = process.parent;
        }
        // If that cannot be told now, the message counts as nobody's.
        let (id, _) = self.cookies.of_process(pid).ok()??;
        self.services.contains_key(&id).then_some(id)
    }

    fn heard(&mut self, id: u32, text: &str) {
        let Some(service) = self.services.get(&id) else {
            return;
        };
        let Some(care) = service.care.as_deref() else {
            return;
        };
        let ready = care.ready.as_ref();
        let says_ready = ready.is_some_and(|ready| ready.check == ReadyCheck::Notify);
        for line in text.lines() {
            let Some((key, value)) = line.split_once('=') else {
                continue;
            };
            let microseconds = || value.parse().ok().map(Duration::from_micros);
            match key {
                "READY" if value == "1" && says_ready => self.vital(id, VitalEvent::Ready),
                "STATUS" => self.keep_status(id, value),
                "MAINPID" => self.change_leader(id, value),
                "WATCHDOG" if value == "1" => self.vital(id, VitalEvent::Alive),
                "WATCHDOG" if value == "trigger" => self.troubled(id),
                "WATCHDOG_USEC" => {
                    if let Some(time) = microseconds().filter(|time| !time.is_zero()) {
                        self.vital(id, VitalEvent::Silence(time));
                    }
                }
                "EXTEND_TIMEOUT_USEC" => {
                    if let Some(time) = microseconds() {
                        self.vital(id, VitalEvent::Extended(time));
                    }
                }
                _ => {}
            }
        }
    }

    fn troubled(&mut self, id: u32) {
        let care = self.services.get_mut(&id).and_then(|s| s.care.as_mut());
        if let Some(care) = care {
            care.trouble = Some("it said WATCHDOG=trigger".to_owned());
        }
        self.vital(id, VitalEvent::Troubled);
    }

    fn keep_status(&mut self, id: u32, text: &str) {
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let end = text.floor_char_boundary(LONGEST_STATUS.min(text.len()));
        let status = text.as_bytes()[..end].to_vec();
        let status = (!status.is_empty()).then_some(status);
        if service.leader.is_some() && service.meta.status != status {
            service.meta.status = status;
            service.dirty = true;
            self.save(id);
        }
    }

    /// The main process of a run is another one from now on, if that is of the run.
    fn change_leader(&mut self, id: u32, value: &str) {
        let Some(pid) = value.parse::<u32>().ok().filter(|pid| *pid > 1) else {
            return;
        };
        let Some(start) = procfs::start_time(pid) else {
            return;
        };
        let identity = Identity { pid, start };
        let is_leader = |service: &crate::supervise::service::Service| {
            service.leader.as_ref().map(|leader| leader.identity) == Some(identity)
        };
        // A service may name only a process of its own.
        if self.services.get(&id).is_none_or(is_leader) || self.service_of(pid) != Some(id) {
            return;
        }
        let Ok(Some(handle)) = Pidfd::open(identity) else {
            return;
        };
        let watched = self
            .poll
            .add(&handle, token(Kind::Leader, id), Interest::ReadOnce);
        if let Err(error) = watched {
            return self
                .log
                .say(format_args!("cannot watch process {pid}: {error}"));
        }
        let Some(service) = self.services.get_mut(&id) else {
            return;
        };
        let run = service.run();
        let name = service.name.clone();
        let before = service.leader.replace(Leader {
            identity,
            // It is reaped by whoever is its parent by then.
            child: false,
            handle,
            ended: None,
            ended_ticks: 0,
        });
        service.meta.pid = Some(pid);
        service.meta.ticks = Some(start);
        service.dirty = true;
        let key = format!("p{id}.{run}");
        // A keeper holds several descriptors under one name, so the old one has to go.
        self.store.forget(&key);
        if let Some(leader) = self.services.get(&id).and_then(|s| s.leader.as_ref()) {
            self.store.put(&key, leader.handle.as_fd());
        }
        if let Some(before) = before {
            let number = before.identity.pid;
            // It may still run, and has to be reaped when it ends.
            if before.child {
                let token = token(Kind::Forgotten, number);
                if self
                    .poll
                    .modify(&before.handle, token, Interest::Read)
                    .is_ok()
                {
                    self.launching.forgotten.insert(number, before.handle);
                }
            } else {
                self.poll.unwatch(&before.handle);
            }
        }
        self.save(id);
        if let Err(error) = self.writer.write_pid(&name, Some(pid)) {
            self.log.say(error);
        }
        self.log.say(format_args!(
            "the main process of '{name}' is {pid} from now on, as it says"
        ));
    }
}

/// A name that is that of one home alone, and no longer than one may be.
fn hidden_name(home: &[u8]) -> Vec<u8> {
    // FNV-1a: nobody is kept out by it, the credentials of the sender are what counts.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in home {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let uid = crate::sys::account::effective_uid();
    format!("tsm-{uid}-{hash:016x}/notify").into_bytes()
}
