//! Users and groups.

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

/// The effective user id of this process.
pub fn effective_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Looks a user up by name or number, with its groups. `None` where there is no such user.
///
/// This may ask the network (NSS), so it is done by the command and not in the supervisor's loop.
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

/// The login name of a user id, or the number as text.
pub fn name_of(uid: u32) -> String {
    match nix::unistd::User::from_uid(uid.into()) {
        Ok(Some(user)) => user.name,
        _ => uid.to_string(),
    }
}
