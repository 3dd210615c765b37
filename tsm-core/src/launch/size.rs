//! How large arguments and environment may be (`execve(2)`, "Limits on size of arguments and environment").

use thiserror::Error;

use crate::env::Environment;
use crate::spec::ProcessSpec;
use crate::sys::{errno, limits};

/// The most bytes of one string, its NUL among them (`MAX_ARG_STRLEN`).
const LONGEST_STRING: usize = 128 << 10;
/// What all may have however low the limit of the stack is (`ARG_MAX`), and however high (three quarters of `_STK_LIM`).
const LEAST: u64 = 128 << 10;
const MOST: u64 = 6 << 20;
/// What TSM itself adds may need so much of it.
const OURS: usize = 4 << 10;

/// Arguments and environment are larger than the kernel takes. The words name the largest of them.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}; {largest}", std::io::Error::from_raw_os_error(errno::E2BIG))]
pub struct TooLarge {
    largest: String,
}

/// Whether the kernel takes what a program is to be given, so that nothing need be stopped to find out.
///
/// # Errors
/// Where it does not (`E2BIG` of `execve(2)`).
pub fn check_size(spec: &ProcessSpec, snapshot: &Environment) -> Result<(), TooLarge> {
    let words = spec.program.words.iter().map(|word| word.as_bytes().len());
    let variables = snapshot
        .iter()
        .map(|(name, value)| name.len() + value.len() + 1);
    let (mut longest, mut total) = (0, OURS);
    for length in words.chain(variables) {
        longest = longest.max(length + 1);
        // A pointer to each string counts as well.
        total += length + 1 + size_of::<usize>();
    }
    let stack = spec
        .rlimits
        .iter()
        .find(|limit| limit.resource == limits::STACK);
    let most = stack.map_or(MOST, |limit| (limit.soft / 4).clamp(LEAST, MOST));
    if longest <= LONGEST_STRING && total as u64 <= most {
        return Ok(());
    }
    Err(TooLarge {
        largest: largest_in_words(spec, snapshot),
    })
}

/// What of arguments and environment is the largest.
pub(super) fn largest_in_words(spec: &ProcessSpec, snapshot: &Environment) -> String {
    let arguments = spec.program.words.iter().enumerate();
    let arguments = arguments.map(|(at, word)| (word.as_bytes().len(), format!("argument {at}")));
    let variables = snapshot.iter().map(|(name, value)| {
        let words = format!("the variable {}", String::from_utf8_lossy(name));
        (name.len() + value.len() + 1, words)
    });
    let all: Vec<(usize, String)> = arguments.chain(variables).collect();
    let total: usize = all.iter().map(|(length, _)| length).sum();
    let Some((length, largest)) = all.into_iter().max() else {
        return "its arguments and environment are too large".to_owned();
    };
    let limit = if length + 1 > LONGEST_STRING {
        "one string may have 128 KiB".to_owned()
    } else {
        format!(
            "all have {} KiB together, which may be a quarter of the stack limit",
            total >> 10
        )
    };
    format!(
        "{limit}; the largest is {largest} with {} KiB",
        length >> 10
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_refuses_is_refused_before_and_nothing_less() {
        let program = crate::spec::Program {
            file: "/bin/x".into(),
            words: vec!["x".into()],
            shell_fallback: false,
        };
        let mut spec = ProcessSpec::new("x", program, "/");
        spec.rlimits = vec![limits::Limit {
            resource: limits::STACK,
            soft: 1 << 20,
            hard: u64::MAX,
        }];
        let with = |values: &[usize]| {
            let mut environment = Environment::new();
            for (number, length) in values.iter().enumerate() {
                let name = format!("V{number}");
                environment
                    .set(name.as_bytes(), &vec![b'x'; *length])
                    .unwrap();
            }
            check_size(&spec, &environment)
        };
        // `V0=` and the NUL.
        assert_eq!(with(&[LONGEST_STRING - 4]), Ok(()));
        let told = with(&[10, LONGEST_STRING - 3]).unwrap_err().to_string();
        assert!(
            told.contains("the largest is the variable V1 with 128 KiB"),
            "{told}"
        );
        assert_eq!(with(&[100 << 10, 100 << 10]), Ok(()));
        let told = with(&[100 << 10; 3]).unwrap_err().to_string();
        assert!(told.contains("a quarter of the stack limit"), "{told}");
    }
}
