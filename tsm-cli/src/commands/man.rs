//! `tsm man`: the manual pages, made from what the parser knows.

use std::io;

use clap_mangen::Man;
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

fn page(command: &clap::Command) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let source = format!("TSM {}", env!("CARGO_PKG_VERSION"));
    Man::new(command.clone())
        .title(name(command))
        .source(source)
        .manual("TSM")
        .render(&mut text)?;
    Ok(text)
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
            for section in [".SH NAME", ".SH SYNOPSIS", ".SH EXTRA"] {
                assert!(text.contains(section), "{name}: {section}\n{text}");
            }
            assert!(text.contains("Exit status"), "{name}");
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
