//! Where in a text quotes, comments, pipes and words begin and end, as a shell sees it.

/// What a look over a text found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// Whether no quote is open and nothing is continued on the next line.
    pub(crate) complete: bool,
    /// Where newlines stand that end a command.
    pub(crate) ends: Vec<usize>,
    /// Where backslashes stand that continue a line.
    pub(crate) continued: Vec<usize>,
    /// Where the first `|` stands that is no part of a word.
    pub(crate) pipe: Option<usize>,
    /// Where the last word begins; the end of the text where it would be empty.
    pub(crate) last_word: usize,
    /// Whether the text ends in a comment.
    pub(crate) comment: bool,
}

/// Looks over a text.
pub(crate) fn scan(text: &[u8]) -> Scan {
    let mut found = Scan {
        complete: true,
        ..Scan::default()
    };
    let mut quote = None;
    let mut escaped = false;
    let mut in_word = false;
    for (at, &byte) in text.iter().enumerate() {
        if found.comment {
            found.comment = byte != b'\n';
            if !found.comment {
                found.ends.push(at);
                in_word = false;
            }
            continue;
        }
        if escaped {
            escaped = false;
            if byte == b'\n' {
                found.continued.push(at - 1);
            }
            continue;
        }
        match (quote, byte) {
            (Some(b'\''), b'\'') | (Some(b'"'), b'"') => quote = None,
            (None | Some(b'"'), b'\\') => {
                escaped = true;
                found.begin_word(&mut in_word, at);
            }
            (Some(_), _) => {}
            (None, b'\'' | b'"') => {
                quote = Some(byte);
                found.begin_word(&mut in_word, at);
            }
            (None, b'#') if !in_word => found.comment = true,
            (None, b'|') if found.pipe.is_none() => {
                found.pipe = Some(at);
                in_word = false;
            }
            (None, b'\n') => {
                found.ends.push(at);
                in_word = false;
            }
            (None, b' ' | b'\t' | b'\r') => in_word = false,
            (None, _) => found.begin_word(&mut in_word, at),
        }
    }
    if !in_word {
        found.last_word = text.len();
    }
    found.complete = quote.is_none() && !escaped;
    found
}

impl Scan {
    fn begin_word(&mut self, in_word: &mut bool, at: usize) {
        if !*in_word {
            *in_word = true;
            self.last_word = at;
        }
    }
}

/// The text without the newlines that a backslash takes away.
pub(crate) fn joined(text: &[u8]) -> Vec<u8> {
    let continued = scan(text).continued;
    let is_left = |at: &usize| !continued.contains(at) && !continued.contains(&at.wrapping_sub(1));
    let left = (0..text.len()).filter(is_left);
    left.map(|at| text[at]).collect()
}

/// The commands of a text, one each, without empty ones.
pub(crate) fn commands(text: &str) -> Vec<&str> {
    let ends = scan(text.as_bytes()).ends;
    let begins = std::iter::once(0).chain(ends.iter().map(|end| end + 1));
    let ends = ends.iter().copied().chain([text.len()]);
    let parts = begins.zip(ends).map(|(from, to)| text[from..to].trim_end());
    parts.filter(|part| !part.trim().is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotes_backslashes_and_comments_are_seen() {
        let complete = |text: &str| scan(text.as_bytes()).complete;
        assert!(complete("stop api") && complete("stop 'a b'") && complete("# don't"));
        assert!(complete("stop a#'b'") && complete(r"stop \' ") && complete(r#"stop "\"" "#));
        assert!(!complete("stop 'a") && !complete("stop \\") && !complete("stop \"it's"));
        assert_eq!(
            commands("list\nstop 'a\nb'\n\n# x 'y\ninfo \\\n a\n"),
            ["list", "stop 'a\nb'", "# x 'y", "info \\\n a"]
        );
    }

    #[test]
    fn continued_lines_become_one() {
        assert_eq!(joined(b"stop \\\n a\\\nb 'c\\\n'"), b"stop  ab 'c\\\n'");
    }

    #[test]
    fn a_pipe_is_one_only_outside_of_words() {
        let pipe = |text: &str| scan(text.as_bytes()).pipe;
        assert_eq!(pipe("list | grep a"), Some(5));
        assert_eq!(pipe("list|grep a | wc"), Some(4));
        assert_eq!(pipe("start 'a | b' \\| \"|\" # |"), None);
    }

    #[test]
    fn the_last_word_is_found() {
        let last = |text: &str| text[scan(text.as_bytes()).last_word..].to_owned();
        assert_eq!(last("stop ap"), "ap");
        assert_eq!(last("stop "), "");
        assert_eq!(last("start 'my ser"), "'my ser");
        assert_eq!(last("start my\\ ser"), "my\\ ser");
        assert_eq!(last(""), "");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_between_commands(text in "[a-c '\"\\\\#|\n]{0,40}") {
            let kept: String = commands(&text).concat();
            let visible = |text: &str| text.chars().filter(|c| !c.is_whitespace()).count();
            prop_assert_eq!(visible(&kept), visible(&text));
        }

        #[test]
        fn what_is_complete_can_be_split(text in "[a-c '\"\\\\]{0,40}") {
            prop_assert_eq!(scan(text.as_bytes()).complete, shlex::split(&text).is_some());
        }
    }
}
