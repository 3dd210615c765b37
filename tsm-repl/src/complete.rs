//! What Tab offers.

/// Words that this shell itself knows.
const OWN: &[&str] = &["exit", "help", "quit"];

/// Where the word at the end of `before` begins, and what it may become: a command where it is the first word (or
/// follows `help`), else a name.
pub(crate) fn complete(
    before: &str,
    commands: &[String],
    names: &[String],
) -> (usize, Vec<String>) {
    let start = before.rfind(char::is_whitespace).map_or(0, |at| {
        at + before[at..].chars().next().map_or(1, char::len_utf8)
    });
    let word = &before[start..];
    let mut words = before[..start].split_whitespace();
    let first = words.next();
    if before.trim_start().starts_with('!') || before.trim_start().starts_with('#') {
        return (start, Vec::new());
    }
    let mut found: Vec<String> = match first {
        None => commands
            .iter()
            .map(String::as_str)
            .chain(OWN.iter().copied())
            .filter(|command| command.starts_with(word))
            .map(str::to_owned)
            .collect(),
        Some("help") if words.next().is_none() => starting_with(word, commands),
        Some("help") => Vec::new(),
        // An option's value, such as a new name or a path, is none of ours; but a bare word may be a name.
        Some(_) => starting_with(word, names),
    };
    found.sort();
    found.dedup();
    (start, found)
}

fn starting_with(word: &str, candidates: &[String]) -> Vec<String> {
    candidates
        .iter()
        .filter(|candidate| candidate.starts_with(word))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(before: &str) -> (usize, String) {
        let own = |words: &[&str]| words.iter().map(|&w| w.to_owned()).collect::<Vec<_>>();
        let commands = own(&["start", "stop", "list", "ls"]);
        let names = own(&["api", "api-old", "worker"]);
        let (start, found) = complete(before, &commands, &names);
        (start, found.join(" "))
    }

    #[test]
    fn the_first_word_is_a_command_and_the_others_are_names() {
        assert_eq!(offered("st"), (0, "start stop".to_owned()));
        assert_eq!(offered("  e"), (2, "exit".to_owned()));
        assert_eq!(offered("stop a"), (5, "api api-old".to_owned()));
        assert_eq!(offered("stop api w"), (9, "worker".to_owned()));
        assert_eq!(offered("stop "), (5, "api api-old worker".to_owned()));
        assert_eq!(offered("help l"), (5, "list ls".to_owned()));
        assert_eq!(offered("help list a"), (10, String::new()));
        assert_eq!(offered("stop ä\u{a0}w"), (9, "worker".to_owned()));
    }

    #[test]
    fn nothing_is_offered_in_shell_commands_and_comments() {
        assert_eq!(offered("!ls a").1, "");
        assert_eq!(offered("# st").1, "");
        assert_eq!(offered("stop zzz").1, "");
    }
}
