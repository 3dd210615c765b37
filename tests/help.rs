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
}

#[test]
fn a_mistyped_command_is_answered_with_the_likely_one() {
    let bed = Bed::new();
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
    ] {
        let output = bed.tsm(typed).exits(2);
        assert_eq!(output.message(), meant);
    }
    let option = bed.tsm(["start", "--prot", "1", "x"]).exits(2).stderr;
    assert!(option.contains("'--port'"), "{option}");
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
