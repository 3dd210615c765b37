//! Executing another program in the place of this one: the same process, with the same children and the descriptors that
//! it is to keep.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use super::pointers;
use crate::error::BestEffort as _;
use crate::sys::fd;

/// The variable that names the descriptor of what was handed over: `PID:NUMBER`.
const STATE: &str = "TSM_STATE_FD";

/// Executes `program` with `words` (its own name first). `state` and all of `keep` stay open under their numbers; the
/// other descriptors are closed where they are close-on-exec. The environment says where `state` is.
///
/// It returns only where that fails; then everything is as it was.
pub(crate) fn execute_in_place(
    program: BorrowedFd<'_>,
    words: &[OsString],
    environment: &[(OsString, OsString)],
    state: BorrowedFd<'_>,
    keep: &[BorrowedFd<'_>],
) -> io::Error {
    let c_string = |bytes: &[u8]| CString::new(bytes).map_err(io::Error::from);
    let path = format!("/proc/self/fd/{}", program.as_raw_fd());
    let prepare = || -> io::Result<(CString, Vec<CString>, Vec<CString>)> {
        let words = words.iter().map(|word| c_string(word.as_bytes()));
        let of_ours = |name: &OsStr| {
            ["LISTEN_", "TSM_STORE_FD", STATE]
                .iter()
                .any(|own| name.to_string_lossy().starts_with(own))
        };
        let mut variables = Vec::new();
        for (name, value) in environment.iter().filter(|(name, _)| !of_ours(name)) {
            variables.push(c_string(
                &[name.as_bytes(), b"=", value.as_bytes()].concat(),
            )?);
        }
        // With our own PID: a child that inherits the variable must not take the number for its
        // own.
        let state = format!("{STATE}={}:{}", std::process::id(), state.as_raw_fd());
        variables.push(c_string(state.as_bytes())?);
        let words = words.collect::<io::Result<Vec<_>>>()?;
        Ok((c_string(path.as_bytes())?, words, variables))
    };
    let (path, words, variables) = match prepare() {
        Ok(prepared) => prepared,
        Err(error) => return error,
    };
    let kept: Vec<BorrowedFd<'_>> = keep.iter().copied().chain([state]).collect();
    for (number, fd) in kept.iter().enumerate() {
        if let Err(error) = fd::set_cloexec(fd, false) {
            close_on_exec(&kept[..number]);
            return error;
        }
    }
    let (arguments, environment) = (pointers(&words), pointers(&variables));
    // SAFETY: the strings and the arrays of pointers to them, which end with a null pointer, live until it returns.
    unsafe {
        libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr());
    }
    let error = io::Error::last_os_error();
    close_on_exec(&kept);
    error
}

fn close_on_exec(fds: &[BorrowedFd<'_>]) {
    for fd in fds {
        fd::set_cloexec(fd, true).best_effort("it is open, so that this cannot fail");
    }
}

/// The descriptor of what was handed over to this very process by the program that it executed before.
pub(crate) fn take_state(lookup: impl Fn(&str) -> Option<OsString>) -> Option<File> {
    let text = String::from_utf8(lookup(STATE)?.into_vec()).ok()?;
    let (pid, number) = text.split_once(':')?;
    if pid.parse() != Ok(std::process::id()) {
        return None;
    }
    fd::adopt(number.parse::<RawFd>().ok()?).map(File::from)
}

/// A file that lies in memory only and holds `bytes`, to be read from its beginning (`memfd_create(2)`).
///
/// # Errors
/// Those of `memfd_create(2)` and `write(2)`: no descriptor or no memory is left.
pub(crate) fn memory_file(bytes: &[u8]) -> io::Result<File> {
    use std::io::{Seek as _, Write as _};
    let fd: OwnedFd = rustix::fs::memfd_create("tsm-state", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = File::from(fd.as_fd().try_clone_to_owned()?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(File::from(fd))
}
