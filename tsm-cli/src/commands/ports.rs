//! `tsm ports`.

use tsm_core::probe::ProcessPorts;
use tsm_core::view::Overview;

use super::list::select;
use crate::app::{Context, Outcome};
use crate::args::PortsArgs;
use crate::output::{self, Output, complain};
use crate::table;

pub(crate) fn run(context: &Context, args: &PortsArgs) -> Outcome {
    let overview = Overview::read(&context.store())?;
    for damage in &overview.damaged {
        complain(&damage.error);
    }
    let views = if args.selectors.is_empty() {
        overview.processes
    } else {
        select(overview.processes, &args.selectors)?
    };
    let found = ProcessPorts::find(&context.store(), &views)?;
    if args.json {
        return Ok(output::json(&found)?);
    }
    let mut rows = vec![["NAME", "PORT", "LISTENS ON", "WHO"].map(str::to_owned)];
    for process in &found {
        rows.extend(lines(process));
    }
    if rows.len() == 1 {
        context
            .output
            .remark("no process declares a port or listens anywhere");
        return Ok(());
    }
    let mut widths = [0; 4];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for [name, port, listens, who] in &rows {
        let [first, second, third, _] = widths;
        let line = format!("{name:first$}  {port:>second$}  {listens:third$}  {who}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    Output::raw(text.as_bytes())?;
    Ok(())
}

/// The lines of one process: first what it declares, then everything else that it listens on.
fn lines(process: &ProcessPorts) -> Vec<[String; 4]> {
    let mut rows: Vec<[String; 4]> = Vec::new();
    let mut name = process.name.to_string();
    let declared = process.declared.map(|port| port.to_string());
    let mut port = declared.clone().unwrap_or_else(|| "-".to_owned());
    if let Some(holder) = &process.held_by {
        rows.push([
            std::mem::take(&mut name),
            std::mem::take(&mut port),
            "taken by another".to_owned(),
            table::printable(holder),
        ]);
    } else if process.declared.is_some() && !process.listens_as_declared {
        let words = if process.running {
            "nothing listens"
        } else {
            "not running"
        };
        rows.push([
            std::mem::take(&mut name),
            std::mem::take(&mut port),
            words.to_owned(),
            String::new(),
        ]);
    }
    for socket in &process.listening {
        rows.push([
            std::mem::take(&mut name),
            std::mem::take(&mut port),
            table::printable(&socket.to_string()),
            table::printable(&format!("{} ({})", socket.command, socket.pid)),
        ]);
    }
    rows
}
