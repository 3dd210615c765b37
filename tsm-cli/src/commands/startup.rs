//! `tsm startup` and `tsm unstartup`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tsm_core::control::{Client, Launcher};
use tsm_core::error::{BestEffort as _, Error, IoContext as _};
use tsm_core::startup::{
    self, Candidates, Failure, Found, Installation, Needs, Owner, Place, Platform, Scope,
    StartupRecord, Step, Wanted,
};
use tsm_core::store::ProcessStore;
use tsm_core::sys::account;
use tsm_core::sys::clock;
use tsm_core::view::Overview;

use crate::app::{Outcome, executable, supervisor_environment};
use crate::args::{Global, StartupArgs, UnstartupArgs};
use crate::output::{Output, complain};
use crate::words;

pub(crate) fn install(global: &Global, args: &StartupArgs) -> Outcome {
    let output = Output::new(global);
    let owner = whose(global, args.user.as_deref())?;
    let platform = startup::platform(args.platform.as_deref())?;
    let place = place(&owner);
    let program = own_program()?;
    let program = match startup::check_program(&program, &owner.account) {
        Err(error) if args.print => {
            complain(error);
            program
        }
        checked => checked?,
    };
    // Root would otherwise write into a home that another user controls.
    owner.check_home()?;
    let needs = owner.acting(|| Needs::read(&store(&owner)))?;
    let wanted = Wanted {
        owner,
        place,
        program,
        needs,
    };
    let installation = platform.install(&wanted)?;
    if args.print {
        return print(&installation);
    }
    if !platform.is_here() {
        return Err(Error::Startup {
            step: format!("start at boot by {}", platform.name()),
            reason: "it does not run on this machine; --print shows what would be done".into(),
        }
        .into());
    }
    refuse_second(platform, &wanted, &installation)?;
    check_manager(platform, &wanted)?;
    set_up(output, platform, &wanted, &installation)
}

/// Whose services are meant. The home is not looked at yet.
fn whose(global: &Global, user: Option<&str>) -> Result<Owner, Error> {
    let home = global.home.as_deref();
    if home.is_some_and(|home| home.as_os_str().is_empty()) {
        return Err(Error::bad_value("--home", "it is empty; name a directory"));
    }
    Candidates { user, home }.find(|name| std::env::var_os(name))
}

fn place(owner: &Owner) -> Place {
    let directory = |name: &str| {
        let set = std::env::var_os(name).map(PathBuf::from);
        set.filter(|path| path.is_absolute())
    };
    let usual = PathBuf::from(format!("/run/user/{}", owner.account.uid));
    let is_root = account::effective_uid() == 0;
    // Under sudo, the variables are of another user.
    let own = |name: &str| directory(name).filter(|_| !is_root);
    Place {
        scope: if is_root { Scope::System } else { Scope::User },
        runtime_directory: own("XDG_RUNTIME_DIR").or_else(|| usual.is_dir().then_some(usual)),
        config_directory: own("XDG_CONFIG_HOME").unwrap_or_else(|| owner.directory.join(".config")),
    }
}

fn own_program() -> Result<PathBuf, Error> {
    let program = std::env::current_exe().doing("find the file of this program")?;
    Ok(executable(program))
}

fn store(owner: &Owner) -> ProcessStore {
    ProcessStore::new(owner.home.clone())
}

fn print(installation: &Installation) -> Outcome {
    let mut text = format!("# {}\n{}", installation.path.display(), installation.text);
    let steps = installation.steps.iter().chain(&installation.starts);
    for command in steps.filter(|step| !matches!(step, Step::Write { .. })) {
        writeln!(text, "# then: {command}").best_effort("a String takes everything");
    }
    Output::raw(text.as_bytes())?;
    Ok(())
}

/// Two starts of one home would take the place of one another at every boot.
fn refuse_second(
    platform: &dyn Platform,
    wanted: &Wanted,
    installation: &Installation,
) -> Result<(), Error> {
    let user_place = Place {
        scope: Scope::User,
        ..wanted.place.clone()
    };
    let places = [wanted.place.clone(), user_place];
    let mut all = Vec::new();
    for other in startup::platforms() {
        for place in &places {
            all.extend(other.find(place, &wanted.owner));
        }
    }
    let home = wanted.owner.home.root();
    let second = all.into_iter().find(|found| {
        let same = found.platform == platform.name() && found.path == installation.path;
        found.home == home && !same
    });
    match second {
        Some(found) => Err(Error::Startup {
            step: format!("start {} at boot", home.display()),
            reason: format!(
                "it is started by {} already ({}); 'tsm unstartup' removes that",
                found.platform,
                found.path.display()
            )
            .into(),
        }),
        None => Ok(()),
    }
}

/// A user's own systemd runs while the user is logged in, or lingers.
fn check_manager(platform: &dyn Platform, wanted: &Wanted) -> Result<(), Error> {
    let needs_one = platform.name() == "systemd" && wanted.place.scope == Scope::User;
    // Without a runtime directory there is no user's systemd to talk to.
    if !needs_one || wanted.place.runtime_directory.is_some() {
        return Ok(());
    }
    let Wanted { owner, .. } = wanted;
    Err(Error::Startup {
        step: "start at boot by systemd".to_owned(),
        reason: format!(
            "no systemd of {user} runs (there is no /run/user/{uid}); log in as {user}, or let root do it: sudo tsm startup -u {user}",
            user = owner.account.name,
            uid = owner.account.uid
        ).into(),
    })
}

fn set_up(
    output: Output,
    platform: &dyn Platform,
    wanted: &Wanted,
    installation: &Installation,
) -> Outcome {
    let Wanted { owner, place, .. } = wanted;
    // Read before anything is started, so that what is taken over can be compared.
    let before = owner.acting(|| running(owner))?;
    let record_before = owner.acting(|| Ok(StartupRecord::read(&owner.home)))?;
    let mut record = StartupRecord {
        platform: platform.name().to_owned(),
        user: owner.account.name.clone(),
        path: installation.path.clone(),
        timestamp: clock::unix_ms(),
        unit: installation.unit.clone(),
        scope: place.scope,
        lingers: record_before.as_ref().is_some_and(|before| before.lingers),
    };
    owner.acting(|| record.write(&owner.home))?;
    let steps: Vec<Step> = [&installation.steps[..], &installation.starts].concat();
    let done = startup::carry_out(&steps, |step, remark| show(output, step, remark));
    if let Err(error) = done {
        let restored = owner.acting(|| match &record_before {
            Some(before) => before.write(&owner.home),
            None => StartupRecord::remove(&owner.home),
        });
        if let Err(also) = restored {
            complain(also);
        }
        return Err(error.into());
    }
    if installation.lingers && startup::does_linger(&owner.account.name) {
        record.lingers = true;
        owner.acting(|| record.write(&owner.home))?;
    }
    for remark in &installation.remarks {
        output.remark(remark);
    }
    output.fact(format_args!(
        "{} starts {} at every boot",
        installation.unit,
        owner.home.root().display()
    ))?;
    if !installation.starts.is_empty() {
        tell_taken_over(output, wanted, &before)?;
    }
    Ok(())
}

/// One step that was done, or was not and need not be.
fn show(output: Output, step: &Step, remark: Option<String>) {
    match (step, remark) {
        (_, Some(remark)) => output.remark(format_args!("{step}: {remark}")),
        (Step::Write { path, .. }, None) => {
            output.remark(format_args!("wrote {}", path.display()));
        }
        (Step::Remove { path, .. }, None) => {
            output.remark(format_args!("removed {}", path.display()));
        }
        // Whether it did something or had nothing to do, all is as it should be.
        (
            Step::Run {
                failure: Failure::Ignored,
                ..
            },
            None,
        ) => {}
        (Step::Run { command, .. }, None) => output.remark(format_args!("ran {command}")),
    }
}

/// The services that run, by name, each with its pid.
fn running(owner: &Owner) -> Result<BTreeMap<String, u32>, Error> {
    let overview = Overview::read(&store(owner))?;
    let views = overview.processes.into_iter();
    Ok(views
        .filter_map(|view| Some((view.name.to_string(), view.pid?)))
        .collect())
}

/// What became of the services that ran before; as root they are moved to where they belong now.
fn tell_taken_over(output: Output, wanted: &Wanted, before: &BTreeMap<String, u32>) -> Outcome {
    let owner = &wanted.owner;
    let after = owner.acting(|| running(owner))?;
    let kept = before
        .iter()
        .filter(|(name, pid)| after.get(*name) == Some(pid));
    let kept = kept.count();
    if kept > 0 {
        output.fact(format_args!(
            "{} taken over as they ran",
            words::processes(kept)
        ))?;
    }
    for name in before
        .keys()
        .filter(|name| before.get(*name) != after.get(*name))
    {
        output.remark(format_args!(
            "'{name}' is not the process that it was; 'tsm info {name}' tells"
        ));
    }
    if wanted.place.scope == Scope::System {
        let status = owner.acting(|| client(owner, &wanted.program).status())?;
        if let Some(status) = status
            && let Err(error) = startup::move_home(&store(owner), status.pid, &owner.account)
        {
            output.remark(format_args!(
                "the services stay in the cgroups that they were in: {error}"
            ));
        }
    }
    Ok(())
}

fn client(owner: &Owner, program: &Path) -> Client {
    let launcher = Launcher {
        program: program.to_owned(),
        arguments: Vec::new(),
        environment: Vec::new(),
    };
    Client::new(owner.home.clone(), launcher, "`tsm startup`")
}

pub(crate) fn remove(global: &Global, args: &UnstartupArgs) -> Outcome {
    let output = Output::new(global);
    let owner = whose(global, args.user.as_deref())?;
    let named = args.platform.as_deref();
    let platforms: Vec<&dyn Platform> = match named {
        Some(name) => vec![startup::platform(Some(name))?],
        None => startup::platforms().to_vec(),
    };
    let place = place(&owner);
    let found: Vec<Found> = platforms
        .iter()
        .flat_map(|platform| platform.find(&place, &owner))
        .filter(|found| found.home == owner.home.root())
        .collect();
    let record = owner.acting(|| Ok(StartupRecord::read(&owner.home)))?;
    // Before anything is removed: half an `unstartup` would be worse than none.
    refuse_other_scope(&owner, &platforms, &place, &found)?;
    for found in &found {
        if found.active {
            hand_back(output, &owner)?;
        }
        startup::carry_out(&found.steps, |step, remark| show(output, step, remark))?;
        output.fact(format_args!(
            "{} does not start {} any more",
            found.unit,
            owner.home.root().display()
        ))?;
    }
    if let Some(record) = &record
        && record.lingers
        && place.scope == Scope::User
    {
        let user = &owner.account.name;
        let linger = Step::Run {
            command: startup::Command::new(["loginctl", "disable-linger", user]),
            undo: Vec::new(),
            failure: Failure::Matters("it stays on".to_owned()),
        };
        startup::carry_out(&[linger], |step, remark| show(output, step, remark))?;
    }
    owner.acting(|| StartupRecord::remove(&owner.home))?;
    if found.is_empty() {
        output.remark(format_args!(
            "nothing starts {} at boot",
            owner.home.root().display()
        ));
    }
    Ok(())
}

/// What root installed, only root removes; and what a user has installed is that user's.
fn refuse_other_scope(
    owner: &Owner,
    platforms: &[&dyn Platform],
    place: &Place,
    found: &[Found],
) -> Result<(), Error> {
    let other = Place {
        scope: match place.scope {
            Scope::System => Scope::User,
            Scope::User => Scope::System,
        },
        ..place.clone()
    };
    let others = platforms
        .iter()
        .flat_map(|platform| platform.find(&other, owner));
    let mut others = others.filter(|other| {
        other.home == owner.home.root() && !found.iter().any(|f| f.path == other.path)
    });
    let Some(other) = others.next() else {
        return Ok(());
    };
    let user = &owner.account.name;
    let who = match other.scope {
        Scope::System => format!("only root may: sudo tsm unstartup -u {user}"),
        Scope::User => format!("{user} has to do it: tsm unstartup"),
    };
    Err(Error::Startup {
        step: format!("remove {}", other.path.display()),
        reason: who.into(),
    })
}

/// Puts a supervisor in the background in the place of the init system's, so that its services go on when that lets go.
fn hand_back(output: Output, owner: &Owner) -> Outcome {
    let program = own_program()?;
    let ended = owner.acting(|| client(owner, &program).shut_down())?;
    if !ended {
        return Ok(());
    }
    let mut command = Command::new(&program);
    command
        .args(["--home".as_ref(), owner.home.root().as_os_str()])
        .args(["--quiet", "supervisor", "start"])
        // As the services' own user would start it, and not as root's shell would.
        .env_clear()
        .envs(supervisor_environment())
        .env("HOME", &owner.directory)
        .env("USER", &owner.account.name)
        .env("LOGNAME", &owner.account.name)
        .current_dir("/");
    account::run_as(&mut command, &owner.account);
    let status = command.status().doing("start a supervisor")?;
    if !status.success() {
        // The command itself has said why.
        output.remark("the services run on without a supervisor; the next command that changes something starts one");
        return Ok(());
    }
    // Out of the unit's cgroup, which ends with the unit.
    if account::effective_uid() == 0
        && let Err(error) = startup::move_here(&store(owner))
    {
        output.remark(format_args!(
            "the services stay in the cgroup of the unit: {error}"
        ));
    }
    output.fact("What ran goes on, with a supervisor in the background")?;
    Ok(())
}
