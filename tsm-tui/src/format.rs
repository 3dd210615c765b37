//! Times, sizes and a program's own text, as a screen shows them.

/// How many characters of a log line are kept: more than any screen is wide.
const LONGEST_LINE: usize = 1000;

/// A duration in two digits or so: `42s`, `5m`, `3h 20m`, `12d`.
pub(crate) fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7199 => format!("{}m", seconds / 60),
        7200..=172_799 => format!("{}h {}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A size in powers of 1024: `812K`, `3.4M`.
pub(crate) fn size(bytes: u64) -> String {
    let units = ["B", "K", "M", "G", "T"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 || value >= 100.0 {
        format!("{value:.0}{}", units[unit])
    } else {
        format!("{value:.1}{}", units[unit])
    }
}

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
    fn units_are_those_that_a_person_would_use() {
        assert_eq!(duration(59_999), "59s");
        assert_eq!(duration(125_000), "2m");
        assert_eq!(duration(12_000_000), "3h 20m");
        assert_eq!(duration(3 * 86_400_000), "3d");
        assert_eq!(size(0), "0B");
        assert_eq!(size(1536), "1.5K");
        assert_eq!(size(300 << 20), "300M");
    }

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
