//! Numbers of errors that the library tells apart and [`std::io::ErrorKind`] does not, or not at its oldest (`errno(3)`).

pub(crate) use libc::{E2BIG, EACCES, ELOOP, ENOENT, ENOEXEC, ENOMEM, ESRCH};
