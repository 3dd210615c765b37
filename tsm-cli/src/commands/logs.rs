//! `tsm logs`.

use std::cell::{Cell, RefCell};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anstyle::AnsiColor;
use serde::Serialize;
use tsm_core::error::{BestEffort as _, Error, ErrorKind};
use tsm_core::events::rfc3339;
use tsm_core::logs::{self, Follower, Gone, Grep, Line, LogError, Query, Source, Stream, Tail};
use tsm_core::spec::{LogType, TimeFormat};
use tsm_core::sys::limits::raise_open_files;
use tsm_core::sys::{clock, fd};
use tsm_core::text::Text;
use tsm_core::view::{Overview, ProcessView, Since};
use tsm_core::words::moment;

use super::list::select;
use crate::app::{Context, Failure, Outcome};
use crate::args::LogsArgs;
use crate::output::{self, Output, complain};
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

/// How many lines are shown where nothing is said of lines or times.
const LINES: usize = 20;

pub(crate) fn run(context: &Context, args: &LogsArgs) -> Outcome {
    let wanted = Wanted::read(args)?;
    let overview = Overview::read(&context.store())?;
    for damage in &overview.damaged {
        complain(&damage.error);
    }
    let all = ["all".to_owned()];
    let selectors = if args.selectors.is_empty() {
        &all[..]
    } else {
        &args.selectors
    };
    let views = select(overview.processes, selectors).inspect_err(|error| {
        if let Error::NoSuchProcess { selector, .. } = error {
            tell_of_kept(context, selector);
        }
    })?;
    if views.is_empty() {
        context.output.remark("there are no processes");
        return Ok(());
    }
    let (sources, owners): (Vec<Source>, Vec<usize>) =
        sources_of(context, args, &views).into_iter().unzip();
    let is_one = views.len() == 1;
    tell_of_missing(context, args, &views, &sources);
    let views: Vec<&ProcessView> = owners.iter().map(|number| &views[*number]).collect();
    if args.places {
        return print_places(&sources, args.json);
    }
    // Many processes have many logs; the usual soft limit is for programs that use select(2).
    raise_open_files().best_effort("what cannot be opened for it is told by name");
    let since = wanted.since;
    let query = Query {
        lines: wanted.lines,
        since_ms: since.map_or_else(Vec::new, |since| since_of(context, &views, since)),
        until_ms: wanted.until_ms,
        grep: wanted.grep,
    };
    let forms = views.iter().map(|view| Form::of(context, args, view));
    let is_bare = is_one || args.no_prefix;
    let show = Show::new(context, is_bare, &sources, forms.collect());
    if args.follow {
        return follow(&show, &sources, &query);
    }
    show.tail(logs::select(&sources, &query).map_err(Error::from)?)?;
    show.end()
}

/// Logs that are shown together, and the number of the process that says in which form.
type Shown = (Source, usize);

/// The logs of each process, those that are asked for. A file that several write into is shown once, under all of their
/// names: nobody knows whose line is whose.
fn sources_of(context: &Context, args: &LogsArgs, views: &[ProcessView]) -> Vec<Shown> {
    let mut own: Vec<Shown> = Vec::new();
    let mut shared: Vec<Shown> = Vec::new();
    for (number, view) in views.iter().enumerate() {
        let name = view.name.as_str();
        let (out, err) = view.log_files(&context.home);
        // Both streams may go into one file without being told to by `--err same`.
        let err = err.filter(|err| out.as_ref() != Some(err));
        let mut source = Source {
            name: name.to_owned(),
            out: out.filter(|_| !args.err),
            err: err.filter(|_| !args.out),
        };
        for log in [&mut source.out, &mut source.err] {
            let Some(path) = log else { continue };
            let is_it = |other: &Option<PathBuf>| other.as_ref() == Some(path);
            if let Some((other, _)) = shared.iter_mut().find(|(other, _)| is_it(&other.out)) {
                other.name = format!("{},{name}", other.name);
                *log = None;
                continue;
            }
            let first = own
                .iter_mut()
                .find(|(other, _)| is_it(&other.out) || is_it(&other.err));
            if let Some((first, number)) = first {
                let theirs = if is_it(&first.out) {
                    &mut first.out
                } else {
                    &mut first.err
                };
                *theirs = None;
                let both = Source {
                    name: format!("{},{name}", first.name),
                    out: log.take(),
                    err: None,
                };
                shared.push((both, *number));
            }
        }
        own.push((source, number));
    }
    own.retain(|(source, _)| source.out.is_some() || source.err.is_some());
    own.extend(shared);
    own
}

/// Says where the logs are of a process that was deleted without them.
fn tell_of_kept(context: &Context, name: &str) {
    let Ok(name) = name.parse() else { return };
    let kept = context.home.out_log(&name);
    if kept.exists() {
        context.output.remark(format_args!(
            "the logs of a '{name}' that was deleted are kept: {}",
            kept.display()
        ));
    }
}

/// Says why there is nothing to show of a log: it goes elsewhere, or is not there.
fn tell_of_missing(context: &Context, args: &LogsArgs, views: &[ProcessView], sources: &[Source]) {
    if args.err {
        for view in views.iter().filter(|view| view.is_error_in_output()) {
            context.output.remark(format_args!(
                "the standard error of '{}' goes where its standard output goes: see `tsm logs {}`",
                view.name, view.name
            ));
        }
    }
    let logs = sources
        .iter()
        .flat_map(|source| source.out.iter().chain(&source.err));
    for log in logs.filter(|log| !log.exists()) {
        let is_missing = logs::segments(log)
            .is_ok_and(|listed| listed.segments.is_empty() && listed.failed.is_empty());
        if is_missing {
            context.output.remark(format_args!(
                "there is no {}: nothing was printed yet, or somebody removed it",
                log.display()
            ));
        }
    }
}

/// Shows what is there, and then what comes, until nobody is left to print or to read it.
fn follow(show: &Show<'_>, sources: &[Source], query: &Query) -> Outcome {
    let (tail, mut follower) = logs::select_and_follow(sources, query).map_err(Error::from)?;
    show.tail(tail)?;
    let is_wanted = |line: &[u8]| query.grep.as_ref().is_none_or(|grep| grep.is_match(line));
    while !follower.is_empty() {
        let lines = match follower.next_batch(Some(Duration::ZERO)) {
            Ok(lines) if lines.is_empty() => {
                show.all_gone(&mut follower)?;
                // No waiting and no flush while there is more to read: large logs go out in large
                // writes.
                if follower.is_behind() {
                    continue;
                }
                show.flush()?;
                if fd::wait_while_read(&follower, io::stdout())? {
                    // Whoever read this has seen enough.
                    return Ok(());
                }
                continue;
            }
            Ok(lines) => lines,
            // Without inotify's events nothing new would ever be noticed; any other error concerns
            // one log only.
            Err(error @ LogError::Events(_)) => return Err(Error::from(error).into()),
            Err(error) => {
                show.failed(error)?;
                continue;
            }
        };
        for line in lines.iter().filter(|line| is_wanted(&line.bytes)) {
            show.line(line)?;
        }
        show.all_gone(&mut follower)?;
    }
    show.all_gone(&mut follower)?;
    show.end()
}

/// Which lines are asked for.
struct Wanted {
    /// How many, where not all.
    lines: Option<usize>,
    since: Option<Since>,
    until_ms: Option<u64>,
    grep: Option<Grep>,
}

impl Wanted {
    fn read(args: &LogsArgs) -> Result<Self, Error> {
        let now_ms = clock::unix_ms();
        let lines = match args.tail.as_deref() {
            Some("all") => None,
            Some(number) => Some(number.parse().map_err(|_not_a_number| {
                Error::bad_value(
                    "--tail",
                    format!("'{number}' is neither a number of lines nor 'all'"),
                )
            })?),
            None => {
                let is_chosen = args.since.is_some() || args.until.is_some() || args.grep.is_some();
                (!is_chosen).then_some(LINES)
            }
        };
        let since = args.since.as_deref();
        let since = since
            .map(|text| Since::parse("--since", text, now_ms))
            .transpose()?;
        let until = args.until.as_deref();
        let until_ms = until
            .map(|text| moment("--until", text, now_ms))
            .transpose()?;
        if let (Some(Since::Time(since)), Some(until)) = (since, until_ms)
            && until <= since
        {
            let reason = "it is not later than --since: nothing came in between";
            return Err(Error::bad_value("--until", reason));
        }
        Ok(Self {
            lines,
            since,
            until_ms,
            grep: args.grep.as_deref().map(Grep::new).transpose()?,
        })
    }
}

/// Since when each process is shown. What never was is told, and nothing of that process shown.
fn since_of(context: &Context, views: &[&ProcessView], since: Since) -> Vec<Option<u64>> {
    let store = context.store();
    let of = |view: &&ProcessView| {
        let found = since.of(&store, &view.name);
        if found.is_none() {
            let what = match since {
                Since::LastCrash => "has not crashed",
                _ => "was never started",
            };
            context
                .output
                .remark(format_args!("'{}' {what}", view.name));
        }
        // A time that never comes: nothing of this process is shown.
        Some(found.unwrap_or(u64::MAX))
    };
    views.iter().map(of).collect()
}

/// One log for `--where --json`.
#[derive(Serialize)]
struct Place<'a> {
    name: &'a str,
    stream: &'static str,
    path: String,
    /// All files of it from the oldest to the newest, as far as there are any.
    files: Vec<String>,
}

fn print_places(sources: &[Source], json: bool) -> Outcome {
    let mut places = Vec::new();
    let mut has_failed = false;
    for source in sources {
        for (stream, live) in [("out", &source.out), ("err", &source.err)] {
            let Some(live) = live else { continue };
            let listed = logs::segments(live).map_err(Error::from)?;
            places.push(Place {
                name: &source.name,
                stream,
                path: live.display().to_string(),
                files: listed
                    .segments
                    .iter()
                    .map(|segment| segment.path().display().to_string())
                    .collect(),
            });
            for error in listed.failed {
                complain(Error::from(error));
                has_failed = true;
            }
        }
    }
    if json {
        output::json(&places)?;
    } else {
        for place in places {
            Output::raw(format!("{}\n", place.path).as_bytes())?;
        }
    }
    if has_failed {
        return Err(Failure::Told(ErrorKind::Failed));
    }
    Ok(())
}

/// A line for `--json`.
#[derive(Serialize)]
struct LineView<'a> {
    time: Option<String>,
    name: &'a str,
    stream: &'static str,
    line: Text,
}

/// In which form the lines of a process are shown.
struct Form {
    json: bool,
    /// With the time before each line.
    timestamps: bool,
    /// The form of that, where not the usual one.
    time: Option<TimeFormat>,
}

impl Form {
    /// What is asked for, and for the rest what is declared.
    fn of(context: &Context, args: &LogsArgs, view: &ProcessView) -> Self {
        // Without its spec, the lines of a process are shown as they are.
        let spec = context.store().spec(&view.name).ok().flatten();
        let (log_type, time) = spec.map_or((None, None), |saved| {
            (saved.spec.log_type, saved.spec.log_date_format)
        });
        Self {
            json: args.json || log_type == Some(LogType::Json),
            timestamps: args.timestamps || time.is_some(),
            time,
        }
    }

    fn time(&self, line: &Line) -> String {
        match (line.time_ms, &self.time) {
            // A line from before TSM noted times has none; dashes keep the columns aligned.
            (None, _) => "-".repeat(19),
            (Some(time_ms), None) => words::local_time(time_ms),
            (Some(time_ms), Some(form)) => form.show(time_ms),
        }
    }
}

/// How lines are shown.
struct Show<'a> {
    context: &'a Context,
    sources: &'a [Source],
    /// What stands before lines of standard output and of standard error of each source.
    prefixes: Vec<[String; 2]>,
    forms: Vec<Form>,
    /// A log could not be read, and that was told.
    has_failed: Cell<bool>,
    /// The line that was shown last has not ended, and neither has it where it was shown.
    in_line: Cell<bool>,
    stdout: RefCell<io::BufWriter<io::Stdout>>,
}

impl<'a> Show<'a> {
    fn new(context: &'a Context, is_bare: bool, sources: &'a [Source], forms: Vec<Form>) -> Self {
        let width = sources
            .iter()
            .map(|source| source.name.len())
            .max()
            .unwrap_or(0)
            // A longer name sticks out rather than pushing all others aside.
            .min(24);
        let prefixes = sources.iter().enumerate().map(|(number, source)| {
            if is_bare {
                return [String::new(), String::new()];
            }
            let colour = COLOURS[number % COLOURS.len()];
            // The bar tells the streams apart even without colours.
            ["|", "!"].map(|bar| {
                let name = format!("{:width$} {bar}", source.name);
                format!("{} ", context.output.paint(colour, &name))
            })
        });
        Self {
            context,
            sources,
            prefixes: prefixes.collect(),
            forms,
            has_failed: Cell::new(false),
            in_line: Cell::new(false),
            stdout: io::BufWriter::with_capacity(64 << 10, io::stdout()).into(),
        }
    }

    fn line(&self, line: &Line) -> io::Result<()> {
        let mut out = self.stdout.borrow_mut();
        let is_err = line.stream == Stream::Err;
        let form = &self.forms[line.source];
        // The last line of one stream is not the beginning of another's.
        if self.in_line.take() {
            out.write_all(b"\n")?;
        }
        if form.json {
            let view = LineView {
                time: line.time_ms.map(rfc3339),
                name: &self.sources[line.source].name,
                stream: if is_err { "err" } else { "out" },
                line: Text::from_bytes(line.bytes.clone()),
            };
            out.write_all(&tsm_core::json::line(&view)?)?;
            return out.write_all(b"\n");
        }
        let mut head = self.prefixes[line.source][usize::from(is_err)].clone();
        if form.timestamps {
            head = format!("{head}[{}] ", form.time(line));
        }
        out.write_all(head.as_bytes())?;
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
                _ => {
                    // What a progress bar writes over itself is not written over the name and the time.
                    let again = format!("\r{head}");
                    let text = text.strip_suffix('\r').unwrap_or(&text);
                    out.write_all(text.replace('\r', &again).as_bytes())?;
                    if text.contains('\x1b') {
                        // A colour that it left on is not that of the next line.
                        out.write_all(b"\x1b[0m")?;
                    }
                }
            }
        } else {
            out.write_all(&line.bytes)?;
        }
        // Where no terminal reads them, bytes go out unchanged: a last line without a newline has
        // none here either.
        let bare = head.is_empty() && !self.context.output.terminal;
        if line.complete || !bare {
            out.write_all(b"\n")?;
        } else {
            self.in_line.set(true);
        }
        Ok(())
    }

    /// Shows all lines, and says what was wrong with which log.
    fn tail(&self, mut tail: Tail) -> Outcome {
        for line in tail.by_ref() {
            match line {
                Ok(line) => self.line(&line)?,
                Err(error) => self.failed(error)?,
            }
        }
        for gone in tail.gone() {
            self.gone(gone)?;
        }
        Ok(())
    }

    /// One log cannot be read; the others are shown all the same.
    fn failed(&self, error: LogError) -> Outcome {
        // What was read before comes before the complaint about what follows.
        self.flush()?;
        complain(Error::from(error));
        self.has_failed.set(true);
        Ok(())
    }

    /// Says what went before it came to be followed.
    fn all_gone(&self, follower: &mut Follower) -> Outcome {
        let gone = follower.take_gone();
        gone.into_iter().try_for_each(|gone| self.gone(gone))
    }

    /// Some of a log went before it could be shown.
    fn gone(&self, gone: Gone) -> Outcome {
        self.flush()?;
        let word = if gone.stream == Stream::Err {
            "standard error"
        } else {
            "standard output"
        };
        self.context.output.remark(format_args!(
            "{} bytes of the {word} of '{}' were removed before they could be read",
            gone.bytes, self.sources[gone.source].name
        ));
        Ok(())
    }

    fn end(&self) -> Outcome {
        self.flush()?;
        if self.has_failed.get() {
            return Err(Failure::Told(ErrorKind::Failed));
        }
        Ok(())
    }

    fn flush(&self) -> Outcome {
        self.stdout.borrow_mut().flush().map_err(Failure::from)
    }
}
