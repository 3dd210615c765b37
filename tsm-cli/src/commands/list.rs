//! `tsm list`.

use std::io::{self, Write as _};

use tsm_core::error::Error;
use tsm_core::meta::State;
use tsm_core::name::ProcessName;
use tsm_core::persist::Differences;
use tsm_core::selector::{Selector, suggestion};
use tsm_core::view::{LogTrouble, Overview, ProcessView, troubled_log_directories};

use crate::app::{Context, Outcome};
use crate::args::ListArgs;
use crate::output::{Output, complain};
use crate::table;

pub(crate) fn run(context: &Context, args: &ListArgs) -> Outcome {
    let mut overview = if args.fast {
        Overview::read(&context.store())?
    } else {
        overview_with_usage(context)?
    };
    for damage in &overview.damaged {
        complain(&damage.error);
    }
    if args.json {
        return write_json(overview, &args.selectors);
    }
    let listed: Vec<_> = overview
        .processes
        .iter()
        .map(|view| (view.name.clone(), view.wanted))
        .collect();
    if !args.selectors.is_empty() {
        overview.processes = select(overview.processes, &args.selectors)?;
    }
    if overview.processes.is_empty() {
        // With sudo this is the home of root, which may not be the one that was meant.
        let is_sudo = std::env::var_os("SUDO_USER").is_some();
        let root = || table::printable(&context.home.root().display().to_string());
        let place = context.place().or_else(|| is_sudo.then(root));
        let place = place.map_or_else(String::new, |place| format!(" in {place}"));
        context.output.fact(format_args!(
            "No processes{place}. 'tsm start server.sh --name api' starts one."
        ))?;
        return Ok(());
    }
    let width = table::terminal_width(context.output);
    Output::raw(table::processes(context.output, &overview.processes, width).as_bytes())?;
    tell_full_disks(context, overview.disk_full, &overview.processes);
    if !args.fast {
        tell_unsaved(context, &listed);
    }
    if !overview.supervised
        && overview
            .processes
            .iter()
            .any(|view| view.state == State::Unsupervised)
    {
        context.output.remark(
            "no supervisor looks after these; any command that changes something brings one back",
        );
    }
    Ok(())
}

fn write_json(mut overview: Overview, selectors: &[String]) -> Outcome {
    if !selectors.is_empty() {
        overview.processes = select(overview.processes, selectors)?;
    }
    let mut stdout = io::stdout().lock();
    ProcessView::write_document(&overview.processes, &mut stdout)?;
    stdout.flush()?;
    // The command ends here: to give back some thousand pieces of memory one by one would only take time.
    std::mem::forget(overview);
    Ok(())
}

/// What `tsm save` would change, as PM2 tells it as well: after a reboot what was saved and is gone comes back.
fn tell_unsaved(context: &Context, listed: &[(ProcessName, bool)]) {
    const MOST: usize = 5;
    let listed = listed.iter().map(|(name, wanted)| (name, *wanted));
    // `doctor` and `resurrect` report a damaged dump.
    let Ok(Some(found)) = Differences::find(&context.store(), listed) else {
        return;
    };
    let names: Vec<String> = found.processes[..found.processes.len().min(MOST)]
        .iter()
        .map(|(name, differs)| format!("{name} ({differs})"))
        .collect();
    let more = match found.processes.len().saturating_sub(MOST) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    if !names.is_empty() {
        context.output.remark(format_args!(
            "not as saved: {}{more}; 'tsm save' saves what is now",
            names.join(", ")
        ));
    }
}

/// All processes with what they use: CPU since the last time that anybody looked.
pub(crate) fn overview_with_usage(context: &Context) -> Result<Overview, Error> {
    let mut overview = Overview::with_usage(&context.store())?;
    if overview.supervised {
        // The supervisor keeps the samples of the last look, since a share of CPU needs two.
        let samples = overview.samples();
        if !samples.is_empty() {
            let before = context.client()?.exchange_samples(samples);
            overview.compare(&before);
        }
    }
    Ok(overview)
}

/// What an operator has to know and do where the disk has no room.
pub(crate) fn tell_full_disks(context: &Context, disk_full: bool, views: &[ProcessView]) {
    if disk_full {
        let home = context.home.root().display();
        context.output.remark(format_args!(
            "disk full: {home} has no room; records wait in memory and what is printed in its pipe, until there is some"
        ));
    }
    for (directory, trouble) in troubled_log_directories(views, &context.home) {
        let directory = directory.display();
        context.output.remark(match trouble {
            LogTrouble::NoRoom => format!(
                "disk full: {directory} has no room; what is printed waits in its pipe, until there is some, or is dropped where --log-on-full says so"
            ),
            LogTrouble::Gone => format!(
                "{directory} is gone, and logs should be in it; what is printed waits in its pipe, until it is there again"
            ),
        });
    }
}

/// Those that the selectors mean; one that means nothing is an error.
pub(crate) fn select(
    views: Vec<ProcessView>,
    selectors: &[String],
) -> Result<Vec<ProcessView>, Error> {
    let mut wanted = vec![false; views.len()];
    for text in selectors {
        let selector: Selector = text.parse()?;
        let mut any = selector.may_be_empty();
        for (view, wanted) in views.iter().zip(&mut wanted) {
            if selector.selects(view.id, view.name.as_str(), &view.namespace) {
                *wanted = true;
                any = true;
            }
        }
        if !any {
            let known = views.iter().map(|view| view.name.as_str());
            return Err(Error::NoSuchProcess {
                selector: text.clone(),
                suggestion: suggestion(text, known),
            });
        }
    }
    let mut wanted = wanted.into_iter();
    Ok(views
        .into_iter()
        .filter(|_| wanted.next().unwrap_or(false))
        .collect())
}
