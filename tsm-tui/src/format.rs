//! A program's own text, as a screen shows it.

/// How many characters of a log line are kept: more than any screen is wide.
const LONGEST_LINE: usize = 1000;

/// A line of a program without what would move the cursor or change colours: escape sequences go, tabs become blanks,
/// and of a line that overwrites itself (a progress bar) the last state is left.
pub(crate) fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches('\r');
    let text = text.rsplit('\r').next().unwrap_or_default();
    let mut plain = String::new();
    let mut length = 0;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if length >= LONGEST_LINE {
            break;
        }
        match c {
            '\x1b' => skip_sequence(&mut chars),
            '\t' => {
                let blanks = 8 - length % 8;
                plain.extend(std::iter::repeat_n(' ', blanks));
                length += blanks;
            }
            c => {
                plain.push(if c.is_control() { '\u{fffd}' } else { c });
                length += 1;
            }
        }
    }
    plain
}

/// Reads on to the end of an escape sequence.
fn skip_sequence(chars: &mut std::str::Chars<'_>) {
    match chars.next() {
        // Control sequences end with a letter or one of a few signs.
        Some('[') => {
            chars.find(|c| ('\x40'..='\x7e').contains(c));
        }
        // System commands and other strings end with BEL or `ESC \`.
        Some(']' | 'P' | '^' | '_' | 'X') => {
            while let Some(c) = chars.next() {
                if c == '\x07' {
                    break;
                }
                if c == '\x1b' {
                    chars.next();
                    break;
                }
            }
        }
        // A character set is named by one more character.
        Some('(' | ')' | '*' | '+' | '#') => {
            chars.next();
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_cannot_move_the_cursor() {
        assert_eq!(plain(b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07x"), "red x");
        assert_eq!(plain(b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\"), "link");
        assert_eq!(plain(b"a\tb"), "a       b");
        assert_eq!(plain(b"10%\r20%\r"), "20%");
        assert_eq!(plain(b"a\x08b\x00"), "a\u{fffd}b\u{fffd}");
        assert_eq!(plain(b"caf\xc3\xa9 \xff"), "caf\u{e9} \u{fffd}");
        assert_eq!(plain(b"\x1b(Bok\x1b"), "ok");
        assert_eq!(plain(&[b'x'; 5000]).len(), LONGEST_LINE);
    }
}
