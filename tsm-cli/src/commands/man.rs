//! `tsm man`: the manual pages, made from what the parser knows.

use std::io;

use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use tsm_core::error::{Error, IoContext as _};

use crate::app::{Context, Outcome};
use crate::args::{ManArgs, whole};
use crate::output::Output;

pub(crate) fn run(context: &Context, args: &ManArgs) -> Outcome {
    let tsm = whole();
    if let Some(wanted) = &args.print {
        let mut command = &tsm;
        for word in wanted.split_whitespace().filter(|word| *word != "tsm") {
            command = command.find_subcommand(word).ok_or_else(|| {
                Error::bad_value("manual page", format!("there is no command '{wanted}'"))
            })?;
        }
        return Ok(Output::raw(&page(command)?)?);
    }
    let Some(directory) = &args.directory else {
        return Ok(());
    };
    std::fs::create_dir_all(directory).at("make", directory)?;
    let mut number = 0;
    each(&tsm, &mut |command| {
        let path = directory.join(format!("{}.1", name(command)));
        std::fs::write(&path, page(command)?).at("write", &path)?;
        number += 1;
        Ok(())
    })?;
    context.output.fact(format_args!(
        "{number} manual pages are in {}",
        directory.display()
    ))?;
    Ok(())
}

/// The command itself and all that are shown below it.
fn each(command: &clap::Command, act: &mut impl FnMut(&clap::Command) -> Outcome) -> Outcome {
    act(command)?;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        each(sub, act)?;
    }
    Ok(())
}

/// `tsm-env-show`; what the parser calls it once it is built.
fn name(command: &clap::Command) -> String {
    command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
        .replace(' ', "-")
}

/// What `tsm` itself reads of its environment. What a service finds in its own is on the page of tasks.
const VARIABLES: &[(&str, &str)] = &[
    ("TSM_HOME, TSPM_HOME", "The home, where --home does not say"),
    (
        "TETRA_DIR",
        "The home is its directory tsm, where none of these is set",
    ),
    ("VISUAL, EDITOR", "What `tsm env edit` opens"),
    ("NO_COLOR", "No colours, unless --color=always"),
    (
        "COLUMNS",
        "How wide a table may be, where the terminal does not say",
    ),
    (
        "TSM_THEME",
        "light or dark: the background for `tsm tui`, in place of COLORFGBG",
    ),
];

const FILES: &[(&str, &str)] = &[
    (
        "~/.tsm",
        "The home: records, environments, logs, the dump; all plain text",
    ),
    (
        "~/.tsm/defaults.toml",
        "How the logs of all processes are kept",
    ),
    ("~/.tsm/logs/tsm.log", "What the supervisor did"),
    (
        "tspm.yaml, tspm.yml, tspm.json, tspm.jsonc, tsm.toml",
        "Declared services, for `tsm start -c`",
    ),
];

fn page(command: &clap::Command) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let parts = Man::new(command.clone().subcommand_help_heading("commands"))
        .title(name(command))
        .source(format!("TSM {}", env!("CARGO_PKG_VERSION")))
        .manual("TSM");
    parts.render_title(&mut text)?;
    parts.render_name_section(&mut text)?;
    said_of_it(command).to_writer(&mut text)?;
    parts.render_options_section(&mut text)?;
    if command.has_subcommands() {
        parts.render_subcommands_section(&mut text)?;
    }
    more(command).to_writer(&mut text)?;
    Ok(text)
}

/// What stands below the options of `--help`: its examples, the lines of its exit statuses, and the rest.
fn below(command: &clap::Command) -> (Vec<String>, String, Vec<String>) {
    let help = command.get_after_long_help().map(ToString::to_string);
    let (mut examples, mut statuses, mut rest) = (Vec::new(), String::new(), Vec::new());
    for part in help.unwrap_or_default().split("\n\n") {
        if let Some(lines) = part.strip_prefix("Examples:\n") {
            examples.extend(lines.lines().map(|line| line.trim().to_owned()));
        } else if let Some(lines) = part.strip_prefix("Exit status:\n") {
            statuses = lines.split_whitespace().collect::<Vec<_>>().join(" ");
        } else if !part.is_empty() {
            rest.push(part.replace('\n', " "));
        }
    }
    (examples, statuses, rest)
}

/// How it is called, and what it does.
fn said_of_it(command: &clap::Command) -> Roff {
    let mut page = Roff::new();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let words = usage.find(" [").or_else(|| usage.find(" <"));
    let (called, takes) = usage.split_at(words.unwrap_or(usage.len()));
    page.control("SH", ["SYNOPSIS"]);
    page.text([bold(called), roman(takes)]);
    page.control("SH", ["DESCRIPTION"]);
    let about = command.get_about().map(ToString::to_string);
    page.text([roman(format!("{}.", about.unwrap_or_default()))]);
    for part in below(command).2 {
        page.control("PP", []);
        page.text([roman(part)]);
    }
    page
}

/// What stands behind the options.
fn more(command: &clap::Command) -> Roff {
    let mut page = Roff::new();
    let (examples, statuses, _) = below(command);
    page.control("SH", ["EXAMPLES"]);
    page.control("nf", []);
    for example in examples {
        page.text([roman(example)]);
    }
    page.control("fi", []);
    page.control("SH", ["EXIT STATUS"]);
    let statuses = statuses
        .split("; ")
        .filter_map(|status| status.split_once(' '));
    terms(&mut page, statuses);
    if command.get_name() == "tsm" {
        page.control("SH", ["ENVIRONMENT"]);
        terms(&mut page, VARIABLES.iter().copied());
        page.control("SH", ["FILES"]);
        terms(&mut page, FILES.iter().copied());
    } else {
        page.control("SH", ["SEE ALSO"]);
        page.text([bold("tsm"), roman("(1)")]);
    }
    page
}

fn terms<'a>(page: &mut Roff, terms: impl Iterator<Item = (&'a str, &'a str)>) {
    for (term, meaning) in terms {
        page.control("TP", []);
        page.text([bold(term)]);
        page.text([roman(meaning)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_name_its_use_and_its_examples() {
        let mut names = Vec::new();
        let seen = each(&whole(), &mut |command| {
            let text = String::from_utf8(page(command)?).unwrap();
            let name = name(command);
            let mut at = 0;
            for section in [
                "NAME",
                "SYNOPSIS",
                "DESCRIPTION",
                "OPTIONS",
                "EXAMPLES",
                "\"EXIT STATUS\"",
            ] {
                let begin = text.find(&format!(".SH {section}\n"));
                assert!(
                    begin.is_some_and(|begin| begin >= at),
                    "{name}: {section}\n{text}"
                );
                at = begin.unwrap_or_default();
            }
            assert!(text[at..].contains("timed out"), "{name}");
            assert!(
                text.starts_with(".ie") && text.contains(&format!(".TH {name} 1")),
                "{text}"
            );
            names.push(name);
            Ok(())
        });
        assert!(seen.is_ok());
        for name in ["tsm", "tsm-start", "tsm-env-show", "tsm-supervisor-status"] {
            assert!(names.iter().any(|known| known == name), "{names:?}");
        }
        assert!(!names.iter().any(|name| name.contains("__")));
    }
}
