//! What a release is linked without. The tables by which a stack is unwound, a tenth of the program: a panic ends a release at once (`panic = "abort"`),
//! after its message and place were told by means that need no table. The long form of relocations, where the short one is known. And the shared
//! library that unwinds: to find and load it is a twentieth of the time that a short command takes.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=no-unwind-tables.ld");
    if variable("PROFILE") != "release" {
        return;
    }
    if !has_another_linker() {
        let here = env!("CARGO_MANIFEST_DIR");
        println!("cargo::rustc-link-arg-bins=-Wl,--script={here}/no-unwind-tables.ld");
        println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
    }
    if !is_for_this_machine() {
        return;
    }
    if knows_short_relocations() {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    if let Some(directory) = unwinder_to_link_in() {
        println!("cargo::rustc-link-search=native={}", directory.display());
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// Whether a linker was asked for that takes no such script: only those of GNU and LLVM do.
fn has_another_linker() -> bool {
    let flags = variable("CARGO_ENCODED_RUSTFLAGS");
    ["mold", "gold", "wild"]
        .iter()
        .any(|name| flags.contains(name))
}

/// Whether the program is built for this machine and its C library, that of GNU.
fn is_for_this_machine() -> bool {
    variable("CARGO_CFG_TARGET_ENV") == "gnu" && variable("HOST") == variable("TARGET")
}

/// Whether the C library of this machine knows relative relocations in their short form (`DT_RELR`, glibc 2.36 of 2022): they take a seventieth of
/// the room, and the program begins sooner.
fn knows_short_relocations() -> bool {
    let said = said_by(Command::new("getconf").arg("GNU_LIBC_VERSION"));
    said.is_some_and(|said| is_2_36(&said))
}

/// A directory in which the linker finds, under the name of the shared library, the one that is linked in: the standard library asks for the shared
/// one by its name. `None` where the compiler has none, or one that is not kept in a file.
fn unwinder_to_link_in() -> Option<PathBuf> {
    let said = said_by(Command::new("cc").arg("-print-file-name=libgcc_eh.a"))?;
    let archive = Path::new(said.trim());
    // What it does not find it names as it was asked for.
    if !archive.is_absolute() || !archive.is_file() || said.contains([' ', '"', '(', ')']) {
        return None;
    }
    // Another version of the compiler has it elsewhere.
    println!("cargo::rerun-if-changed={}", archive.display());
    let directory = PathBuf::from(std::env::var_os("OUT_DIR")?);
    let script = format!("INPUT ( {} )\n", archive.display());
    std::fs::write(directory.join("libgcc_s.so"), script).ok()?;
    Some(directory)
}

fn said_by(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `glibc 2.36`, or newer.
fn is_2_36(said: &str) -> bool {
    let version = said.trim().strip_prefix("glibc ").unwrap_or_default();
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(2), Some(36))
}
