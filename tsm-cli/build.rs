//! What a release is linked without: the tables by which a stack is unwound, a tenth of the program. A panic ends a release at once (`panic = "abort"`),
//! after its message and place were told by means that need no table.

fn main() {
    println!("cargo::rerun-if-changed=no-unwind-tables.ld");
    if std::env::var_os("PROFILE").is_some_and(|profile| profile == "release") {
        let here = env!("CARGO_MANIFEST_DIR");
        println!("cargo::rustc-link-arg-bins=-Wl,--script={here}/no-unwind-tables.ld");
        println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
    }
}
