//! Users and groups (`passwd(5)`, `group(5)`), asked for by way of the C library, which may ask a network for them.

use std::ffi::CString;
use std::io;

use crate::error::{Error, IoContext as _, Result};

/// A user as a service runs under it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// All groups, the primary one too.
    pub groups: Vec<u32>,
}

/// The effective user id of this process (`geteuid(2)`).
pub fn effective_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Looks a user up by name or number, with its groups. `None` where there is no such user.
///
/// This may ask the network (NSS), so it is done by the command and not in the supervisor's loop.
///
/// # Errors
/// What the name service failed with (`getpwnam(3)`, `getgrouplist(3)`).
pub fn find(name: &str) -> io::Result<Option<Account>> {
    let user = match name.parse::<u32>() {
        Ok(uid) => nix::unistd::User::from_uid(uid.into())?,
        Err(_) => nix::unistd::User::from_name(name)?,
    };
    let Some(user) = user else { return Ok(None) };
    let c_name = CString::new(user.name.as_bytes())?;
    let groups = nix::unistd::getgrouplist(&c_name, user.gid)?;
    Ok(Some(Account {
        name: user.name,
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
        groups: groups.iter().map(|group| group.as_raw()).collect(),
    }))
}

/// The user that a service is to run as.
///
/// # Errors
/// [`Error::BadValue`] where this is not root, or there is no such user.
pub fn to_run_as(name: &str) -> Result<Account> {
    if effective_uid() != 0 {
        return Err(Error::bad_value(
            "user",
            "only root may run a service as another user; use sudo, or leave it out",
        ));
    }
    find(name).doing("look the user up")?.ok_or_else(|| {
        let reason = format!("there is no user '{name}' on this machine");
        Error::bad_value("user", reason)
    })
}

/// The login name of a user id (`getpwuid(3)`), or the number as text.
pub fn name_of(uid: u32) -> String {
    match nix::unistd::User::from_uid(uid.into()) {
        Ok(Some(user)) => user.name,
        _ => uid.to_string(),
    }
}

/// The directory that a user logs in to.
///
/// # Errors
/// What the name service failed with (`getpwnam(3)`).
pub fn directory(name: &str) -> io::Result<Option<std::path::PathBuf>> {
    Ok(nix::unistd::User::from_name(name)?.map(|user| user.dir))
}

/// The users of a group, as far as the files of this machine name them (`group(5)`, `passwd(5)`): those whom it lists,
/// and those whose first group it is.
pub(crate) fn members_of(gid: u32) -> Vec<String> {
    let fields = |file: &str, gid_at: usize, names_at: usize| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let names = |line: &str| {
            let fields: Vec<&str> = line.split(':').collect();
            let is_it = fields.get(gid_at)?.parse() == Ok(gid);
            let names = fields.get(names_at).filter(|_| is_it)?;
            Some(names.split(',').map(str::to_owned).collect::<Vec<_>>())
        };
        text.lines().filter_map(names).flatten().collect::<Vec<_>>()
    };
    let mut names = fields("/etc/group", 2, 3);
    names.extend(fields("/etc/passwd", 3, 0));
    names.retain(|name| !name.is_empty());
    names
}

/// Does something with the files of a user as that user would, where this process is root: with its effective ids, so
/// that neither links of the user's nor rights of root's lead elsewhere. For commands, which have one thread.
///
/// # Errors
/// Those of `setegid(2)` and `seteuid(2)`; then nothing was done.
pub(crate) fn acting_as<T>(account: &Account, what: impl FnOnce() -> T) -> io::Result<T> {
    use nix::unistd::{Gid, Uid, setegid, seteuid};
    if effective_uid() != 0 || account.uid == 0 {
        return Ok(what());
    }
    // The group first: without root's user ID it could not be changed any more.
    setegid(Gid::from_raw(account.gid))?;
    if let Err(errno) = seteuid(Uid::from_raw(account.uid)) {
        setegid(Gid::from_raw(0))?;
        return Err(errno.into());
    }
    let outcome = what();
    seteuid(Uid::from_raw(0))?;
    setegid(Gid::from_raw(0))?;
    Ok(outcome)
}

/// Makes this process one of a user for good, with all of its groups; only root may do so.
///
/// # Errors
/// Those of `setgroups(2)`, `setgid(2)` and `setuid(2)`; this process may have some ids of the user then, and had better end.
pub(crate) fn become_user(account: &Account) -> io::Result<()> {
    use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};
    let groups: Vec<Gid> = account.groups.iter().copied().map(Gid::from_raw).collect();
    // In this order, because each step needs rights that the last one gives away.
    setgroups(&groups)?;
    setgid(Gid::from_raw(account.gid))?;
    setuid(Uid::from_raw(account.uid))?;
    Ok(())
}

/// Lets a command run as a user (`setuid(2)`), with all of its groups (`initgroups(3)`); only root may do so. Nothing changes where it is this user.
pub fn run_as(command: &mut std::process::Command, account: &Account) {
    use std::os::unix::process::CommandExt as _;
    if effective_uid() == account.uid {
        return;
    }
    let groups: Vec<libc::gid_t> = account.groups.clone();
    let (uid, gid) = (account.uid, account.gid);
    let become_user = move || {
        // SAFETY: setgroups, setgid and setuid are async-signal-safe system calls; the list was made before the fork.
        let done = unsafe {
            libc::setgroups(groups.len(), groups.as_ptr()) == 0
                && libc::setgid(gid) == 0
                && libc::setuid(uid) == 0
        };
        if done {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    };
    // SAFETY: between fork and exec only the three system calls above are made.
    unsafe {
        command.pre_exec(become_user);
    }
}
