//! Makes a picture (SVG) of a terminal's screen: what `tmux capture-pane -e -p` prints in, the picture out.
//!
//! ```console
//! $ tmux capture-pane -e -p | cargo run -p tsm-tui --example picture -- "A title" >picture.svg
//! ```
//!
//! The pictures of the README are made by `docs/pictures/make`.

#![expect(clippy::print_stdout, reason = "it prints a picture")]

use std::fmt::Write as _;
use std::io::{self, Read as _};

use ratatui::style::{Color, Modifier, Style};
use tsm_tui::Styled;

use tsm_core::error::BestEffort as _;

/// How large a cell is.
const CELL: (usize, usize) = (8, 17);
/// Around the screen.
const EDGE: usize = 14;
const PAPER: &str = "#16191d";
const INK: &str = "#d5d9df";
/// The sixteen colours of the terminal.
const COLOURS: [&str; 16] = [
    "#23272e", "#e06c75", "#7fbf6a", "#d9b263", "#5c9fe0", "#c07ad0", "#56b6c2", "#b8bec9",
    "#6b7280", "#f08a92", "#98d982", "#f0cc7f", "#7db7f0", "#d79be4", "#74d1dc", "#f2f4f7",
];

fn main() -> io::Result<()> {
    let title = std::env::args().nth(1).unwrap_or_default();
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    // A colour holds from line to line, as tmux prints it: what was set before is set again.
    let mut set = Vec::new();
    let lines: Vec<Styled> = bytes
        .strip_suffix(b"\n")
        .unwrap_or(&bytes)
        .split(|&byte| byte == b'\n')
        .map(|line| {
            let whole = [&set, line].concat();
            for sequence in line.split(|&byte| byte == 0x1b).skip(1) {
                if let Some(end) = sequence.iter().position(|&byte| byte == b'm') {
                    set.push(0x1b);
                    set.extend(&sequence[..=end]);
                }
            }
            Styled::of(&whole)
        })
        .collect();
    println!("{}", picture(&title, &lines));
    Ok(())
}

fn picture(title: &str, lines: &[Styled]) -> String {
    let columns = lines.iter().map(|line| line.columns).max().unwrap_or(0);
    let (width, height) = (columns * CELL.0 + 2 * EDGE, lines.len() * CELL.1 + 2 * EDGE);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         role=\"img\">\n<title>{}</title>\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{PAPER}\"/>\n\
         <g font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"13.29\" xml:space=\"preserve\">\n",
        escape(title)
    );
    for (row, line) in lines.iter().enumerate() {
        let mut column = 0;
        for (text, style) in line.pieces() {
            let wide = text.chars().count();
            run(&mut svg, (column, row), text, style);
            column += wide;
        }
    }
    svg + "</g>\n</svg>"
}

/// A piece of text in one style.
fn run(svg: &mut String, (column, row): (usize, usize), text: &str, style: Style) {
    let has = |modifier| style.add_modifier.contains(modifier);
    let (mut ink, mut paper) = (style.fg.map_or(INK, name), style.bg.map(name));
    if has(Modifier::REVERSED) {
        (ink, paper) = (paper.unwrap_or(PAPER), Some(ink));
    }
    let wide = text.chars().count() * CELL.0;
    let (x, y) = (EDGE + column * CELL.0, EDGE + row * CELL.1);
    // Writing to a string does not fail.
    if let Some(paper) = paper {
        writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{wide}\" height=\"{}\" fill=\"{paper}\"/>",
            CELL.1
        )
        .best_effort("a String takes everything");
    }
    if text.trim().is_empty() {
        return;
    }
    let mut more = String::new();
    if has(Modifier::BOLD) {
        more.push_str(" font-weight=\"bold\"");
    }
    if has(Modifier::DIM) {
        more.push_str(" opacity=\"0.6\"");
    }
    writeln!(
        svg,
        "<text x=\"{x}\" y=\"{}\" textLength=\"{wide}\" fill=\"{ink}\"{more}>{}</text>",
        y + 13,
        escape(text)
    )
    .best_effort("a String takes everything");
}

fn name(colour: Color) -> &'static str {
    let number = match colour {
        Color::Black => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::Gray => 7,
        Color::DarkGray => 8,
        Color::LightRed => 9,
        Color::LightGreen => 10,
        Color::LightYellow => 11,
        Color::LightBlue => 12,
        Color::LightMagenta => 13,
        Color::LightCyan => 14,
        Color::White => 15,
        Color::Indexed(number @ 0..16) => usize::from(number),
        // The dashboard itself uses no others.
        _ => return INK,
    };
    COLOURS[number]
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
