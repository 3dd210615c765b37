//! `start TARGET [ARG…] --name NAME`: which words are TSM's own options, and which are the program's.
//!
//! TSM's long options count wherever they stand before a `--`. What else begins with a single dash behind the target is
//! the program's; an unknown long option is a mistake unless it stands behind `--`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use clap::{Arg, Args as _, Command};

use crate::args::StartArgs;

/// Puts TSM's own options of a `start` first and the target with its arguments behind a `--`, so that the parser need
/// not know which is which. Other commands stay as they are.
pub(crate) fn arrange(words: Vec<OsString>, tsm: &Command) -> Vec<OsString> {
    let Some(at) = command_at(&words, tsm).filter(|&at| words[at] == "start") else {
        return words;
    };
    let start = StartArgs::augment_args(Command::new("start"));
    let options: Vec<&Arg> = start.get_arguments().chain(tsm.get_arguments()).collect();
    let mut own: Vec<OsString> = words[..=at].to_vec();
    let mut program: Vec<OsString> = Vec::new();
    let mut literal = false;
    let mut rest = words[at + 1..].iter();
    while let Some(word) = rest.next() {
        let next = rest.clone().next();
        let bytes = word.as_bytes();
        if bytes == b"--" {
            // A `--` before any target makes what follows the target, even if it is the name of a
            // known process.
            literal = program.is_empty();
            program.extend(rest.cloned());
            break;
        }
        if bytes == b"--help" || (bytes == b"-h" && program.is_empty()) {
            return words;
        }
        // Single dashes behind the target are the program's, except `-n NAME`, which people type
        // out of habit.
        let is_own = bytes.starts_with(b"--") && bytes.len() > 2
            || bytes.starts_with(b"-") && bytes.len() > 1 && (program.is_empty() || bytes == b"-n");
        if !is_own {
            program.push(word.clone());
            continue;
        }
        own.push(word.clone());
        let is_value = |next: &OsString| {
            // An option whose value may be missing (`-c`, `--wait`) takes no option for its value.
            takes_next_word(word, &options)
                && !(may_stand_alone(word, &options) && next.as_bytes().starts_with(b"-"))
        };
        if next.is_some_and(is_value) {
            own.extend(rest.next().cloned());
        }
    }
    if literal {
        own.push("--literal-target".into());
    }
    own.push("--".into());
    own.extend(program);
    own
}

/// Where the command's name stands: the first word that is neither an option nor an option's value.
pub(crate) fn command_at(words: &[OsString], tsm: &Command) -> Option<usize> {
    let options: Vec<&Arg> = tsm.get_arguments().collect();
    let mut at = 1;
    while at < words.len() {
        if !words[at].as_bytes().starts_with(b"-") {
            return Some(at);
        }
        at += if takes_next_word(&words[at], &options) {
            2
        } else {
            1
        };
    }
    None
}

/// Whether this option's value is the next word.
fn takes_next_word(word: &OsStr, options: &[&Arg]) -> bool {
    option(word, options)
        .is_some_and(|option| option.get_action().takes_values() && !option.is_require_equals_set())
}

/// Whether this option may have no value.
fn may_stand_alone(word: &OsStr, options: &[&Arg]) -> bool {
    let numbers = option(word, options).and_then(Arg::get_num_args);
    numbers.is_some_and(|numbers| numbers.min_values() == 0)
}

/// The option that a word names, its value not in the same word.
fn option<'a>(word: &OsStr, options: &[&'a Arg]) -> Option<&'a Arg> {
    let text = word.to_str().filter(|text| !text.contains('='))?;
    let is_it = |option: &&&Arg| match text.strip_prefix("--") {
        Some(long) => option.get_long() == Some(long),
        None => option
            .get_short()
            .is_some_and(|short| text[1..].chars().eq([short])),
    };
    options.iter().find(is_it).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn arranged(line: &str) -> String {
        let words = line.split(' ').map(OsString::from).collect();
        let words = arrange(words, &crate::args::Cli::command());
        words
            .iter()
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn own_options_come_first_and_the_programs_words_stay_in_order() {
        assert_eq!(
            arranged("tsm start server.sh --name api --port 4001"),
            "tsm start --name api --port 4001 -- server.sh"
        );
        assert_eq!(
            arranged("tsm --home /x start python3 -m http.server 80 --name web"),
            "tsm --home /x start --name web -- python3 -m http.server 80"
        );
        assert_eq!(
            arranged("tsm start --name=w -- python3 --name x"),
            "tsm start --name=w --literal-target -- python3 --name x"
        );
        assert_eq!(
            arranged("tsm start x -c y -- --z"),
            "tsm start -- x -c y --z"
        );
        // Whose value only comes after an equals sign.
        assert_eq!(
            arranged("tsm start --log-compress x"),
            "tsm start --log-compress -- x"
        );
        assert_eq!(
            arranged("tsm start --wait web.js --wait=3s --ready port"),
            "tsm start --wait --wait=3s --ready port -- web.js"
        );
        assert_eq!(arranged("tsm start x --bogus"), "tsm start --bogus -- x");
        assert_eq!(arranged("tsm stop -f x"), "tsm stop -f x");
    }
}
