//! Text in cells.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;
use unicode_width::UnicodeWidthStr as _;

/// A text in so many columns; what is too long loses its end.
pub(super) fn fit(text: &str, width: usize, right: bool) -> String {
    let length = text.chars().count();
    if length > width {
        let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
        if width > 0 {
            short.push('…');
        }
        short
    } else if right {
        format!("{text:>width$}")
    } else {
        format!("{text:width$}")
    }
}

/// Draws the columns from `begin` to before `end` of pieces of text into a row of cells. `style` is asked for each piece
/// with its own style and where in the whole text it begins.
pub(super) fn put<'a>(
    buffer: &mut Buffer,
    area: Rect,
    pieces: impl Iterator<Item = (&'a str, Style)>,
    (begin, end): (usize, usize),
    style: impl Fn(Style, usize) -> Style,
) {
    let (mut column, mut byte) = (0, 0);
    for (text, own) in pieces {
        let span = Span::styled(text, own);
        for grapheme in span.styled_graphemes(Style::new()) {
            let wide = grapheme.symbol.width();
            let at = byte;
            byte += grapheme.symbol.len();
            let here = column;
            column += wide;
            if here < begin || wide == 0 {
                continue;
            }
            let x = here - begin;
            if column > end || x + wide > usize::from(area.width) {
                return;
            }
            let Some(cell) = buffer.cell_mut((area.x + x as u16, area.y)) else {
                return;
            };
            cell.set_symbol(grapheme.symbol).set_style(style(own, at));
            for more in 1..wide {
                if let Some(cell) = buffer.cell_mut((area.x + (x + more) as u16, area.y)) {
                    cell.reset();
                }
            }
        }
    }
}
