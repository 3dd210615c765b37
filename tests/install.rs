//! `install.sh`: what it puts where, and that all of it goes again.

use std::fs;
use std::path::{Path, PathBuf};

use crate::bed::{Bed, Output, TSM, run};

/// `install.sh ARGS` with a program that was built.
fn install(bed: &Bed, args: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../install.sh");
    let mut command = bed.command("sh");
    command
        .arg(script)
        .args(args)
        .env("TSM_INSTALL_BUILT", "yes")
        .env("CARGO_TARGET_DIR", bed.path("target"));
    run(command)
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        }
        found.push(path);
    }
    found
}

#[test]
fn what_is_installed_works_and_goes_again() {
    let bed = Bed::new();
    fs::create_dir_all(bed.path("target/release")).unwrap();
    std::os::unix::fs::symlink(TSM, bed.path("target/release/tsm")).unwrap();
    let prefix = bed.root().join("person/.local");
    let other = prefix.join("share/man/man1/other.1");
    fs::create_dir_all(other.parent().unwrap()).unwrap();
    fs::write(&other, "").unwrap();

    let told = install(&bed, &[]).ok().stdout;
    assert!(told.contains("is not on your PATH"), "{told}");
    let program = prefix.join("bin/tsm");
    let mut version = bed.command(&program);
    version.arg("--version");
    assert!(run(version).ok().stdout.starts_with("tsm "));
    for (shell, file) in [
        ("bash", "share/bash-completion/completions/tsm"),
        ("zsh", "share/zsh/site-functions/_tsm"),
        ("fish", "share/fish/vendor_completions.d/tsm.fish"),
    ] {
        let text = fs::read_to_string(prefix.join(file)).unwrap();
        assert!(text.contains("__complete"), "{shell}: {text}");
    }
    assert!(prefix.join("share/man/man1/tsm-env-show.1").exists());

    // What starts at boot by it goes first.
    let unit = bed.root().join("person/.config/systemd/user/tsm.service");
    fs::create_dir_all(unit.parent().unwrap()).unwrap();
    let line = format!(
        "ExecStart={} --home x resurrect --boot\n",
        program.display()
    );
    fs::write(&unit, line).unwrap();
    let told = install(&bed, &["--uninstall"]).exits(1);
    assert!(told.stderr.contains("tsm unstartup"), "{told:?}");
    assert!(program.exists());
    fs::remove_file(&unit).unwrap();

    install(&bed, &["--uninstall"]).ok();
    assert_eq!(
        files(&prefix)
            .into_iter()
            .filter(|path| !path.is_dir())
            .collect::<Vec<_>>(),
        [other]
    );
    assert!(!prefix.join("bin").exists() && !prefix.join("share/zsh").exists());
}

#[test]
fn an_option_that_it_does_not_know_is_wrong_usage_and_help_is_the_head_of_the_file() {
    let bed = Bed::new();
    let told = install(&bed, &["--prefix"]).exits(2);
    assert!(told.stderr.contains("--help shows how"), "{told:?}");
    let help = install(&bed, &["--help"]).ok().stdout;
    assert!(
        help.starts_with("Installs TSM") && help.contains("--uninstall [DIR]"),
        "{help}"
    );
    assert!(!help.contains('#') && !help.contains("set -eu"), "{help}");
}
