//! A program's own text, as a screen may show it: its colours stay, and whatever else would act on the terminal goes.

use anstyle_parse::{DefaultCharAccumulator, Params, Parser, Perform};
use ratatui::style::{Color, Modifier, Style};
use unicode_width::UnicodeWidthChar as _;

/// How many columns of a line are kept.
const LONGEST_LINE: usize = 4000;

/// A line of text and where in it styles begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Styled {
    /// The text alone.
    pub text: String,
    /// From which byte on which style holds; nothing where it has none at all.
    pub runs: Vec<(usize, Style)>,
    /// How many columns it takes.
    pub columns: usize,
}

impl Styled {
    /// Reads a line of a program.
    pub fn of(line: &[u8]) -> Self {
        parse(line)
    }

    /// In which columns its rows begin, where it is wrapped after so many: a wide character stays whole.
    pub fn breaks(&self, width: usize) -> Vec<usize> {
        let width = width.max(2);
        if self.columns == self.text.len() {
            return (0..self.columns.max(1)).step_by(width).collect();
        }
        let (mut breaks, mut column) = (vec![0], 0);
        for c in self.text.chars() {
            let wide = c.width().unwrap_or(0);
            let begin = breaks.last().copied().unwrap_or(0);
            if column + wide > begin + width {
                breaks.push(column);
            }
            column += wide;
        }
        breaks
    }

    /// The pieces of it, each with its style.
    pub fn pieces(&self) -> impl Iterator<Item = (&str, Style)> {
        let first = self.runs.first().map_or(self.text.len(), |(at, _)| *at);
        let before = (0, first, Style::new());
        let ends = self.runs.iter().skip(1).map(|(at, _)| *at);
        let ends = ends.chain([self.text.len()]);
        let runs = self.runs.iter().zip(ends);
        let runs = runs.map(|((begin, style), end)| (*begin, end, *style));
        std::iter::once(before)
            .chain(runs)
            .filter(|(begin, end, _)| begin < end)
            .filter_map(|(begin, end, style)| Some((self.text.get(begin..end)?, style)))
    }
}

/// Reads a line: tabs become blanks, colours stay, and of a line that overwrites itself (a progress bar) the last state
/// is left. Every other control character becomes a sign; every other sequence goes.
pub(crate) fn parse(bytes: &[u8]) -> Styled {
    let mut reader = Reader::default();
    let mut parser = Parser::<DefaultCharAccumulator>::new();
    // What is no UTF-8 becomes a sign, too.
    let text = String::from_utf8_lossy(bytes);
    for &byte in text.as_bytes() {
        if reader.line.columns >= LONGEST_LINE {
            break;
        }
        parser.advance(&mut reader, byte);
    }
    reader.line
}

#[derive(Default)]
struct Reader {
    line: Styled,
    style: Style,
    /// The cursor is at the begin: what comes overwrites.
    returned: bool,
}

impl Reader {
    fn push(&mut self, c: char) {
        if std::mem::take(&mut self.returned) {
            self.line = Styled::default();
        }
        let last = self
            .line
            .runs
            .last()
            .map_or(Style::new(), |(_, style)| *style);
        if last != self.style {
            self.line.runs.push((self.line.text.len(), self.style));
        }
        self.line.text.push(c);
        self.line.columns += c.width().unwrap_or(0);
    }
}

impl Perform for Reader {
    fn print(&mut self, c: char) {
        self.push(c);
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\t' => {
                for _ in 0..8 - self.line.columns % 8 {
                    self.push(' ');
                }
            }
            b'\r' => self.returned = true,
            // The bell, shifts between character sets.
            0x07 | 0x0e | 0x0f => {}
            _ => self.push('\u{fffd}'),
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: u8) {
        if action == b'm' && intermediates.is_empty() && !ignore {
            self.style = graphics(self.style, params);
        }
    }
}

/// `console_codes(4)`, "ECMA-48 Select Graphic Rendition".
fn graphics(mut style: Style, params: &Params) -> Style {
    let mut params = params.iter();
    let mut any = false;
    while let Some(param) = params.next() {
        any = true;
        let set = |style: Style, modifier| style.add_modifier(modifier);
        let unset = |mut style: Style, modifier: Modifier| {
            style.add_modifier.remove(modifier);
            style
        };
        style = match param[0] {
            0 => Style::new(),
            1 => set(style, Modifier::BOLD),
            2 => set(style, Modifier::DIM),
            3 => set(style, Modifier::ITALIC),
            4 if param.get(1) == Some(&0) => unset(style, Modifier::UNDERLINED),
            4 | 21 => set(style, Modifier::UNDERLINED),
            7 => set(style, Modifier::REVERSED),
            9 => set(style, Modifier::CROSSED_OUT),
            22 => unset(unset(style, Modifier::BOLD), Modifier::DIM),
            23 => unset(style, Modifier::ITALIC),
            24 => unset(style, Modifier::UNDERLINED),
            27 => unset(style, Modifier::REVERSED),
            29 => unset(style, Modifier::CROSSED_OUT),
            code @ (30..=37 | 90..=97) => style.fg(named(code % 10, code >= 90)),
            code @ (40..=47 | 100..=107) => style.bg(named(code % 10, code >= 100)),
            38 => match colour(param, &mut params) {
                Some(colour) => style.fg(colour),
                None => style,
            },
            48 => match colour(param, &mut params) {
                Some(colour) => style.bg(colour),
                None => style,
            },
            39 => Style { fg: None, ..style },
            49 => Style { bg: None, ..style },
            _ => style,
        };
    }
    if any { style } else { Style::new() }
}

fn named(number: u16, bright: bool) -> Color {
    const DARK: [Color; 8] = [
        Color::Black,
        Color::Red,
        Color::Green,
        Color::Yellow,
        Color::Blue,
        Color::Magenta,
        Color::Cyan,
        Color::Gray,
    ];
    const BRIGHT: [Color; 8] = [
        Color::DarkGray,
        Color::LightRed,
        Color::LightGreen,
        Color::LightYellow,
        Color::LightBlue,
        Color::LightMagenta,
        Color::LightCyan,
        Color::White,
    ];
    let colours = if bright { BRIGHT } else { DARK };
    colours[usize::from(number % 8)]
}

/// The colour behind 38 or 48: in the same parameter (`38:5:1`, `38:2::1:2:3`) or in those that follow.
fn colour<'a>(param: &[u16], rest: &mut impl Iterator<Item = &'a [u16]>) -> Option<Color> {
    let mut own: Vec<u16> = param[1..].to_vec();
    let is_own = !own.is_empty();
    let mut next = |own: &mut Vec<u16>| {
        if is_own {
            (!own.is_empty()).then(|| own.remove(0))
        } else {
            rest.next().map(|param| param[0])
        }
    };
    match next(&mut own)? {
        5 => Some(Color::Indexed(u8::try_from(next(&mut own)?).ok()?)),
        2 => {
            // With colons, a colour space may stand before the three.
            if is_own && own.len() > 3 {
                own.remove(0);
            }
            let mut part = || u8::try_from(next(&mut own)?).ok();
            Some(Color::Rgb(part()?, part()?, part()?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        parse(bytes).text
    }

    #[test]
    fn a_program_cannot_move_the_cursor() {
        assert_eq!(text(b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07x"), "red x");
        assert_eq!(text(b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\"), "link");
        assert_eq!(text(b"\x1b[2J\x1b[3;4Hx\x1b[?1049h"), "x");
        assert_eq!(text(b"a\tb"), "a       b");
        assert_eq!(text(b"10%\r20%\r"), "20%");
        assert_eq!(text(b"a\x08b\x00"), "a\u{fffd}b\u{fffd}");
        assert_eq!(text(b"caf\xc3\xa9 \xff"), "caf\u{e9} \u{fffd}");
        assert_eq!(text(b"\x1b(Bok\x1b"), "ok");
        assert_eq!(text(&[b'x'; 5000]).len(), LONGEST_LINE);
        assert_eq!(parse("漢字".as_bytes()).columns, 4);
    }

    #[test]
    fn a_wide_character_is_not_cut_in_two() {
        let breaks = |text: &str, width| parse(text.as_bytes()).breaks(width);
        assert_eq!(breaks("abcdefg", 3), [0, 3, 6]);
        assert_eq!(breaks("", 3), [0]);
        assert_eq!(breaks("漢字漢字", 5), [0, 4]);
        assert_eq!(breaks("a漢字", 3), [0, 3]);
    }

    #[test]
    fn its_colours_stay() {
        let pieces = |bytes: &[u8]| {
            let line = parse(bytes);
            let pieces = line.pieces().map(|(text, style)| (text.to_owned(), style));
            pieces.collect::<Vec<_>>()
        };
        let red = Style::new().fg(Color::Red);
        assert_eq!(
            pieces(b"a\x1b[31mb\x1b[1mc\x1b[0md"),
            [
                ("a".to_owned(), Style::new()),
                ("b".to_owned(), red),
                ("c".to_owned(), red.bold()),
                ("d".to_owned(), Style::new()),
            ]
        );
        let first = |bytes: &[u8]| pieces(bytes)[0].1;
        assert_eq!(first(b"\x1b[38;5;200mx").fg, Some(Color::Indexed(200)));
        assert_eq!(first(b"\x1b[48;2;1;2;3;4mx").bg, Some(Color::Rgb(1, 2, 3)));
        assert!(
            first(b"\x1b[48;2;1;2;3;4mx")
                .add_modifier
                .contains(Modifier::UNDERLINED)
        );
        assert_eq!(first(b"\x1b[38:2::1:2:3mx").fg, Some(Color::Rgb(1, 2, 3)));
        assert_eq!(first(b"\x1b[38:5:7mx").fg, Some(Color::Indexed(7)));
        assert_eq!(
            first(b"\x1b[97;41mx"),
            Style::new().fg(Color::White).bg(Color::Red)
        );
        assert_eq!(first(b"\x1b[31m\x1b[mx"), Style::new());
        assert_eq!(pieces(b"plain"), [("plain".to_owned(), Style::new())]);
        assert_eq!(pieces(b""), []);
    }
}
