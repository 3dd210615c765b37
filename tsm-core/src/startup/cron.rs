//! cron: a line `@reboot` in the user's table. It works on nearly everything, starts at boot, and does nothing else.

use std::path::Path;

use super::{
    Command, Failure, Found, Installation, Owner, Place, Platform, Scope, Step, Wanted, mark,
    marked_home,
};
use crate::env::quote::quote;
use crate::error::{Error, Result};
use crate::sys::account::{self, Account};

/// The scheduler.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cron;

/// What the table is called in messages.
const TABLE: &str = "crontab";

impl Platform for Cron {
    fn name(&self) -> &'static str {
        "cron"
    }

    fn is_here(&self) -> bool {
        ["/usr/bin/crontab", "/bin/crontab"]
            .iter()
            .any(|path| Path::new(path).exists())
    }

    fn install(&self, wanted: &Wanted) -> Result<Installation> {
        let account = &wanted.owner.account;
        let home = wanted.owner.home.root();
        let bytes = [wanted.program.as_path(), home]
            .map(|path| quote(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str())));
        let [program, quoted] = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        // `crontab(5)`: a percent sign ends the command, unless there is a backslash before it.
        let command = format!("{program} --home {quoted} resurrect --boot --detach --quiet")
            .replace('%', "\\%");
        if command.contains('\n') {
            return Err(Error::Startup {
                step: format!("start {} by cron", home.display()),
                reason: "its path has more than one line".into(),
            });
        }
        let before = table(account).map_err(|reason| Error::Startup {
            step: format!("read the {TABLE} of {}", account.name),
            reason: reason.into(),
        })?;
        let entry = format!("{}@reboot {command}\n", mark(&wanted.owner.home));
        let after = format!("{}{entry}", without(&before, home));
        Ok(Installation {
            unit: "@reboot".to_owned(),
            path: TABLE.into(),
            text: entry,
            steps: vec![replace(account, before, after)],
            starts: Vec::new(),
            remarks: vec![
                "cron starts it at boot and does nothing more: the guardian looks after the supervisor".to_owned(),
            ],
            lingers: false,
        })
    }

    fn find(&self, _place: &Place, owner: &Owner) -> Vec<Found> {
        let before = table(&owner.account).unwrap_or_default();
        let homes: Vec<_> = before.lines().filter_map(marked_home).collect();
        let found = homes.into_iter().map(|home| Found {
            platform: self.name(),
            scope: Scope::User,
            unit: "@reboot".to_owned(),
            path: TABLE.into(),
            active: false,
            steps: vec![replace(
                &owner.account,
                before.clone(),
                without(&before, &home),
            )],
            home,
        });
        found.collect()
    }
}

fn crontab(account: &Account, words: &[&str], stdin: Option<String>) -> Command {
    let user = ["-u", &account.name];
    let user = if account.uid == account::effective_uid() {
        &[][..]
    } else {
        &user
    };
    let all = ["crontab"].iter().chain(user).chain(words);
    Command {
        words: all.map(|word| (*word).to_owned()).collect(),
        variable: None,
        stdin,
    }
}

/// The table of a user; empty where there is none.
fn table(account: &Account) -> Result<String, String> {
    match crontab(account, &["-l"], None).run() {
        // `crontab -l` fails where there is no table yet, and only its words tell that from a
        // refusal.
        Err(reason) if reason.starts_with("no crontab for") => Ok(String::new()),
        table => table,
    }
}

fn replace(account: &Account, before: String, after: String) -> Step {
    let write = |table: String| {
        if table.is_empty() {
            // An empty table would stay as a file, where there was none before.
            crontab(account, &["-r"], None)
        } else {
            crontab(account, &["-"], Some(table))
        }
    };
    Step::Run {
        command: write(after),
        undo: vec![write(before)],
        failure: Failure::Ends(None),
    }
}

/// The table without our lines for a home: the mark's two, and the entry below them.
fn without(table: &str, home: &Path) -> String {
    let lines: Vec<&str> = table.lines().collect();
    let mut left = String::new();
    let mut at = 0;
    while at < lines.len() {
        let is_mark = lines[at].starts_with("# Written by 'tsm startup'")
            && lines
                .get(at + 1)
                .and_then(|line| marked_home(line))
                .as_deref()
                == Some(home);
        if is_mark {
            at += 3;
            continue;
        }
        left.push_str(lines[at]);
        left.push('\n');
        at += 1;
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::Home;

    #[test]
    fn our_lines_are_found_again_and_no_others_are_touched() {
        let entry =
            |home: &str| format!("{}@reboot /bin/tsm --home {home}\n", mark(&Home::at(home)));
        let others = "MAILTO=x\n# a remark\n5 4 * * * backup\n";
        let table = format!("{}{others}{}", entry("/a"), entry("/b"));
        assert_eq!(
            without(&table, Path::new("/a")),
            format!("{others}{}", entry("/b"))
        );
        assert_eq!(without(&table, Path::new("/c")), table);
        assert_eq!(without(&entry("/a"), Path::new("/a")), "");
    }
}
