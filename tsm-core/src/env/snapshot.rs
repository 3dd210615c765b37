//! What a process is started with, as one value: variables, and what only the shell knew.

use super::shell::{ShellState, ShellStateError};
use super::{EnvError, Environment};

/// The state of a shell at one moment. `NAME.env` holds the first part, `NAME.shell` the second.
///
/// ```
/// use tsm_core::env::{Environment, Snapshot};
///
/// let snapshot = Snapshot::from(Environment::from_block(b"LANG=C\0")?);
/// let (bytes, shell_bytes) = snapshot.to_bytes();
/// assert_eq!(Snapshot::from_bytes(&bytes, shell_bytes)?, snapshot);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// The variables that every program gets.
    pub environment: Environment,
    /// What only the shell knows, where its hook handed it over.
    pub shell: Option<ShellState>,
}

/// The error of reading a snapshot from bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The variables are wrong.
    #[error("environment: {0}")]
    Environment(#[from] EnvError),
    /// The shell part is wrong.
    #[error("shell state: {0}")]
    Shell(#[from] ShellStateError),
    /// There are fewer bytes than the shell part is said to have.
    #[error("the shell state is cut off")]
    Short,
}

impl From<Environment> for Snapshot {
    fn from(environment: Environment) -> Self {
        Self {
            environment,
            shell: None,
        }
    }
}

impl Snapshot {
    /// The variables as a block, then the shell part, and how many bytes that has: what goes over the control socket.
    pub fn to_bytes(&self) -> (Vec<u8>, usize) {
        let mut bytes = self.environment.to_block();
        let shell = self.shell.as_ref().map_or(&[][..], ShellState::as_bytes);
        bytes.extend_from_slice(shell);
        (bytes, shell.len())
    }

    /// Reads what [`to_bytes`](Self::to_bytes) gave.
    ///
    /// # Errors
    /// [`SnapshotError`] with the part that is wrong.
    pub fn from_bytes(bytes: &[u8], shell_bytes: usize) -> Result<Self, SnapshotError> {
        let at = bytes
            .len()
            .checked_sub(shell_bytes)
            .ok_or(SnapshotError::Short)?;
        let (block, shell) = bytes.split_at(at);
        let shell = match shell {
            [] => None,
            text => Some(ShellState::parse(text)?),
        };
        Ok(Self {
            environment: Environment::from_block(block)?,
            shell,
        })
    }
}
