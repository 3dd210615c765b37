//! An environment that a person edits, or damages: `tsm env edit`, and files that were changed by hand.

use crate::bed::Bed;
use crate::command::{Output, run};
use crate::env_commands::{idle, start, value, with};

#[test]
fn a_snapshot_that_was_damaged_by_hand_keeps_the_process_as_it_is() {
    let bed = Bed::new();
    let pid = start(&bed, "a", &[]);
    let path = bed.home().join("processes/a.env");
    let good = std::fs::read(&path).unwrap();
    let bad = b"# TSM\nexport A='1'\nexport B=$(rm -rf x)\n";
    std::fs::write(&path, bad).unwrap();
    for args in [
        &["restart", "a"][..],
        &["restart", "a", "--env", "X=1"],
        &["env", "set", "a", "X=1"],
        &["env", "show", "a"],
        &["env", "diff", "a"],
    ] {
        // As with diff(1), 1 would say that they differ.
        let told = bed.tsm(args).exits(if args[1] == "diff" { 2 } else { 1 });
        assert!(
            told.stderr.contains("a.env: line 3: "),
            "{args:?}: {}",
            told.stderr
        );
        assert_eq!(told.stderr.lines().count(), 1, "{}", told.stderr);
    }
    assert_eq!(bed.pid("a"), pid);
    assert_eq!(std::fs::read(&path).unwrap(), bad);
    // An editor mends it.
    let repaired = bed.file("repaired", &good);
    edit(&bed, "a", &format!("cp {}", repaired.display())).ok();
    assert_eq!(std::fs::read(&path).unwrap(), good);
    bed.tsm(["restart", "a"]).ok();
}

#[test]
fn a_snapshot_that_lost_a_quote_or_everything_is_refused_and_can_be_had_anew() {
    let bed = Bed::new();
    let script = idle(&bed);
    let start = ["start", &script, "--name", "a"];
    let shell = [("A", "1"), ("B", "it's"), ("C", "3")];
    run(with(&bed, &start, &shell)).ok();
    let pid = bed.pid("a");
    let path = bed.home().join("processes/a.env");
    let good = std::fs::read_to_string(&path).unwrap();
    let line = 1 + good
        .lines()
        .position(|line| line == "export A='1'")
        .unwrap();
    let quote_lost = good.replace("export A='1'", "export A='1");
    for (damaged, expected) in [
        (
            Some(quote_lost.as_str()),
            format!("a.env: line {line}: unterminated `'`"),
        ),
        (Some(""), "a.env: line 1: it is empty".to_owned()),
        (None, "a.env: it is missing".to_owned()),
    ] {
        match damaged {
            Some(text) => std::fs::write(&path, text).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        for args in [
            &["restart", "a"][..],
            &["restart", "a", "--env", "X=1"],
            &["env", "show", "a"],
        ] {
            let told = bed.tsm(args).exits(1);
            assert!(told.stderr.contains(&expected), "{}", told.stderr);
            let remedy = "'tsm restart a --update-env' takes this shell's environment";
            assert!(told.stderr.contains(remedy), "{}", told.stderr);
            assert_eq!(told.stderr.lines().count(), 1, "{}", told.stderr);
        }
        assert_eq!(bed.pid("a"), pid);
    }
    run(with(&bed, &["restart", "a", "--update-env"], &[("A", "2")])).ok();
    assert_eq!(value(&bed, "a", "A").as_deref(), Some("2"));
    // What did not come from the shell cannot be taken from it.
    bed.tsm(["env", "set", "a", "GIVEN=1"]).ok();
    std::fs::remove_file(&path).unwrap();
    let told = bed.tsm(["restart", "a", "--update-env"]).exits(1);
    assert!(
        told.stderr
            .contains("GIVEN came by --env or a file: give it again"),
        "{}",
        told.stderr
    );
    bed.tsm(["restart", "a", "--update-env", "--env", "GIVEN=2"])
        .ok();
    assert_eq!(value(&bed, "a", "GIVEN").as_deref(), Some("2"));
    // An editor makes one too.
    std::fs::remove_file(&path).unwrap();
    edit(&bed, "a", "echo 'export A=3' >>").ok();
    bed.tsm(["restart", "a"]).ok();
    assert_eq!(value(&bed, "a", "A").as_deref(), Some("3"));
}

/// `tsm env edit`, with an editor that is this shell command followed by the path.
fn edit(bed: &Bed, name: &str, editor: &str) -> Output {
    let mut command = bed.tsm_command(["env", "edit", name]);
    command.env("VISUAL", editor).env_remove("EDITOR");
    command.env("TMPDIR", bed.root());
    run(command)
}

fn leftovers(bed: &Bed) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(bed.root()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("tsm-env-")
        })
        .collect()
}

#[test]
fn an_edited_snapshot_is_checked_and_a_mistake_loses_nothing() {
    let bed = Bed::new();
    start(&bed, "a", &["--env", "OLD=1", "--env", "GOES=1"]);
    let editor = bed.script(
        "editor.sh",
        "#!/bin/sh\nstat -c %a \"$2\" > mode\nsed -i -e '/ GOES=/d' -e \"s/^export OLD=.*/export OLD='$1'/\" \"$2\"\necho \"export NEW='n'\" >> \"$2\"\n",
    );
    let editor = editor.display();
    edit(&bed, "a", &format!("{editor} other")).ok();
    assert_eq!(std::fs::read_to_string(bed.path("mode")).unwrap(), "600\n");
    bed.tsm(["restart", "a"]).ok();
    assert_eq!(value(&bed, "a", "OLD").as_deref(), Some("other"));
    assert_eq!(value(&bed, "a", "NEW").as_deref(), Some("n"));
    assert_eq!(value(&bed, "a", "GOES"), None);
    assert!(leftovers(&bed).is_empty());

    let before = std::fs::read(bed.home().join("processes/a.env")).unwrap();
    let told = edit(&bed, "a", "echo oops >>").exits(1);
    assert!(
        told.stderr.contains("neither an assignment"),
        "{}",
        told.stderr
    );
    assert!(
        told.stderr.contains("what you wrote is kept here"),
        "{}",
        told.stderr
    );
    let kept = leftovers(&bed);
    assert!(
        std::fs::read_to_string(kept[0].join("a.env"))
            .unwrap()
            .ends_with("oops\n")
    );
    assert_eq!(
        std::fs::read(bed.home().join("processes/a.env")).unwrap(),
        before
    );

    // Interrupted, it leaves no secrets behind.
    #[expect(clippy::disallowed_methods, reason = "the test made it")]
    std::fs::remove_dir_all(&kept[0]).unwrap();
    let interrupted = bed.script(
        "interrupted.sh",
        "#!/bin/sh\ntrap 'exit 3' INT\nkill -INT 0\nexit 3\n",
    );
    let mut command = bed.command("setsid");
    command.args(["--wait", crate::bed::TSM, "env", "edit", "a"]);
    command.env("VISUAL", interrupted).env("TMPDIR", bed.root());
    let told = run(command).exits(2);
    assert!(
        told.stderr.contains("the environment is as it was"),
        "{}",
        told.stderr
    );
    assert!(leftovers(&bed).is_empty());

    let told = edit(&bed, "a", "true").ok();
    assert!(told.stderr.contains("nothing changed"), "{}", told.stderr);
    let told = edit(&bed, "a", "false").exits(2);
    assert!(
        told.stderr.contains("the environment is as it was"),
        "{}",
        told.stderr
    );
}

#[test]
fn an_edit_that_would_have_no_effect_is_told_with_its_line() {
    let bed = Bed::new();
    start(&bed, "a", &["--env", "A=2"]);
    for (line, told) in [
        ("export A=7", "A stands there twice"),
        ("export TSM_ID=5", "TSM_ID"),
        ("export NOVALUE", "neither an assignment"),
    ] {
        let output = edit(&bed, "a", &format!("echo '{line}' >>")).exits(1);
        let first = output.stderr.lines().next().unwrap();
        assert!(first.contains(told) && first.contains("line "), "{first}");
    }
    bed.tsm(["restart", "a"]).ok();
    assert_eq!(value(&bed, "a", "A").as_deref(), Some("2"));
}
