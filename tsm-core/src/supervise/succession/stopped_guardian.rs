//! A guardian that was stopped (SIGSTOP) is continued: the kernel tells only its parent that it was, so the supervisor looks
//! whenever it was at work, and never while it is idle.

use crate::keepers;
use crate::supervise::supervisor::Supervisor;
use crate::sys::procfs;

impl Supervisor {
    /// Continues the guardian where it is stopped: a supervisor that dies would have no successor.
    pub(in crate::supervise) fn continue_guardian(&mut self) {
        let Some(guardian) = self.guardian.and_then(procfs::process) else {
            return;
        };
        // As long as it is the parent of this process, its number is nobody else's.
        let is_parent = || std::os::unix::process::parent_id() == guardian.identity.pid;
        if !guardian.is_stopped() || !is_parent() {
            return;
        }
        let pid = guardian.identity.pid;
        match keepers::go_on(&guardian) {
            Ok(true) => self.log.say(format_args!(
                "the guardian {pid} was stopped by a signal; it is continued"
            )),
            // It has ended, which its socket will tell.
            Ok(false) => {}
            Err(error) => self.log.say(format_args!(
                "cannot continue the guardian {pid}, which is stopped: {error}"
            )),
        }
    }
}
