//! In which form lines are shown.

use std::cell::{Cell, RefCell};
use std::io::{self, Write as _};

use anstyle::AnsiColor;
use serde::Serialize;
use tsm_core::error::{Error, ErrorKind};
use tsm_core::events::rfc3339;
use tsm_core::logs::{Follower, Gone, Line, LogError, Source, Stream, Tail};
use tsm_core::spec::{LogType, TimeFormat};
use tsm_core::text::Text;
use tsm_core::view::ProcessView;

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

/// A line for `--json`.
#[derive(Serialize)]
struct LineView<'a> {
    time: Option<String>,
    name: &'a str,
    stream: &'static str,
    line: Text,
}

/// In which form the lines of a process are shown.
pub(super) struct Form {
    json: bool,
    /// With the time before each line.
    timestamps: bool,
    /// The form of that, where not the usual one.
    time: Option<TimeFormat>,
}

impl Form {
    /// What is asked for, and for the rest what is declared.
    pub(super) fn of(context: &Context, args: &LogsArgs, view: &ProcessView) -> Self {
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
pub(super) struct Show<'a> {
    context: &'a Context,
    no_prefix: bool,
    sources: Vec<Source>,
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
    /// `is_one`: lines of one process bear no name.
    pub(super) fn new(
        context: &'a Context,
        no_prefix: bool,
        is_one: bool,
        sources: Vec<Source>,
        forms: Vec<Form>,
    ) -> Self {
        let mut show = Self {
            context,
            no_prefix,
            sources,
            prefixes: Vec::new(),
            forms,
            has_failed: Cell::new(false),
            in_line: Cell::new(false),
            stdout: io::BufWriter::with_capacity(64 << 10, io::stdout()).into(),
        };
        show.put_names(is_one);
        show
    }

    /// What is shown.
    pub(super) fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Shows one more process from now on.
    pub(super) fn add(&mut self, source: Source, form: Form) {
        self.sources.push(source);
        self.forms.push(form);
        self.put_names(false);
    }

    /// Says what stands before lines.
    fn put_names(&mut self, is_one: bool) {
        let widths = self.sources.iter().map(|source| source.name.len());
        // A longer name sticks out rather than pushing all others aside.
        let width = widths.max().unwrap_or(0).min(24);
        let is_bare = is_one || self.no_prefix;
        let prefixes = self.sources.iter().enumerate().map(|(number, source)| {
            if is_bare {
                return [String::new(), String::new()];
            }
            let colour = COLOURS[number % COLOURS.len()];
            // The bar tells the streams apart even without colours.
            ["|", "!"].map(|bar| {
                let name = format!("{:width$} {bar}", source.name);
                format!("{} ", self.context.output.paint(colour, &name))
            })
        });
        self.prefixes = prefixes.collect();
    }

    pub(super) fn line(&self, line: &Line) -> io::Result<()> {
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
    pub(super) fn tail(&self, mut tail: Tail) -> Outcome {
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
    pub(super) fn failed(&self, error: LogError) -> Outcome {
        // What was read before comes before the complaint about what follows.
        self.flush()?;
        complain(Error::from(error));
        self.has_failed.set(true);
        Ok(())
    }

    /// Says what went before it came to be followed.
    pub(super) fn all_gone(&self, follower: &mut Follower) -> Outcome {
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

    pub(super) fn end(&self) -> Outcome {
        self.flush()?;
        if self.has_failed.get() {
            return Err(Failure::Told(ErrorKind::Failed));
        }
        Ok(())
    }

    pub(super) fn flush(&self) -> Outcome {
        self.stdout.borrow_mut().flush().map_err(Failure::from)
    }
}
