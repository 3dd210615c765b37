//! `tsm logs`.

use std::io::{self, Write as _};

use anstyle::AnsiColor;
use tsm_core::error::Error;
use tsm_core::logs::{Line, Source, Stream, tail, tail_and_follow};
use tsm_core::view::Overview;

use super::list::select;
use crate::app::{Context, Failure, Outcome};
use crate::args::LogsArgs;
use crate::output::complain;
use crate::{table, words};

/// The colours of names, in turn.
const COLOURS: &[AnsiColor] = &[
    AnsiColor::Cyan,
    AnsiColor::Green,
    AnsiColor::Yellow,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::BrightCyan,
    AnsiColor::BrightGreen,
    AnsiColor::BrightMagenta,
];

pub(crate) fn run(context: &Context, args: &LogsArgs) -> Outcome {
    let lines = match args.tail.as_str() {
        "all" => None,
        number => Some(number.parse::<usize>().map_err(|_not_a_number| {
            Error::bad_value(
                "--tail",
                format!("'{number}' is neither a number of lines nor 'all'"),
            )
        })?),
    };
    let overview = Overview::read(&context.store(), false)?;
    for damage in &overview.damaged {
        complain(&damage.error);
    }
    let all = ["all".to_owned()];
    let selectors = if args.selectors.is_empty() {
        &all[..]
    } else {
        &args.selectors
    };
    let views = select(overview.processes, selectors)?;
    if views.is_empty() {
        context.output.remark("there are no processes");
        return Ok(());
    }
    let sources: Vec<Source> = views
        .iter()
        .map(|view| {
            let (out, err) = view.log_files(&context.home);
            Source {
                name: view.name.to_string(),
                out: out.filter(|_| !args.err),
                err: err.filter(|_| !args.out),
            }
        })
        .collect();
    let show = Show::new(context, args, &sources);
    if !args.follow {
        for line in tail(&sources, lines).map_err(Error::from)? {
            show.line(&line.map_err(Error::from)?)?;
        }
        return show.flush();
    }
    let (tail, mut follower) = tail_and_follow(&sources, lines).map_err(Error::from)?;
    for line in tail {
        show.line(&line.map_err(Error::from)?)?;
    }
    loop {
        show.flush()?;
        for line in follower.next_batch(None).map_err(Error::from)? {
            show.line(&line)?;
        }
    }
}

/// How lines are shown.
struct Show<'a> {
    context: &'a Context,
    prefixes: Vec<String>,
    timestamps: bool,
    stdout: std::cell::RefCell<io::BufWriter<io::Stdout>>,
}

impl<'a> Show<'a> {
    fn new(context: &'a Context, args: &LogsArgs, sources: &[Source]) -> Self {
        let width = sources
            .iter()
            .map(|source| source.name.len())
            .max()
            .unwrap_or(0);
        let prefixes = sources.iter().enumerate().map(|(number, source)| {
            if sources.len() == 1 {
                return String::new();
            }
            let name = format!("{:width$} |", source.name);
            format!(
                "{} ",
                context.output.paint(COLOURS[number % COLOURS.len()], &name)
            )
        });
        Self {
            context,
            prefixes: prefixes.collect(),
            timestamps: args.timestamps,
            stdout: io::BufWriter::new(io::stdout()).into(),
        }
    }

    fn line(&self, line: &Line) -> io::Result<()> {
        let mut out = self.stdout.borrow_mut();
        out.write_all(self.prefixes[line.source].as_bytes())?;
        if self.timestamps {
            // A line from before TSM noted times has none; it keeps its place.
            let time = line
                .time_ms
                .map_or_else(|| "-".repeat(19), words::local_time);
            write!(out, "[{time}] ")?;
        }
        if self.context.output.terminal {
            // What a program prints is shown as it is, colours too; only bytes that are no text are replaced.
            let text = String::from_utf8_lossy(&line.bytes);
            match line.stream {
                Stream::Err if self.context.output.colour && !text.contains('\x1b') => {
                    out.write_all(
                        self.context
                            .output
                            .paint(AnsiColor::Red, &table::printable_line(&text))
                            .as_bytes(),
                    )?;
                }
                _ => out.write_all(text.as_bytes())?,
            }
        } else {
            out.write_all(&line.bytes)?;
        }
        // Bytes go out unchanged where no terminal reads them: a last line without a newline has none there either.
        let bare = self.prefixes.len() == 1 && !self.timestamps && !self.context.output.terminal;
        if line.complete || !bare {
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn flush(&self) -> Outcome {
        self.stdout.borrow_mut().flush().map_err(Failure::from)
    }
}
