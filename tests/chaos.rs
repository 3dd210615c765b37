//! Six clients that do whatever comes to their minds, somebody who kills supervisors, guardians and services all the while,
//! and at the end everything is compared with what the kernel says.
//!
//! The seed is printed; `TSM_CHAOS_SEED=N` does the same again as far as the machine lets it, `TSM_CHAOS_SECONDS=N` goes on
//! for longer than CI does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use tsm_core::control::{ActOptions, Client, Launcher, Verb};
use tsm_core::error::{Error, ErrorKind};
use tsm_core::home::Home;

use crate::bed::{Bed, Output, TSM};
use crate::processes;
use crate::wait::{DEADLINE, wait_until, within};

const CLIENTS: u32 = 6;
/// Services that everybody acts on.
const SHARED: u32 = 4;
/// It ends after so many commands, or after this time, whichever comes first.
const MOST_COMMANDS: u32 = 4000;
const MOST_TIME: Duration = Duration::from_secs(40);

/// xorshift: as random as mischief needs.
struct Dice(u64);

impl Dice {
    fn new(seed: u64, who: u32) -> Self {
        let mut dice = Self(seed ^ (u64::from(who) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        dice.roll(2);
        dice
    }

    fn roll(&mut self, sides: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) % u64::from(sides)) as u32
    }
}

/// What a client knows of the service that nobody else acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Own {
    Absent,
    Up,
    Down,
}

fn client(bed: &Bed) -> Client {
    let home = bed.home();
    let kept = ["PATH", "HOME"].map(|name| (name.into(), std::env::var_os(name).unwrap()));
    let launcher = Launcher {
        program: TSM.into(),
        arguments: vec![
            "supervisor".into(),
            "guard".into(),
            "--home".into(),
            home.clone().into(),
        ],
        environment: kept.to_vec(),
    };
    Client::new(Home::at(home), launcher, "chaos")
}

/// One of several that act at once may be told that another one was faster, and nothing else.
#[track_caller]
fn may_say(output: &Output) {
    assert!(
        matches!(output.status, 0 | 1 | 3 | 4),
        "status {}: {}",
        output.status,
        output.stderr
    );
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
}

fn act(client: &Client, verb: Verb, name: &str, force: bool) -> Result<(), Error> {
    let options = ActOptions {
        force,
        ..ActOptions::default()
    };
    let (outcomes, _) = client.act(verb, &[name.to_owned()], options, |_| {})?;
    outcomes
        .into_iter()
        .find_map(|outcome| outcome.error)
        .map_or(Ok(()), |error| Err(error.into()))
}

/// One command on a service that everybody acts on, by the library: that is faster than a program for each.
fn on_shared(bed: &Bed, client: &Client, dice: &mut Dice, scripts: &BTreeMap<String, String>) {
    let name = format!("shared{}", dice.roll(SHARED));
    let verb = match dice.roll(14) {
        0..=3 => Verb::Start,
        4..=6 => Verb::Stop,
        7 | 8 => Verb::Restart,
        9 => Verb::Delete,
        10 => Verb::Reset,
        11 => {
            may_say(&bed.tsm(["start", "--name", &name, "--", &scripts[&name]]));
            return;
        }
        12 => {
            may_say(&bed.tsm(["env", "set", &name, "CHAOS=1", "--", "A=b"]));
            return;
        }
        _ => {
            let listed = bed.tsm(["list", "--json"]).ok();
            let views: Vec<Value> = serde_json::from_str(&listed.stdout).unwrap();
            let ids: BTreeSet<u64> = views.iter().map(|v| v["id"].as_u64().unwrap()).collect();
            assert_eq!(ids.len(), views.len(), "ids are not unique: {views:?}");
            return;
        }
    };
    if let Err(error) = act(client, verb, &name, dice.roll(4) == 0) {
        let kind = error.kind();
        let expected = matches!(
            kind,
            ErrorKind::Failed | ErrorKind::NoSuchProcess | ErrorKind::AlreadyThere
        );
        assert!(expected, "{verb:?} {name}: {kind:?}: {error}");
    }
}

/// One command on a service that nobody else acts on: what becomes of it is known for certain.
fn on_own(bed: &Bed, client: &Client, dice: &mut Dice, name: &str, script: &str, own: Own) -> Own {
    let done = |verb, force| {
        if let Err(error) = act(client, verb, name, force) {
            panic!("{verb:?} {name} ({own:?}): {error}");
        }
    };
    match (own, dice.roll(6)) {
        (Own::Absent, _) => {
            bed.tsm(["start", "--name", name, "--", script]).ok();
            Own::Up
        }
        (Own::Up, 0 | 1) => {
            done(Verb::Stop, dice.roll(2) == 0);
            let view = bed.view(name);
            assert_eq!(
                (&view["state"], &view["pid"]),
                (&"stopped".into(), &Value::Null)
            );
            Own::Down
        }
        (Own::Up, 2..=4) => {
            done(Verb::Restart, false);
            Own::Up
        }
        (Own::Down, 0..=4) => {
            done(Verb::Start, false);
            Own::Up
        }
        (Own::Up | Own::Down, _) => {
            done(Verb::Delete, false);
            assert!(!bed.names().contains(&name.to_owned()));
            Own::Absent
        }
    }
}

/// Kills whoever it can get hold of.
fn mischief(bed: &Bed, dice: &mut Dice, kills: &AtomicU32) {
    let pause = Duration::from_millis(u64::from(200 + dice.roll(700)));
    within(pause, || None::<()>);
    let victim = match dice.roll(8) {
        0..=3 => bed.supervisor_pid(),
        4 => [bed.guardian_pid(), bed.sentinel_pid()][dice.roll(2) as usize],
        _ => {
            let views = bed.list();
            let pids: Vec<u64> = views.iter().filter_map(|v| v["pid"].as_u64()).collect();
            let which = dice.roll(pids.len().max(1) as u32) as usize;
            pids.get(which).map(|pid| *pid as u32)
        }
    };
    // It may have ended meanwhile, and then its number is nobody's, or a stranger's.
    let all = processes::belonging_to(&bed.home(), bed.root());
    if let Some((process, _)) = all.iter().find(|(p, _)| Some(p.pid) == victim) {
        process.signal(Signal::KILL);
        kills.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn six_clients_and_a_killer_of_supervisors() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seed: u64 = number("TSM_CHAOS_SEED").unwrap_or_else(|| {
        #[expect(
            clippy::disallowed_methods,
            reason = "a number that differs is meant, not a time"
        )]
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.unwrap().as_nanos() as u64
    });
    let time = number("TSM_CHAOS_SECONDS").map(Duration::from_secs);
    let most_commands = if time.is_some() {
        u32::MAX
    } else {
        MOST_COMMANDS
    };
    let until = Instant::now() + time.unwrap_or(MOST_TIME);
    println!("TSM_CHAOS_SEED={seed}");
    let bed = Bed::new();
    let mut scripts = BTreeMap::new();
    for name in (0..SHARED)
        .map(|n| format!("shared{n}"))
        .chain((0..CLIENTS).map(|n| format!("own{n}")))
    {
        scripts.insert(name.clone(), bed.lonely(&name));
    }
    bed.start_idle("first");
    let (commands, kills) = (AtomicU32::new(0), AtomicU32::new(0));
    let over = AtomicBool::new(false);
    let owned: Vec<Own> = std::thread::scope(|scope| {
        let (bed, scripts, over) = (&bed, &scripts, &over);
        let (commands, kills) = (&commands, &kills);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|who| {
                scope.spawn(move || {
                    let mut dice = Dice::new(seed, who);
                    let client = client(bed);
                    let name = format!("own{who}");
                    let mut own = Own::Absent;
                    while Instant::now() < until
                        && commands.fetch_add(1, Ordering::Relaxed) < most_commands
                    {
                        if dice.roll(3) == 0 {
                            own = on_own(bed, &client, &mut dice, &name, &scripts[&name], own);
                        } else {
                            on_shared(bed, &client, &mut dice, scripts);
                        }
                    }
                    own
                })
            })
            .collect();
        let killer = scope.spawn(move || {
            let mut dice = Dice::new(seed, CLIENTS);
            while !over.load(Ordering::Relaxed) {
                mischief(bed, &mut dice, kills);
            }
        });
        // The killer ends whatever becomes of the clients.
        let owned: Vec<_> = clients
            .into_iter()
            .map(std::thread::ScopedJoinHandle::join)
            .collect();
        over.store(true, Ordering::Relaxed);
        if let Err(panic) = killer.join() {
            std::panic::resume_unwind(panic);
        }
        owned
            .into_iter()
            .map(|own| match own {
                Ok(own) => own,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    });
    println!(
        "{} commands, {} kills",
        commands.load(Ordering::Relaxed),
        kills.load(Ordering::Relaxed)
    );
    check(&bed, &owned, scripts.keys());
}

/// What must hold when all is quiet again.
fn check<'a>(bed: &Bed, owned: &[Own], names: impl Iterator<Item = &'a String>) {
    // One more command: whoever was killed last is replaced.
    bed.tsm(["start", "first"]);
    // What the kernel says: each service that should run runs once, and nothing else does. The last kill may have been a
    // moment ago, so that this is waited for.
    let bearers = |bed: &Bed| -> BTreeSet<u32> {
        let all = processes::belonging_to(&bed.home(), bed.root());
        let keepers = [bed.supervisor_pid(), bed.guardian_pid(), bed.sentinel_pid()];
        all.iter()
            .map(|(process, _)| process.pid)
            .filter(|pid| !keepers.contains(&Some(*pid)))
            .collect()
    };
    let mut last = String::new();
    let settled = || {
        let views = bed.list();
        let settled = |view: &Value| {
            let state = view["state"].as_str().unwrap();
            let wanted = view["wanted"] == true;
            state == if wanted { "running" } else { "stopped" }
        };
        let on_record: BTreeSet<u32> = views
            .iter()
            .filter_map(|view| view["pid"].as_u64())
            .map(|pid| pid as u32)
            .collect();
        let there = bearers(bed);
        let told = bed.tsm(["doctor", "--json"]);
        let report: Value = serde_json::from_str(&told.stdout).unwrap();
        let findings = report["findings"].as_array().unwrap();
        let whole = findings
            .iter()
            .all(|finding| finding["kind"] == "guardian-gone");
        last = format!("{there:?} are there; {views:#?}; {report:#}");
        (views.iter().all(settled) && there == on_record && whole).then_some(views)
    };
    let Some(views) = within(2 * DEADLINE, settled) else {
        panic!("it does not settle: {last}");
    };
    for (who, own) in owned.iter().enumerate() {
        let name = format!("own{who}");
        let view = views.iter().find(|view| view["name"] == *name);
        let now = view.map(|view| view["state"].as_str().unwrap());
        let expected = match own {
            Own::Absent => None,
            Own::Up => Some("running"),
            Own::Down => Some("stopped"),
        };
        assert_eq!(now, expected, "'{name}'");
    }
    let ids: BTreeSet<u64> = views
        .iter()
        .map(|view| view["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids.len(), views.len(), "ids are not unique: {views:?}");

    for name in names {
        let runs = bed.runs_of(name);
        let view = views.iter().find(|view| view["name"] == **name);
        if let Some(pid) = view.and_then(|view| view["pid"].as_u64()) {
            assert_eq!(
                runs.last().map(|pid| u64::from(*pid)),
                Some(pid),
                "'{name}'"
            );
        }
    }

    // What happened, each thing once, and nothing half written.
    for view in &views {
        let name = view["name"].as_str().unwrap();
        if name != "first" {
            bed.check_history(name);
        }
    }
    let temporary = |file: &String| {
        std::path::Path::new(file)
            .extension()
            .is_some_and(|extension| extension == "tmp")
    };
    assert_eq!(bed.files().into_iter().find(temporary), None);

    bed.tsm(["stop", "--all"]).ok();
    wait_until("nothing is left after a stop of all", || {
        bearers(bed).is_empty()
    });
}
