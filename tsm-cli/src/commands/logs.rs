//! `tsm logs`.

mod show;
mod sources;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tsm_core::error::{BestEffort as _, Error};
use tsm_core::logs::{self, Follower, Grep, LogError, Query, Source};
use tsm_core::selector::Selector;
use tsm_core::sys::limits::raise_open_files;
use tsm_core::sys::{clock, fd};
use tsm_core::view::{Overview, ProcessView, Since};
use tsm_core::words::moment;

use self::show::{Form, Show};
use self::sources::{print_places, sources_of, tell_of_kept, tell_of_missing};
use super::list::select;
use crate::app::{Context, Outcome};
use crate::args::LogsArgs;
use crate::output::complain;

/// How many lines are shown where nothing is said of lines or times.
const LINES: usize = 20;

pub(crate) fn run(context: &Context, args: &LogsArgs) -> Outcome {
    let wanted = Wanted::read(args)?;
    let overview = Overview::read(&context.store())?;
    for damage in &overview.damaged {
        complain(&damage.error);
    }
    let selectors = selectors_of(args);
    let views = select(overview.processes, &selectors).inspect_err(|error| {
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
    let mut show = Show::new(context, args.no_prefix, is_one, sources, forms.collect());
    if args.follow {
        return follow(context, args, &mut show, &query);
    }
    show.tail(logs::select(show.sources(), &query).map_err(Error::from)?)?;
    show.end()
}

/// Those of all processes, where none is given.
fn selectors_of(args: &LogsArgs) -> Vec<String> {
    if args.selectors.is_empty() {
        return vec!["all".to_owned()];
    }
    args.selectors.clone()
}

/// Shows what is there, and then what comes, until nobody is left to print or to read it.
fn follow(context: &Context, args: &LogsArgs, show: &mut Show<'_>, query: &Query) -> Outcome {
    let (tail, mut follower) =
        logs::select_and_follow(show.sources(), query).map_err(Error::from)?;
    if let Err(error) = follower.look_out_in(&context.home.processes()) {
        show.failed(error)?;
    }
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
                if follower.take_appeared() {
                    follow_new(context, args, show, &mut follower)?;
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

/// Goes on with processes, too, that were started since, where they are among those that are asked for.
fn follow_new(
    context: &Context,
    args: &LogsArgs,
    show: &mut Show<'_>,
    follower: &mut Follower,
) -> Outcome {
    let selectors: Vec<Selector> = selectors_of(args)
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, Error>>()?;
    let is_wanted = |view: &ProcessView| {
        let (id, name) = (view.id, view.name.as_str());
        let mut all = selectors.iter();
        all.any(|one| one.selects(id, name, &view.namespace))
    };
    let mut views = Overview::read(&context.store())?.processes;
    views.retain(is_wanted);
    let known: Vec<PathBuf> = show.sources().iter().flat_map(logs_of).cloned().collect();
    for (mut source, owner) in sources_of(context, args, &views) {
        source.out = source.out.filter(|log| !known.contains(log));
        source.err = source.err.filter(|log| !known.contains(log));
        if logs_of(&source).next().is_none() {
            continue;
        }
        let number = show.sources().len();
        let followed = follower.add(number, &source);
        show.add(source, Form::of(context, args, &views[owner]));
        if let Err(error) = followed {
            show.failed(error)?;
        }
    }
    Ok(())
}

fn logs_of(source: &Source) -> impl Iterator<Item = &PathBuf> {
    source.out.iter().chain(&source.err)
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
