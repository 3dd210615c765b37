//! Guardian and supervisor that were both killed, and the sentinel that brings them back.

use super::{ANSWER_TIMEOUT, Client};
use crate::error::{IoContext as _, Result};
use crate::keepers;
use crate::sys;

impl Client {
    /// Starts a supervisor where none is. Unlike a command, it makes no home that is not there.
    ///
    /// # Errors
    /// Those of [`Self::ensure_supervisor`].
    pub(crate) fn bring_back(&self) -> Result<()> {
        self.start_in_turn().map(drop)
    }

    /// Where no supervisor is there, a sentinel may be about to bring one back: whether there was one, which is ended then.
    /// What it has begun comes to its end first.
    ///
    /// # Errors
    /// Where `/proc` cannot be read, or the sentinel may not be signalled.
    pub(super) fn keep_from_coming_back(&self) -> Result<bool> {
        let find = || keepers::sentinels(&self.home).doing("read /proc");
        if find()?.is_empty() {
            return Ok(false);
        }
        // While this command has the turn, no other one starts a supervisor.
        let turn = sys::lock::wait_for_turn(self.home.root(), ANSWER_TIMEOUT);
        let _turn = turn.at("lock", self.home.root())?;
        // Whoever had the turn before may have started one.
        if let Some(socket) = self.connect(ANSWER_TIMEOUT)? {
            self.end_over(socket)?;
        }
        for sentinel in find()? {
            let ended = sentinel.end();
            ended.doing("end the sentinel, which would start a supervisor again")?;
        }
        Ok(true)
    }
}
