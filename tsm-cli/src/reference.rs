//! `docs/cli-reference.md`, made from what the parser knows. A test compares the file with it.

use std::fmt::Write as _;

use clap::{Arg, Command};

use crate::args::whole;

use tsm_core::error::BestEffort as _;

const HEAD: &str = "# The command line

This page is made from the program itself: `SNAPSHOTS=overwrite cargo test -p tsm-cli reference` writes it anew, and a test compares it.
Every command takes `--home DIR`, `--color WHEN` and `-q`; where it prints facts, `--json` prints them as one document, and `tsm schema` says what
stands in it.

A SELECTOR is a name, a TSM id, a glob (`'api-*'`), `@namespace`, or `all`; never a part of a name. A name means its instances too: `api` is `api@0`,
`api@1` …. Times take a unit (`500ms`, `2s`, `5m`, `1h`, `1d`), a number alone is seconds. Sizes take one too (`256K`, `4M`, `1G`: powers of 1024), a number
alone is bytes.

| exit status | means |
| --- | --- |
| 0 | done |
| 1 | failed |
| 2 | wrong usage |
| 3 | no such process |
| 4 | already there, or already running |
| 5 | the port is taken |
| 6 | the supervisor cannot be reached or started |
| 7 | timed out |

";

fn page() -> String {
    let tsm = whole();
    let mut page = HEAD.to_owned();
    let mut body = String::new();
    for sub in shown(&tsm) {
        section(sub, 2, &mut body);
    }
    for sub in shown(&tsm) {
        writeln!(
            page,
            "- [`tsm {0}`](#tsm-{0}): {1}",
            sub.get_name(),
            about(sub)
        )
        .best_effort("a String takes everything");
    }
    page + &body
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set())
}

fn about(command: &Command) -> String {
    command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn section(command: &Command, level: usize, page: &mut String) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    writeln!(
        page,
        "\n{} {name}\n\n{}.",
        "#".repeat(level),
        about(command)
    )
    .best_effort("a String takes everything");
    let aliases: Vec<String> = command
        .get_visible_aliases()
        .map(|alias| format!("`{alias}`"))
        .collect();
    if !aliases.is_empty() {
        writeln!(page, "Also: {}.", aliases.join(", ")).best_effort("a String takes everything");
    }
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    writeln!(page, "\n```text\n{usage}\n```").best_effort("a String takes everything");
    let listed = |arg: &&Arg| !arg.is_hide_set() && !arg.is_global_set() && arg.get_id() != "help";
    let args: Vec<&Arg> = command.get_arguments().filter(listed).collect();
    // Options without a heading come first.
    let mut headings = vec![None];
    for arg in &args {
        if !headings.contains(&arg.get_help_heading()) {
            headings.push(arg.get_help_heading());
        }
    }
    for heading in headings {
        let mut lines: Vec<String> = args
            .iter()
            .filter(|arg| arg.get_help_heading() == heading)
            .map(|arg| line(arg))
            .collect();
        if let (Some(heading), false) = (heading, lines.is_empty()) {
            lines.insert(0, format!("{heading}:\n"));
        }
        if !lines.is_empty() {
            writeln!(page, "\n{}", lines.join("\n")).best_effort("a String takes everything");
        }
    }
    let help = command.get_after_long_help().map(ToString::to_string);
    let help = help.unwrap_or_default();
    for part in help.split("\n\n") {
        if let Some(examples) = part.strip_prefix("Examples:\n") {
            let lines: Vec<&str> = examples.lines().map(str::trim).collect();
            writeln!(page, "\n```sh\n{}\n```", lines.join("\n"))
                .best_effort("a String takes everything");
        } else if !part.starts_with("Exit status:") {
            writeln!(page, "\n{part}").best_effort("a String takes everything");
        }
    }
    for sub in shown(command) {
        section(sub, level + 1, page);
    }
}

fn line(arg: &Arg) -> String {
    let mut names: Vec<String> = Vec::new();
    names.extend(arg.get_short().map(|short| format!("-{short}")));
    names.extend(arg.get_long().map(|long| format!("--{long}")));
    let values = arg.get_value_names().unwrap_or_default().join(" ");
    let takes = arg.get_action().takes_values() && !values.is_empty();
    let optional = arg
        .get_num_args()
        .is_some_and(|number| number.min_values() == 0);
    let value = match (takes, arg.is_positional(), optional) {
        (false, ..) => String::new(),
        (_, true, _) => values,
        (_, _, true) if arg.is_require_equals_set() => format!("[={values}]"),
        (_, _, true) => format!(" [{values}]"),
        _ => format!(" {values}"),
    };
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let defaults: Vec<String> = arg
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy().into_owned())
        .collect();
    let default = match defaults.as_slice() {
        [] => String::new(),
        defaults if takes => format!(" [default: {}]", defaults.join(", ")),
        _ => String::new(),
    };
    let help = help.replace('<', "\\<").replace('*', "\\*");
    format!("- `{}{value}`: {help}{default}", names.join(", "))
}

#[test]
fn the_reference_is_what_the_parser_knows() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli-reference.md");
    let page = page();
    if std::env::var_os("SNAPSHOTS").is_some_and(|how| how == "overwrite") {
        std::fs::write(path, page).unwrap();
        return;
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == page,
        "docs/cli-reference.md is not what the parser knows; SNAPSHOTS=overwrite cargo test -p tsm-cli reference"
    );
}
