//! Colours, such as a terminal has them: the sixteen named ones, whatever they look like there, or none.

use ratatui::style::{Color, Modifier, Style};
use tsm_core::meta::State;

/// How many colours a terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// None: what is told by a colour elsewhere is told by a sign.
    None,
    /// The sixteen named ones.
    Sixteen,
    /// The palette of 256.
    Palette,
    /// Any.
    Any,
}

/// What is drawn how. The dashboard itself only uses named colours; more are for what programs print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    /// How many colours there are.
    pub depth: Depth,
    /// Whether the background is light.
    pub light: bool,
}

impl Default for Theme {
    fn default() -> Self {
        Self {
            depth: Depth::None,
            light: false,
        }
    }
}

impl Theme {
    /// What fits the terminal that the environment tells of. `variable` gives the value of a variable.
    ///
    /// `TSM_THEME` (`light` or `dark`) is believed, else `COLORFGBG`, which many terminals set.
    pub fn detect(colour: bool, variable: impl Fn(&str) -> Option<String>) -> Self {
        let is = |name: &str, words: &[&str]| {
            let value = variable(name).unwrap_or_default();
            words.iter().any(|word| value.contains(word))
        };
        let depth = if !colour {
            Depth::None
        } else if is("COLORTERM", &["truecolor", "24bit"]) || is("TERM", &["direct"]) {
            Depth::Any
        } else if is(
            "TERM",
            &["256color", "kitty", "alacritty", "foot", "ghostty"],
        ) {
            Depth::Palette
        } else {
            Depth::Sixteen
        };
        let background = variable("COLORFGBG");
        let background = background
            .as_deref()
            .and_then(|value| value.rsplit(';').next()?.parse::<u8>().ok());
        let light = match variable("TSM_THEME").as_deref() {
            Some("light") => true,
            Some("dark") => false,
            _ => matches!(background, Some(7 | 9..=15)),
        };
        Self { depth, light }
    }

    /// Whether there are colours.
    pub fn has_colours(self) -> bool {
        self.depth != Depth::None
    }

    fn of(self, colour: Color) -> Style {
        if self.has_colours() {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    }

    /// All is well.
    pub fn good(self) -> Style {
        self.of(Color::Green)
    }

    /// Something is wrong.
    pub fn bad(self) -> Style {
        self.of(Color::Red)
    }

    /// Something is on its way, or to be looked at. Yellow cannot be read on white.
    pub fn warning(self) -> Style {
        self.of(if self.light {
            Color::Magenta
        } else {
            Color::Yellow
        })
    }

    /// What stands out without meaning anything. Cyan cannot be read on white.
    pub fn accent(self) -> Style {
        self.of(if self.light { Color::Blue } else { Color::Cyan })
    }

    /// What matters less. It is faint and not grey: a terminal's grey may be its background.
    pub fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// What matters more.
    pub fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// The selected row.
    pub fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// What a search found.
    pub fn found(self) -> Style {
        if self.has_colours() {
            Style::new().fg(Color::Black).bg(Color::Yellow)
        } else {
            Style::new().add_modifier(Modifier::REVERSED)
        }
    }

    /// A window above the rest.
    pub fn frame(self) -> Style {
        self.accent()
    }

    /// One of several sources.
    pub fn source(self, number: usize) -> Style {
        // Red is standard error's; yellow and cyan cannot be read on white.
        const DARK: &[Color] = &[
            Color::Cyan,
            Color::Magenta,
            Color::Green,
            Color::Blue,
            Color::Yellow,
        ];
        const LIGHT: &[Color] = &[Color::Blue, Color::Magenta, Color::Green];
        let colours = if self.light { LIGHT } else { DARK };
        self.of(colours[number % colours.len()])
    }

    /// How a state is shown.
    pub fn state(self, state: &State) -> Style {
        match state {
            State::Running | State::Done => self.good(),
            State::Failed => self.bad(),
            State::Starting
            | State::Stopping
            | State::Backoff
            | State::Waiting
            | State::Unsupervised => self.warning(),
            _ => self.faint(),
        }
    }

    /// How health is shown.
    pub fn condition(self, condition: &str) -> Style {
        match condition {
            "healthy" | "ready" => self.good(),
            "unhealthy" => self.bad(),
            _ => self.warning(),
        }
    }

    /// A colour that a program asked for, as near as this terminal has it.
    pub fn nearest(self, colour: Color) -> Option<Color> {
        match (self.depth, colour) {
            (Depth::None, _) => None,
            (Depth::Sixteen, Color::Rgb(..) | Color::Indexed(16..)) => {
                let (r, g, b) = rgb(colour);
                Some(named(r, g, b))
            }
            (Depth::Palette, Color::Rgb(r, g, b)) => {
                let step = |v: u8| (u16::from(v) * 5 + 127) / 255;
                Some(Color::Indexed(
                    (16 + 36 * step(r) + 6 * step(g) + step(b)) as u8,
                ))
            }
            _ => Some(colour),
        }
    }

    /// A style that a program asked for, as near as this terminal has it.
    pub fn adapt(self, style: Style) -> Style {
        Style {
            fg: style.fg.and_then(|colour| self.nearest(colour)),
            bg: style.bg.and_then(|colour| self.nearest(colour)),
            ..style
        }
    }
}

/// What a colour beyond the sixteen is made of.
fn rgb(colour: Color) -> (u8, u8, u8) {
    match colour {
        Color::Rgb(r, g, b) => (r, g, b),
        Color::Indexed(grey @ 232..) => {
            let v = 8 + 10 * (grey - 232);
            (v, v, v)
        }
        Color::Indexed(cube @ 16..) => {
            let of = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
            let cube = cube - 16;
            (of(cube / 36), of(cube / 6 % 6), of(cube % 6))
        }
        _ => (0, 0, 0),
    }
}

/// The named colour of these parts: which of them are strong, and whether they are bright.
fn named(r: u8, g: u8, b: u8) -> Color {
    let most = r.max(g).max(b);
    let strong = |v: u8| most >= 50 && u16::from(v) * 2 > u16::from(most);
    let bright = most > 200;
    match (strong(r), strong(g), strong(b), bright) {
        (false, false, false, _) => Color::Black,
        (true, true, true, _) if most < 150 => Color::DarkGray,
        (true, true, true, false) => Color::Gray,
        (true, true, true, true) => Color::White,
        (true, false, false, false) => Color::Red,
        (true, false, false, true) => Color::LightRed,
        (false, true, false, false) => Color::Green,
        (false, true, false, true) => Color::LightGreen,
        (true, true, false, false) => Color::Yellow,
        (true, true, false, true) => Color::LightYellow,
        (false, false, true, false) => Color::Blue,
        (false, false, true, true) => Color::LightBlue,
        (true, false, true, false) => Color::Magenta,
        (true, false, true, true) => Color::LightMagenta,
        (false, true, true, false) => Color::Cyan,
        (false, true, true, true) => Color::LightCyan,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(colour: bool, environment: &[(&str, &str)]) -> Theme {
        Theme::detect(colour, |name| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_tells_what_a_terminal_can() {
        let depth = |environment: &[(&str, &str)]| detect(true, environment).depth;
        assert_eq!(depth(&[("TERM", "linux")]), Depth::Sixteen);
        assert_eq!(depth(&[("TERM", "xterm-256color")]), Depth::Palette);
        assert_eq!(
            depth(&[("TERM", "xterm"), ("COLORTERM", "truecolor")]),
            Depth::Any
        );
        assert_eq!(
            detect(false, &[("COLORTERM", "truecolor")]).depth,
            Depth::None
        );
        let light = |environment: &[(&str, &str)]| detect(true, environment).light;
        assert!(!light(&[]));
        assert!(light(&[("COLORFGBG", "0;15")]));
        assert!(light(&[("COLORFGBG", "0;default;15")]));
        assert!(!light(&[("COLORFGBG", "15;0")]));
        assert!(!light(&[("COLORFGBG", "0;15"), ("TSM_THEME", "dark")]));
    }

    #[test]
    fn colours_that_a_terminal_has_not_become_their_neighbours() {
        let sixteen = detect(true, &[]);
        let near = |colour| sixteen.nearest(colour).unwrap();
        assert_eq!(near(Color::Rgb(255, 10, 10)), Color::LightRed);
        assert_eq!(near(Color::Rgb(0, 128, 0)), Color::Green);
        assert_eq!(near(Color::Indexed(232)), Color::Black);
        assert_eq!(near(Color::Indexed(255)), Color::White);
        assert_eq!(near(Color::Indexed(21)), Color::LightBlue);
        assert_eq!(near(Color::Indexed(3)), Color::Indexed(3));
        assert_eq!(near(Color::Red), Color::Red);
        let palette = detect(true, &[("TERM", "xterm-256color")]);
        assert_eq!(
            palette.nearest(Color::Rgb(255, 0, 0)),
            Some(Color::Indexed(196))
        );
        let none = detect(false, &[]);
        assert_eq!(
            none.adapt(Style::new().fg(Color::Red).bold()),
            Style::new().bold()
        );
    }
}
