//! System calls made by a child that shares its supervisor's memory: none of these touches `errno` or any other memory
//! than what it is given. They return what the kernel returns: a negative number is an errno.

use std::arch::asm;
use std::ffi::{CStr, c_char};
use std::os::fd::RawFd;

/// One system call.
///
/// # Safety
/// Pointers among the arguments must be valid for what the call does with them.
#[cfg(target_arch = "x86_64")]
unsafe fn call(number: libc::c_long, a: usize, b: usize, c: usize, d: usize) -> isize {
    let result: isize;
    // SAFETY: the calling convention of the kernel (syscall(2), "Architecture calling conventions").
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    result
}

/// One system call.
///
/// # Safety
/// Pointers among the arguments must be valid for what the call does with them.
#[cfg(target_arch = "aarch64")]
unsafe fn call(number: libc::c_long, a: usize, b: usize, c: usize, d: usize) -> isize {
    let result: isize;
    // SAFETY: the calling convention of the kernel (syscall(2), "Architecture calling conventions").
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a as isize => result,
            in("x1") b, in("x2") c, in("x3") d,
            options(nostack)
        );
    }
    result
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("the kernel's calling convention of this architecture has to be added here");

/// `struct sigaction` as the kernel takes it; all zeroes is the default disposition.
#[repr(C)]
struct KernelSigaction {
    handler: usize,
    flags: usize,
    restorer: usize,
    mask: u64,
}

fn set_signal(number: i32, handler: usize) {
    let action = KernelSigaction {
        handler,
        flags: 0,
        restorer: 0,
        mask: 0,
    };
    // SAFETY: the kernel reads one sigaction; 8 is the size of its set of signals.
    unsafe {
        call(
            libc::SYS_rt_sigaction,
            number as usize,
            (&raw const action).addr(),
            0,
            8,
        )
    };
}

pub(super) fn default_signal(number: i32) {
    set_signal(number, libc::SIG_DFL);
}

pub(super) fn ignore_signal(number: i32) {
    set_signal(number, libc::SIG_IGN);
}

pub(super) fn unblock_signals() {
    let none = 0_u64;
    // SAFETY: the kernel reads one set of 8 bytes.
    unsafe {
        call(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK as usize,
            (&raw const none).addr(),
            0,
            8,
        )
    };
}

/// A child with a copy of this process's memory, which goes on here too, with 0. Nothing of the C library is told of it.
///
/// # Safety
/// The child may do nothing but call what stands in this module, on memory that is there, and must not return to who
/// counts on running once. This process must have no other thread.
pub(super) unsafe fn fork() -> isize {
    // SAFETY: no pointers: without a stack of its own the child runs on its copy of this one.
    unsafe { call(libc::SYS_clone, libc::SIGCHLD as usize, 0, 0, 0) }
}

pub(super) fn name(name: &CStr) {
    // SAFETY: the name ends with a zero byte; the kernel reads at most 16.
    unsafe {
        call(
            libc::SYS_prctl,
            libc::PR_SET_NAME as usize,
            name.as_ptr().addr(),
            0,
            0,
        )
    };
}

/// Writes bytes to an address.
///
/// # Safety
/// There must be so many bytes that may be written, and nothing that reads or writes them otherwise.
pub(super) unsafe fn overwrite(address: usize, bytes: &[u8]) {
    let start: *mut u8 = std::ptr::with_exposed_provenance_mut(address);
    // SAFETY: the caller's.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len()) }
}

/// Gives the kernel back pages that it reads again from their files when they are used.
///
/// # Safety
/// There must be such pages, and nothing else: see [`code_to_release`](crate::sys::code_to_release).
pub(super) unsafe fn release(address: usize, length: usize) {
    // SAFETY: the caller's.
    unsafe {
        call(
            libc::SYS_madvise,
            address,
            length,
            libc::MADV_DONTNEED as usize,
            0,
        )
    };
}

/// Waits until one of these processes has ended (`pidfd_open(2)`: its handle is readable then), for no longer than `seconds`, 0 for as
/// long as it takes. Which have; none where the time is over. A negative handle is nobody's. Where it cannot be waited, the first counts
/// as one that has: who executes what its end asks for sees how it is.
pub(super) fn wait_for_end(handles: [RawFd; 2], seconds: i64) -> [bool; 2] {
    let mut waited = handles.map(|fd| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    });
    let time = libc::timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let time = if seconds == 0 {
        0
    } else {
        (&raw const time).addr()
    };
    // A signal that this process has a handler for would shorten the wait; it has none.
    // SAFETY: two pollfds, a timespec or none, and no set of signals, whose size is not looked at then.
    let done = unsafe { call(libc::SYS_ppoll, waited.as_mut_ptr().addr(), 2, time, 0) };
    let failed = done < 0 && done != -(libc::EINTR as isize);
    [failed || waited[0].revents != 0, waited[1].revents != 0]
}

/// Whether a process is stopped by a signal, to go by its `/proc/PID/stat`.
pub(super) fn is_stopped(stat: &CStr) -> bool {
    let file = open_to_read(stat);
    if file < 0 {
        return false;
    }
    let mut bytes = [0; 128];
    let length = read(file as RawFd, &mut bytes);
    close_range(file as RawFd, file as RawFd);
    // proc_pid_stat(5): the name, of at most 15 bytes, may hold anything, the state comes behind it.
    let text = bytes.get(..length.max(0) as usize).unwrap_or_default();
    let name_ends = text.iter().rposition(|&byte| byte == b')');
    name_ends.is_some_and(|at| text.get(at + 2) == Some(&b'T'))
}

/// Sends SIGCONT to the process of this handle.
pub(super) fn go_on(handle: RawFd) {
    // SAFETY: no siginfo.
    unsafe {
        call(
            libc::SYS_pidfd_send_signal,
            handle as usize,
            libc::SIGCONT as usize,
            0,
            0,
        )
    };
}

pub(super) fn setsid() -> isize {
    // SAFETY: no pointers.
    unsafe { call(libc::SYS_setsid, 0, 0, 0, 0) }
}

pub(super) fn dup2(from: RawFd, to: RawFd) -> isize {
    // dup3 refuses two equal numbers; the supervisor's own descriptors are never 0 to 2.
    // SAFETY: no pointers.
    unsafe { call(libc::SYS_dup3, from as usize, to as usize, 0, 0) }
}

pub(super) fn close_range(from: RawFd, to: RawFd) {
    // SAFETY: no pointers; this process's table of descriptors is its own (no CLONE_FILES).
    unsafe { call(libc::SYS_close_range, from as usize, to as usize, 0, 0) };
}

pub(super) fn read(fd: RawFd, into: &mut [u8]) -> isize {
    // SAFETY: the kernel writes at most the slice.
    unsafe {
        call(
            libc::SYS_read,
            fd as usize,
            into.as_mut_ptr().addr(),
            into.len(),
            0,
        )
    }
}

pub(super) fn write(fd: RawFd, bytes: &[u8]) -> isize {
    // SAFETY: the kernel reads at most the slice.
    unsafe {
        call(
            libc::SYS_write,
            fd as usize,
            bytes.as_ptr().addr(),
            bytes.len(),
            0,
        )
    }
}

pub(super) fn open_to_read(path: &CStr) -> isize {
    open(path, libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK)
}

/// Writes all of `bytes`, in one call, into a file that is there.
pub(super) fn write_file(path: &CStr, bytes: &[u8]) -> isize {
    let file = open(path, libc::O_WRONLY | libc::O_CLOEXEC);
    if file < 0 {
        return file;
    }
    let written = write(file as RawFd, bytes);
    close_range(file as RawFd, file as RawFd);
    written
}

fn open(path: &CStr, flags: i32) -> isize {
    // SAFETY: the path ends with a zero byte.
    unsafe {
        call(
            libc::SYS_openat,
            libc::AT_FDCWD as usize,
            path.as_ptr().addr(),
            flags as usize,
            0,
        )
    }
}

pub(super) fn set_limit(resource: u32, soft: u64, hard: u64) -> isize {
    let limit = libc::rlimit64 {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: the kernel reads one rlimit64.
    unsafe {
        call(
            libc::SYS_prlimit64,
            0,
            resource as usize,
            (&raw const limit).addr(),
            0,
        )
    }
}

pub(super) fn become_user(groups: &[u32], uid: u32, gid: u32) -> isize {
    let (uid, gid) = (uid as usize, gid as usize);
    // SAFETY: the kernel reads as many groups as the slice has.
    let done = unsafe {
        call(
            libc::SYS_setgroups,
            groups.len(),
            groups.as_ptr().addr(),
            0,
            0,
        )
    };
    if done < 0 {
        return done;
    }
    // SAFETY: no pointers.
    let done = unsafe { call(libc::SYS_setresgid, gid, gid, gid, 0) };
    if done < 0 {
        return done;
    }
    // SAFETY: no pointers.
    unsafe { call(libc::SYS_setresuid, uid, uid, uid, 0) }
}

pub(super) fn set_nice(nice: i32) -> isize {
    let (which, own) = (libc::PRIO_PROCESS as usize, 0);
    // SAFETY: no pointers.
    unsafe { call(libc::SYS_setpriority, which, own, nice as usize, 0) }
}

pub(super) fn umask(mask: u32) {
    // SAFETY: no pointers.
    unsafe { call(libc::SYS_umask, mask as usize, 0, 0, 0) };
}

pub(super) fn chdir(path: &CStr) -> isize {
    // SAFETY: the path ends with a zero byte.
    unsafe { call(libc::SYS_chdir, path.as_ptr().addr(), 0, 0, 0) }
}

/// Returns only where it fails.
pub(super) fn execute(
    file: &CStr,
    arguments: &[*const c_char],
    environment: &[*const c_char],
) -> isize {
    let (arguments, environment) = (arguments.as_ptr().addr(), environment.as_ptr().addr());
    // SAFETY: both arrays hold C strings and end with a null pointer.
    unsafe {
        call(
            libc::SYS_execve,
            file.as_ptr().addr(),
            arguments,
            environment,
            0,
        )
    }
}

/// Ends this process by a signal that has its default disposition.
pub(super) fn end_by_signal(number: i32) -> ! {
    // SAFETY: no pointers.
    unsafe {
        let own = call(libc::SYS_getpid, 0, 0, 0, 0);
        call(libc::SYS_kill, own as usize, number as usize, 0, 0);
    }
    exit(127)
}

pub(super) fn exit(status: i32) -> ! {
    loop {
        // SAFETY: no pointers; it does not return.
        unsafe { call(libc::SYS_exit_group, status as usize, 0, 0, 0) };
    }
}
