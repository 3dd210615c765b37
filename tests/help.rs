//! What `tsm` says of itself: alone, asked, and asked for something that it does not know.

use std::fs;

use crate::bed::Bed;

#[test]
fn tsm_alone_says_how_to_begin_and_then_lists() {
    let bed = Bed::new();
    let first = bed.tsm::<&str>([]).ok().stdout;
    assert_eq!(first.lines().count(), 4, "{first}");
    for words in ["tsm start ./server.sh", "tsm logs", "tsm startup"] {
        assert!(first.contains(words), "{first}");
    }
    assert!(!bed.home().exists(), "asking makes no home");
    bed.start_idle("api");
    let listed = bed.tsm::<&str>([]).ok().stdout;
    assert!(listed.contains("api") && !listed.contains("To begin"));
    bed.tsm(["delete", "api"]).ok();
    let listed = bed.tsm::<&str>([]).ok().stdout;
    assert_eq!(listed.lines().count(), 1, "{listed}");
    // A home that is not the usual one is named, and so is root's where sudo was said.
    let named = format!("No processes in {}.", bed.home().display());
    assert!(listed.starts_with(&named), "{listed}");
    let mut usual = bed.tsm_command(["list"]);
    usual.env_remove("TSM_HOME");
    let told = crate::bed::run(usual).ok().stdout;
    assert!(told.starts_with("No processes. "), "{told}");
    let mut sudo = bed.tsm_command(["list"]);
    sudo.env_remove("TSM_HOME").env("SUDO_USER", "somebody");
    let told = crate::bed::run(sudo).ok().stdout;
    assert!(told.contains("person/.tsm."), "{told}");
}

#[test]
fn a_mistyped_command_is_answered_with_the_likely_one() {
    let bed = Bed::new();
    bed.script("server.sh", "exec sleep 1000");
    for (typed, meant) in [
        (
            &["stpo", "api"][..],
            "'tsm stpo' is no command; did you mean 'tsm stop'?",
        ),
        (
            &["lsit"],
            "'tsm lsit' is no command; did you mean 'tsm list'?",
        ),
        (
            &["retsart", "api"],
            "'tsm retsart' is no command; did you mean 'tsm restart'?",
        ),
        (
            &["env", "shwo", "api"],
            "'tsm env shwo' is no command; did you mean 'tsm env show'?",
        ),
        (
            &["config", "chek"],
            "'tsm config chek' is no command; did you mean 'tsm config check'?",
        ),
        (&["qqq"], "'tsm qqq' is no command; 'tsm --help' has all"),
        // Words of other managers, and a script without a command.
        (
            &["enable", "api"],
            "'tsm enable' is no command; did you mean 'tsm startup'?",
        ),
        (
            &["daemon-reload"],
            "'tsm daemon-reload' is no command; did you mean 'tsm start -c'?",
        ),
        (
            &["./server.sh"],
            "'tsm ./server.sh' is no command; did you mean 'tsm start ./server.sh'?",
        ),
    ] {
        let output = bed.tsm(typed).exits(2);
        assert_eq!(output.message(), meant);
    }
}

#[test]
fn wrong_usage_says_what_is_wrong_once_and_where_help_is() {
    let bed = Bed::new();
    for (typed, said, help) in [
        (
            &["start", "--prot", "1", "x"][..],
            "'tsm start' has no option '--prot'; did you mean '--port'?",
            "tsm start",
        ),
        (
            &["start", "python3", "--version-of-it"],
            "'tsm start' has no option '--version-of-it'; what is the program's stands behind '--'",
            "tsm start",
        ),
        (
            &["start", "x", "--port", "99999"],
            "--port: '99999' is neither a port from 1 to 65535 nor auto",
            "tsm start",
        ),
        (
            &["start", "x", "--nice", "-25"],
            "--nice: '-25' is no whole number from -20 to 19",
            "tsm start",
        ),
        (
            &["start", "x", "--max-memory", "lots"],
            "--max-memory: 'lots' is no size; write 256K, 4M or 1G",
            "tsm start",
        ),
        (
            &["start", "x", "--name", "a b"],
            "--name: 'a b' cannot be the name of a process: only letters, digits, '.', '_', '-' and '@' may stand in it",
            "tsm start",
        ),
        (
            &["rm"],
            "'tsm delete' needs SELECTOR: a name, an ID, a glob, @NAMESPACE or `all`",
            "tsm delete",
        ),
        (
            &["--home", "/nowhere", "env", "set", "api"],
            "'tsm env set' needs K=V: the variables",
            "tsm env set",
        ),
        (
            &["config"],
            "'tsm config' needs one of check, schema, import",
            "tsm config",
        ),
        (&["save", "now"], "'tsm save' takes no 'now'", "tsm save"),
        (
            &["init", "tcsh"],
            "SHELL: 'tcsh' is none of bash, zsh, fish",
            "tsm init",
        ),
        (
            &["list", "--color", "red"],
            "--color: 'red' is none of auto, always, never",
            "tsm list",
        ),
    ] {
        let output = bed.tsm(typed).exits(2);
        assert_eq!(output.stdout, "", "{typed:?}");
        assert_eq!(
            output.stderr,
            format!("tsm: {said}\ntsm: '{help} --help' shows how\n"),
            "{typed:?}"
        );
    }
}

#[test]
fn options_of_every_command_stand_apart_and_the_targets_first() {
    let bed = Bed::new();
    let help = bed.tsm(["start", "-h"]).ok().stdout;
    let at = |words: &str| {
        help.find(words)
            .unwrap_or_else(|| panic!("{words}: {help}"))
    };
    assert!(at("\nArguments:\n") < at("\nOptions:\n"));
    assert!(at("--json") < at("\nReadiness and health:\n"));
    assert!(at("\nOptions of every command:\n") < at("--home <DIR>"));
    assert_eq!(
        bed.tsm(["-v"]).ok().stdout,
        bed.tsm(["--version"]).ok().stdout
    );
}

#[test]
fn help_is_short_and_long_and_for_every_command() {
    let bed = Bed::new();
    let short = bed.tsm(["stop", "-h"]).ok().stdout;
    let long = bed.tsm(["stop", "--help"]).ok().stdout;
    assert!(
        !short.contains("Examples:") && short.contains("see more with '--help'"),
        "{short}"
    );
    assert!(
        long.contains("Examples:\n  tsm stop api") && long.contains("7 timed out"),
        "{long}"
    );
    assert_eq!(bed.tsm(["help", "stop"]).ok().stdout, long);
    assert_eq!(
        bed.tsm(["help"]).ok().stdout,
        bed.tsm(["--help"]).ok().stdout
    );
}

#[test]
fn manual_pages_are_written_and_printed() {
    let bed = Bed::new();
    bed.tsm(["man", "pages/man1"]).ok();
    let names = fs::read_dir(bed.path("pages/man1")).unwrap().count();
    assert!(names > 40, "{names}");
    let page = fs::read_to_string(bed.path("pages/man1/tsm-env-show.1")).unwrap();
    assert_eq!(bed.tsm(["man", "--print", "env show"]).ok().stdout, page);
    assert!(page.contains(".TH tsm-env-show 1"), "{page}");
    bed.tsm(["man", "--print", "nothing"]).exits(2);
    bed.tsm(["man"]).exits(2);
}
