//! `tsm doctor`.

use anstyle::AnsiColor;
use clap::Args;
use serde::Serialize;
use tsm_core::doctor::{self, Finding};
use tsm_core::error::ErrorKind;

use crate::app::{Context, Failure, Outcome};
use crate::output::json;
use crate::{table, words};

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Mend what is safe, and say what was done
    #[arg(long)]
    pub(crate) fix: bool,
    /// Print a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `doctor --json` prints.
#[derive(Serialize)]
struct Report<'a> {
    home: String,
    ok: bool,
    mended: &'a [String],
    findings: &'a [Finding],
}

pub(crate) fn run(context: &Context, args: &DoctorArgs) -> Outcome {
    if let Some(owner) = context.home.become_owner()? {
        context
            .output
            .remark(format_args!("goes on as {owner}, whose home that is"));
    }
    let client = context.client()?;
    let mended = if args.fix {
        doctor::mend(&client)?
    } else {
        Vec::new()
    };
    let findings = doctor::examine(&client)?;
    if args.json {
        json(&Report {
            home: context.home.root().display().to_string(),
            ok: findings.is_empty(),
            mended: &mended,
            findings: &findings,
        })?;
    } else {
        in_words(context, &mended, &findings)?;
    }
    if findings.is_empty() {
        Ok(())
    } else {
        Err(Failure::Told(ErrorKind::Failed))
    }
}

fn in_words(context: &Context, mended: &[String], findings: &[Finding]) -> Outcome {
    let output = context.output;
    for what in mended {
        let glyph = output.paint(AnsiColor::Green, "✓");
        output.fact(format_args!("{glyph} mended: {}", table::printable(what)))?;
    }
    for finding in findings {
        let glyph = output.paint(AnsiColor::Red, "✗");
        output.fact(format_args!(
            "{glyph} {}",
            table::printable(&finding.problem)
        ))?;
        output.fact(format_args!(
            "  remedy: {}",
            table::printable(&finding.remedy)
        ))?;
    }
    let home = context.home.root().display();
    if findings.is_empty() {
        let known = if context.home.root().exists() {
            let overview = tsm_core::view::Overview::read(&context.store())?;
            words::processes(overview.processes.len())
        } else {
            "not made yet".to_owned()
        };
        output.fact(format_args!("Nothing is wrong ({home}: {known})"))?;
        return Ok(());
    }
    let mendable = findings.iter().filter(|finding| finding.mendable).count();
    let things = match findings.len() {
        1 => "1 thing is wrong".to_owned(),
        number => format!("{number} things are wrong"),
    };
    let more = match mendable {
        0 => String::new(),
        number => format!("; 'tsm doctor --fix' mends {number} of them"),
    };
    output.fact(format_args!("{things}{more}"))?;
    Ok(())
}
