//! The prompt: where one is, and how many processes run and do not.

use anstyle::{AnsiColor, Style};
use tsm_core::meta::State;
use tsm_core::store::ProcessStore;
use tsm_core::view::Overview;

/// How many processes are in the states that a prompt tells of.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    running: usize,
    waiting: usize,
    failed: usize,
}

impl Counts {
    /// As the records say; a home that cannot be read has nothing to tell here, the next command will.
    pub(crate) fn read(store: &ProcessStore) -> Self {
        let Ok(overview) = Overview::read(store) else {
            return Self::default();
        };
        let number = |states: &[State]| {
            let processes = overview.processes.iter();
            processes
                .filter(|view| states.contains(&view.state))
                .count()
        };
        Self {
            running: number(&[State::Running, State::Unsupervised]),
            waiting: number(&[State::Backoff]),
            failed: number(&[State::Failed]),
        }
    }
}

/// The prompt plain, as its width is reckoned, and as it is shown.
pub(crate) fn prompt(
    place: Option<&str>,
    in_use: Option<&str>,
    counts: Counts,
    colour: bool,
) -> (String, String) {
    let of = |number, word| {
        let text = format!("{number} {word}");
        Some(text).filter(|_| number > 0)
    };
    let parts = [
        (AnsiColor::Green, of(counts.running, "running")),
        (AnsiColor::Yellow, of(counts.waiting, "waiting to restart")),
        (AnsiColor::Red, of(counts.failed, "failed")),
    ];
    let write = |colour: bool| {
        let mut text = "tsm".to_owned();
        if let Some(place) = place {
            text += &paint(colour, AnsiColor::Blue, &format!(" {place}"));
        }
        if let Some(name) = in_use {
            text += &paint(colour, AnsiColor::Cyan, &format!(" [{name}]"));
        }
        let parts: Vec<String> = parts
            .iter()
            .filter_map(|(shade, part)| Some(paint(colour, *shade, part.as_ref()?)))
            .collect();
        if !parts.is_empty() {
            text += " ";
            text += &parts.join(", ");
        }
        text + "> "
    };
    (write(false), write(colour))
}

pub(crate) fn paint(wanted: bool, colour: AnsiColor, text: &str) -> String {
    if !wanted {
        return text.to_owned();
    }
    let style: Style = colour.on_default();
    format!("{style}{text}{style:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_only_what_there_is_to_tell() {
        let plain = |place, running, waiting, failed| {
            let counts = Counts {
                running,
                waiting,
                failed,
            };
            let (plain, shown) = prompt(place, None, counts, false);
            assert_eq!(plain, shown);
            plain
        };
        assert_eq!(plain(None, 0, 0, 0), "tsm> ");
        assert_eq!(plain(None, 2, 0, 1), "tsm 2 running, 1 failed> ");
        assert_eq!(
            plain(Some("/srv/tsm"), 0, 1, 0),
            "tsm /srv/tsm 1 waiting to restart> "
        );
        let counts = Counts {
            running: 2,
            ..Counts::default()
        };
        let (plain, shown) = prompt(None, None, counts, true);
        let addressed = prompt(None, Some("api"), counts, false).0;
        assert_eq!(addressed, "tsm [api] 2 running> ");
        assert_eq!(plain, "tsm 2 running> ");
        assert_eq!(shown, "tsm \x1b[32m2 running\x1b[0m> ");
    }
}
