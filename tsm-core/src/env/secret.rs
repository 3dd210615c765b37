//! Which variables hold secrets, and what is shown in their place.
//!
//! A variable counts as secret by a word in its name (`API_TOKEN`, `dbPassword`), and passwords within a value, such as that
//! of a URL, are covered whatever its name. A file `secrets` in the home adds to the list: one glob of
//! names a line, `#` before a comment, and `!` before a glob of names that are no secrets.

mod cover;

pub use cover::{cover, cover_command, cover_message, cover_words};

use crate::error::{Error, IoContext as _, Result};
use crate::home::Home;

/// What stands in the place of a secret. It tells nothing of its length.
pub const MASK: &str = "********";

/// Words that make a name a secret's, where a word ends or begins at `_`, `-`, `.`, a digit, or a change of case.
const WORDS: &[&str] = &[
    "apikey",
    "auth",
    "authorization",
    "bearer",
    "cookie",
    "credential",
    "credentials",
    "cred",
    "creds",
    "jwt",
    "key",
    "keys",
    "oauth",
    "otp",
    "pass",
    "passphrase",
    "passwd",
    "password",
    "pat",
    "private",
    "pw",
    "pwd",
    "secret",
    "secrets",
    "token",
    "tokens",
];

/// Words that count wherever they stand in a name: `PGPASSWORD`, `AUTHTOKEN`.
const WITHIN: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "credential",
];

/// Words that end so are a secret's, as in `BASICAUTH`, `SSHKEY`, `DBPASS` …
const ENDINGS: &[&str] = &["auth", "key", "keys", "pass"];

/// … unless they are these.
const OTHER_WORDS: &[&str] = &[
    "bypass",
    "compass",
    "donkey",
    "encompass",
    "hockey",
    "hotkey",
    "hotkeys",
    "jockey",
    "monkey",
    "monkeys",
    "multipass",
    "overpass",
    "trespass",
    "turkey",
    "underpass",
    "whiskey",
];

/// Names that look like a secret's and are none.
const HARMLESS: &[&str] = &["PWD", "OLDPWD", "SSH_AUTH_SOCK", "XAUTHORITY", "TSM_COOKIE"];

/// Tells what is secret.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    secret: Vec<glob::Pattern>,
    open: Vec<glob::Pattern>,
}

/// A line of a `secrets` file that is no glob.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: '{glob}' is no glob: {source}")]
struct BadGlob {
    line: usize,
    glob: String,
    source: glob::PatternError,
}

impl Secrets {
    /// The built-in rules, and those of the home's `secrets` file where there is one.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read, [`crate::error::Error::Damaged`] with the line that is no glob.
    pub fn of(home: &Home) -> Result<Self> {
        let path = home.root().join("secrets");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(error).at("read", &path),
        };
        Self::parse(&text).map_err(|wrong| Error::Damaged {
            path,
            reason: wrong.into(),
        })
    }

    /// Reads the text of a `secrets` file.
    fn parse(text: &str) -> std::result::Result<Self, BadGlob> {
        let mut secrets = Self::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (globs, glob) = match line.strip_prefix('!') {
                Some(glob) => (&mut secrets.open, glob.trim()),
                None => (&mut secrets.secret, line),
            };
            let pattern = glob::Pattern::new(glob).map_err(|source| BadGlob {
                line: number + 1,
                glob: glob.to_owned(),
                source,
            })?;
            globs.push(pattern);
        }
        Ok(secrets)
    }

    /// Whether a variable of this name holds a secret.
    pub fn is_secret(&self, name: &str) -> bool {
        let in_list = |globs: &[glob::Pattern]| globs.iter().any(|glob| glob.matches(name));
        if in_list(&self.open) {
            return false;
        }
        in_list(&self.secret) || sounds_secret(name)
    }

    /// The value as it may be shown: [`MASK`] for a secret, else the value without the passwords in it.
    pub fn shown(&self, name: &str, value: &str) -> String {
        if self.is_secret(name) {
            return if value.is_empty() {
                String::new()
            } else {
                MASK.to_owned()
            };
        }
        // A key as `PEM` has it (RFC 7468), whatever its name.
        if value.contains("-----BEGIN ") && value.contains("PRIVATE KEY-----") {
            return MASK.to_owned();
        }
        let value = cover::cover_address(name, value);
        cover(&value).into_owned()
    }
}

fn sounds_secret(name: &str) -> bool {
    if HARMLESS.contains(&name) {
        return false;
    }
    let lower = name.to_ascii_lowercase();
    WITHIN.iter().any(|word| lower.contains(word))
        || words_of(name).any(|word| {
            let word = word.as_str();
            let is_compound = ENDINGS.iter().any(|ending| word.ends_with(ending));
            WORDS.contains(&word) || (is_compound && !OTHER_WORDS.contains(&word))
        })
}

/// The words of a name: parted by signs and digits, where a capital follows a small letter, and before the last of several
/// capitals that a small letter follows (`HTTPAuth`).
fn words_of(name: &str) -> impl Iterator<Item = String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    let mut letters = name.chars().peekable();
    while let Some(letter) = letters.next() {
        let before_small = letters.peek().is_some_and(char::is_ascii_lowercase);
        let begins = letter.is_ascii_uppercase()
            && (before.is_ascii_lowercase() || (before.is_ascii_uppercase() && before_small));
        if !letter.is_ascii_alphabetic() || begins {
            words.push(String::new());
        }
        if letter.is_ascii_alphabetic()
            && let Some(word) = words.last_mut()
        {
            word.push(letter.to_ascii_lowercase());
        }
        before = letter;
    }
    words.into_iter().filter(|word| !word.is_empty())
}

/// A line of a file as an error message may show it: where it gives a value to a name that sounds secret, the value is
/// covered, and so are passwords within it.
pub fn without_secrets(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find([':', '=']) {
        let name = rest[..at].trim_end_matches(['"', '\'', ' ']);
        let begin =
            name.rfind(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-' | '.'));
        let name = &name[begin.map_or(0, |begin| begin + 1)..];
        shown.push_str(&rest[..=at]);
        rest = &rest[at + 1..];
        if sounds_secret(name) && !rest.trim().is_empty() {
            return format!("{shown} {MASK}");
        }
    }
    shown.push_str(rest);
    cover(&shown).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known_and_others_left_alone() {
        let secrets = Secrets::default();
        for name in [
            "API_TOKEN",
            "GITHUB_TOKEN",
            "dbPassword",
            "PGPASSWORD",
            "AWS_SECRET_ACCESS_KEY",
            "SSH_PRIVATE_KEY",
            "apiKey",
            "APIKEY",
            "NPM_AUTH",
            "MYSQL_PWD",
            "STRIPE_KEY",
            "CREDENTIALS",
            "SESSION_COOKIE",
            "db.passwd",
            "API_KEY2",
            "STRIPE_KEY1",
            "AUTH2",
            "OAUTH",
            "HTTPAuth",
            "BASICAUTH",
            "ACCESSKEY",
            "PRIVATEKEY",
            "SSHKEY",
            "ENCRYPTIONKEY",
            "DBPASS",
            "GITHUB_PAT",
            "DB_PW",
            "JWT",
            "BEARER",
        ] {
            assert!(secrets.is_secret(name), "{name}");
        }
        for name in [
            "PATH",
            "HOME",
            "PWD",
            "OLDPWD",
            "KEYBOARD",
            "MONKEY",
            "XKB_KEYMAP",
            "SSH_AUTH_SOCK",
            "AUTHOR",
            "COMPASS",
            "LANG",
            "PORT",
            "TSM_NAME",
            "PASSENGER_COUNT",
            "PATTERN",
            "CREDITS",
            "BYPASS",
            "DONKEY_KONG",
            "HOTKEYS",
        ] {
            assert!(!secrets.is_secret(name), "{name}");
        }
    }

    #[test]
    fn the_list_is_extended_and_cut_by_a_file() {
        let secrets = Secrets::parse("# ours\nACME_*\n!PUBLIC_KEY\n").unwrap();
        assert!(secrets.is_secret("ACME_ID"));
        assert!(!secrets.is_secret("PUBLIC_KEY"));
        assert!(secrets.is_secret("OTHER_KEY"));
        let wrong = Secrets::parse("A\n[").unwrap_err().to_string();
        assert!(wrong.starts_with("line 2: '[' is no glob"), "{wrong}");
    }

    #[test]
    fn passwords_in_urls_are_covered_and_nothing_else() {
        let secrets = Secrets::default();
        for (value, expected) in [
            (
                "postgres://app:hunter2@db:5432/x",
                "postgres://app:********@db:5432/x",
            ),
            (
                "a=redis://:p@ss@h/0 b=http://u:v@w",
                "a=redis://:********@h/0 b=http://u:********@w",
            ),
            ("https://host:80/x@y", "https://host:80/x@y"),
            ("ssh://user@host/", "ssh://user@host/"),
            ("://", "://"),
            ("plain", "plain"),
        ] {
            assert_eq!(secrets.shown("DATABASE", value), expected);
        }
        for (line, expected) in [
            (
                "    env: {A: 1, API_TOKEN: [x]}",
                "    env: {A: 1, API_TOKEN: ********",
            ),
            ("password = \"x\"", "password = ********"),
            ("\"dbPassword\": 1,", "\"dbPassword\": ********"),
            ("  API_TOKEN:", "  API_TOKEN:"),
            ("url: redis://a:b@c", "url: redis://a:********@c"),
            ("port: 99999", "port: 99999"),
        ] {
            assert_eq!(without_secrets(line), expected);
        }
        assert_eq!(secrets.shown("DB_PASSWORD", "x"), MASK);
        assert_eq!(secrets.shown("DB_PASSWORD", ""), "");
    }
}
