//! What a release is linked without. The tables by which a stack is unwound, a tenth of the program: a panic ends a release at once (`panic = "abort"`),
//! after its message and place were told by means that need no table. And the long form of relocations, where the short one is known.

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
    if knows_short_relocations() {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
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

/// Whether the program is built for the C library of this machine, and that knows relative relocations in their short form
/// (`DT_RELR`, glibc 2.36 of 2022): they take a seventieth of the room, and the program begins sooner.
fn knows_short_relocations() -> bool {
    if variable("CARGO_CFG_TARGET_ENV") != "gnu" || variable("HOST") != variable("TARGET") {
        return false;
    }
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let said = said.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    said.is_ok_and(|said| is_2_36(&said))
}

/// `glibc 2.36`, or newer.
fn is_2_36(said: &str) -> bool {
    let version = said.trim().strip_prefix("glibc ").unwrap_or_default();
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(2), Some(36))
}
