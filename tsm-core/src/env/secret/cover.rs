//! Secrets within a longer text: a value, a line of a file, a command line.

use std::borrow::Cow;

use super::{MASK, sounds_secret};

/// Words that name a secret where they are the name of a variable, and far too much within a text.
const TOO_COMMON: &[&str] = &["key", "keys", "auth", "private"];

/// Words in the name of a variable by which its value is the address of a database.
const ADDRESSES: &[&str] = &["dsn", "url", "uri", "database", "db", "conn", "connection"];

/// A text with what in it is secret covered: passwords in URLs and addresses, and what is assigned to a name that sounds
/// secret, as in `user=app password=…`, `…;Password=…;`, `?token=…`, `"password": "…"`.
///
/// ```
/// use tsm_core::env::secret::cover;
///
/// assert_eq!(cover("redis://:hunter2@db/0"), "redis://:********@db/0");
/// assert_eq!(cover("host=db password=hunter2"), "host=db password=********");
/// ```
pub fn cover(text: &str) -> Cow<'_, str> {
    if !text.contains(['=', ':']) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(assignments(&urls(text)))
}

/// The same of a command line, where a secret may also stand behind an option, as in `--token …`.
pub fn cover_command(text: &str) -> Cow<'_, str> {
    let mut covered = cover(text);
    let mut from = 0;
    while let Some(found) = covered[from..].find(['-']) {
        let at = from + found;
        let rest = &covered[at..];
        let option = rest.trim_start_matches('-');
        let name_end = option.find(|c: char| !is_of_name(c));
        let name = &option[..name_end.unwrap_or(option.len())];
        let begins = at == 0 || covered[..at].ends_with([' ', '"', '\'']);
        from = at + rest.len() - option.len() + name.len();
        let value = covered[from..].trim_start_matches(' ');
        let begin = covered.len() - value.len();
        if begins && begin > from && !value.starts_with('-') && is_secret_within(name) {
            let end = begin + value_end(value);
            covered.to_mut().replace_range(begin..end, MASK);
            from = begin + MASK.len();
        }
    }
    covered
}

/// The words of a command, any of which may be a command line itself: what follows an option that names a secret is one,
/// whatever it is.
pub fn cover_words<'a>(words: impl Iterator<Item = Cow<'a, str>>) -> Vec<String> {
    let mut covered = Vec::new();
    let mut is_secret = false;
    for word in words {
        let is_option = word.starts_with('-');
        covered.push(if is_secret && !is_option {
            MASK.to_owned()
        } else {
            cover_command(&word).into_owned()
        });
        is_secret =
            is_option && !word.contains('=') && is_secret_within(word.trim_start_matches('-'));
    }
    covered
}

/// Covers the password of `user:password@tcp(…)`, an address without a scheme. What is said in the name of a variable
/// tells `user:password@host` from the like.
pub(super) fn cover_address<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    let sure = super::words_of(name).any(|word| ADDRESSES.contains(&word.as_str()));
    let user = value.find(|c: char| !is_of_name(c)).unwrap_or(value.len());
    let Some(password) = value[user..].strip_prefix(':') else {
        return Cow::Borrowed(value);
    };
    let Some(at) = password.rfind('@').filter(|&at| at > 0) else {
        return Cow::Borrowed(value);
    };
    let (before, host) = (&password[..at], &password[at + 1..]);
    let protocol = host.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
    let is_call = protocol.starts_with('(') && protocol.len() < host.len();
    if before.starts_with("//") || before.contains(char::is_whitespace) || !(sure || is_call) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(format!("{}:{MASK}@{host}", &value[..user]))
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn is_secret_within(name: &str) -> bool {
    let name = name.trim_matches(['.', '-']);
    sounds_secret(name) && !TOO_COMMON.contains(&name.to_ascii_lowercase().as_str())
}

/// Covers user information in URLs: the password, and what may be a token in the place of a user.
fn urls(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(colon) = rest.find("://") {
        let scheme = &rest[..colon];
        let is_web = ["http", "https", "ws", "wss"].iter().any(|web| {
            let before = scheme.strip_suffix(web);
            before.is_some_and(|before| !before.ends_with(|c: char| c.is_ascii_alphanumeric()))
        });
        shown.push_str(&rest[..colon + 3]);
        rest = &rest[colon + 3..];
        let end = rest
            .find(|c: char| matches!(c, '"' | '\'' | '<' | '>') || c.is_whitespace())
            .unwrap_or(rest.len());
        // A password may hold any sign: the last `@` before the path ends it; where what looks like a path is not, as
        // behind `user:p/w@host`, the last one of all.
        let path = rest[..end].find(['/', '?', '#']).unwrap_or(end);
        let host = rest[..path].rfind('@').or_else(|| {
            let (_, port) = rest[..path].split_once(':')?;
            let is_port = port.is_empty() || port.bytes().all(|b| b.is_ascii_digit());
            let is_address = rest.starts_with('[') || (is_port && is_web);
            (!is_address).then(|| rest[..end].rfind('@'))?
        });
        let Some(host) = host else { continue };
        match rest[..host].find(':') {
            Some(colon) => shown.push_str(&rest[..=colon]),
            None if is_web && host > 0 => {}
            None => continue,
        }
        shown.push_str(MASK);
        rest = &rest[host..];
    }
    shown.push_str(rest);
    shown
}

/// Covers what is assigned, by `=` or `:`, to a name that sounds secret.
fn assignments(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['=', ':']) {
        let name = rest[..at].trim_end_matches(['"', '\'', ' ']);
        let begin = name.rfind(|c| !is_of_name(c)).map_or(0, |begin| {
            begin + name[begin..].chars().next().map_or(1, char::len_utf8)
        });
        let name = &name[begin..];
        shown.push_str(&rest[..=at]);
        rest = &rest[at + 1..];
        // `PWD` is where a shell stands, but among the fields of an address it is a password.
        let is_field = name.eq_ignore_ascii_case("pwd")
            && shown[..shown.len() - name.len() - 1].ends_with(';');
        if !(is_secret_within(name) || is_field) || rest.starts_with("//") {
            continue;
        }
        let value = rest.trim_start_matches(' ');
        let end = if is_header(name) {
            // A scheme and what belongs to it (RFC 9110, 11.6.2).
            value.find(['"', '\'', '\n']).unwrap_or(value.len())
        } else {
            value_end(value)
        };
        // A reference is no secret, and what is covered already stays.
        let is_open = end > 0 && !value.starts_with(['$', '{', '[']) && !value.starts_with(MASK);
        if is_open {
            shown.push_str(&rest[..rest.len() - value.len()]);
            shown.push_str(MASK);
            rest = &value[end..];
        }
    }
    shown.push_str(rest);
    shown
}

fn is_header(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with("authorization")
}

/// A message in which words of the user may stand, such as `'API_TOKEN=…' selects nothing`: URLs and what is assigned by
/// `=` are covered. A `:` parts the message itself.
pub fn cover_message(text: &str) -> Cow<'_, str> {
    if !text.contains('=') && !text.contains("://") {
        return Cow::Borrowed(text);
    }
    let text = urls(text);
    let mut shown = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(at) = rest.find('=') {
        let begin = rest[..at].rfind(|c| !is_of_name(c)).map_or(0, |begin| {
            begin + rest[begin..].chars().next().map_or(1, char::len_utf8)
        });
        let (before, name) = (&rest[..begin], &rest[begin..at]);
        shown.push_str(&rest[..=at]);
        rest = &rest[at + 1..];
        if !is_secret_within(name) || rest.starts_with(MASK) {
            continue;
        }
        // Messages put the whole of what they cite in quotes.
        let quote = before
            .chars()
            .next_back()
            .filter(|c| matches!(c, '"' | '\''));
        let end = match quote {
            Some(quote) => rest.find(quote).unwrap_or(rest.len()),
            None => value_end(rest),
        };
        if end > 0 {
            shown.push_str(MASK);
            rest = &rest[end..];
        }
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

/// Where a value ends that stands among others.
fn value_end(value: &str) -> usize {
    if let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        let inner = &value[1..];
        return inner.find(quote).map_or(value.len(), |end| end + 2);
    }
    value
        .find(|c: char| matches!(c, ';' | '&' | ',' | '"' | '\'' | ')' | '}') || c.is_whitespace())
        .unwrap_or(value.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn passwords_are_covered_wherever_they_stand() {
        for (text, expected) in [
            ("postgres://u:p/w@h/db", "postgres://u:********@h/db"),
            ("postgres://u:12/34@h/db", "postgres://u:********@h/db"),
            ("https://host:80/x@y", "https://host:80/x@y"),
            ("https://[::1]:80/x@y", "https://[::1]:80/x@y"),
            (
                "https://TOKEN@github.com/a/b",
                "https://********@github.com/a/b",
            ),
            ("ssh://git@github.com/a/b", "ssh://git@github.com/a/b"),
            ("git@github.com:a/b", "git@github.com:a/b"),
            (
                "https://h/x?a=1&password=hunter2&b=2",
                "https://h/x?a=1&password=********&b=2",
            ),
            (
                "https://h/x#access_token=hunter2",
                "https://h/x#access_token=********",
            ),
            (
                "user=app password=hunter2 host=db",
                "user=app password=******** host=db",
            ),
            (
                "Server=db;Password=hunter2;Pwd='x y';Port=1",
                "Server=db;Password=********;Pwd=********;Port=1",
            ),
            (
                r#"{"user":"a","password": "hunter2", "port":1}"#,
                r#"{"user":"a","password": ********, "port":1}"#,
            ),
            (
                "-Djavax.net.ssl.keyStorePassword=changeit -Xmx1g",
                "-Djavax.net.ssl.keyStorePassword=******** -Xmx1g",
            ),
            ("token=${TOKEN} key=value", "token=${TOKEN} key=value"),
            ("/usr/bin:/bin", "/usr/bin:/bin"),
            ("rs=0:di=01;34:*.key=00", "rs=0:di=01;34:*.key=00"),
            ("naïve=1 ü:2", "naïve=1 ü:2"),
            ("Authorization: Bearer s3cr3t", "Authorization: ********"),
            (
                "curl -H 'Authorization: Basic czM=' http://h",
                "curl -H 'Authorization: ********' http://h",
            ),
            (
                "proxy-authorization=Digest a b",
                "proxy-authorization=********",
            ),
            (
                "Driver=x;UID=u;PWD=hunter2;",
                "Driver=x;UID=u;PWD=********;",
            ),
            ("PWD=/home/mr;OLDPWD=/tmp", "PWD=/home/mr;OLDPWD=/tmp"),
        ] {
            assert_eq!(cover(text), expected);
            assert_eq!(cover(expected), expected);
        }
        for (name, value, expected) in [
            (
                "MYSQL",
                "root:hunter2@tcp(db:3306)/x",
                "root:********@tcp(db:3306)/x",
            ),
            ("APP_DSN", "root:hun@ter2@db/x", "root:********@db/x"),
            ("DB", "app:p/w@db", "app:********@db"),
            ("IMAGE", "redis:7@sha256:0123", "redis:7@sha256:0123"),
            ("APP_DSN", "root@db/x", "root@db/x"),
        ] {
            assert_eq!(cover_address(name, value), expected);
        }
    }

    #[test]
    fn a_message_shows_no_secret_that_was_typed() {
        for (text, expected) in [
            (
                "'API_TOKEN=hunt er2' selects nothing",
                "'API_TOKEN=********' selects nothing",
            ),
            (
                "no such file: DB_PASSWORD=x y",
                "no such file: DB_PASSWORD=******** y",
            ),
            (
                "a.env:3: API_TOKEN: a quote is not closed",
                "a.env:3: API_TOKEN: a quote is not closed",
            ),
            ("'A=b' names no variable", "'A=b' names no variable"),
            (
                "cannot reach redis://:p@h",
                "cannot reach redis://:********@h",
            ),
            ("'ü' naïve = x", "'ü' naïve = x"),
        ] {
            assert_eq!(cover_message(text), expected);
        }
    }

    #[test]
    fn a_command_line_shows_no_secret() {
        for (text, expected) in [
            (
                "API_TOKEN=hunter2 sleep 1000",
                "API_TOKEN=******** sleep 1000",
            ),
            ("A=1 DB_PASS='x y' ./run", "A=1 DB_PASS=******** ./run"),
            ("run --token hunter2 -p 80", "run --token ******** -p 80"),
            ("run --token=hunter2", "run --token=********"),
            ("run --api-key \"hun ter\" x", "run --api-key ******** x"),
            ("run --token --verbose x", "run --token --verbose x"),
            ("sort --key 2 my-token x", "sort --key 2 my-token x"),
            ("./entry-points/devpages.sh", "./entry-points/devpages.sh"),
        ] {
            assert_eq!(cover_command(text), expected);
        }
        let words = ["--token", "hunter2", "--password=x", "-v", "y"].map(Cow::Borrowed);
        let covered = cover_words(words.into_iter());
        assert_eq!(covered, ["--token", MASK, "--password=********", "-v", "y"]);
    }

    proptest! {
        #[test]
        fn covering_twice_changes_nothing_more(text in "([a-z:/@=?&;\"' ü-]|password|token|://|--){0,24}") {
            let once = cover(&text).into_owned();
            let _ = cover_command(&text);
            let message = cover_message(&text).into_owned();
            prop_assert_eq!(cover_message(&message).into_owned(), message.clone());
            let _ = cover_address("DSN", &text);
            prop_assert_eq!(cover(&once).into_owned(), once);
        }
    }
}
