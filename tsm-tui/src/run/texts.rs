//! Texts: what commands of tsm print, and the processes of a service.

use std::fmt::Write as _;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender, SyncSender};

use tsm_core::error::BestEffort as _;
use tsm_core::probe::{Member, tree};
use tsm_core::words::{duration, size};

use super::Commands;
use crate::message::{Message, TextOf, TextWish};

/// Begins to read what is wished; of several wishes that wait, only the last counts.
pub(super) fn spawn(commands: Arc<dyn Commands>, say: SyncSender<Message>) -> Sender<TextWish> {
    let (wish, wishes) = mpsc::channel::<TextWish>();
    std::thread::spawn(move || {
        while let Ok(first) = wishes.recv() {
            let wish = wishes.try_iter().last().unwrap_or(first);
            let text = match &wish.text {
                TextOf::Commands(all) => printed(&*commands, all, wish.columns),
                TextOf::Tree(None) => Vec::new(),
                TextOf::Tree(Some(leader)) => match tree(*leader) {
                    Ok(members) => draw(&members).into_bytes(),
                    Err(error) => format!("cannot read /proc: {error}").into_bytes(),
                },
            };
            if say.send(Message::Text { wish, text }).is_err() {
                return;
            }
        }
    });
    wish
}

/// What commands print one after the other, an empty line between them.
fn printed(commands: &dyn Commands, all: &[Vec<String>], columns: u16) -> Vec<u8> {
    let mut text = Vec::new();
    for words in all {
        let output = super::command(commands, words, columns)
            .and_then(|mut command| command.stdin(Stdio::null()).output());
        if !text.is_empty() {
            text.push(b'\n');
        }
        match output {
            Ok(output) => {
                text.extend(output.stdout);
                text.extend(output.stderr);
            }
            Err(error) => text.extend(format!("cannot run tsm: {error}\n").bytes()),
        }
    }
    text
}

/// A tree in lines: what each process uses, and below whom it is.
pub(super) fn draw(members: &[Member]) -> String {
    if members.is_empty() {
        return String::new();
    }
    let mut text = String::from("    PID  CPU TIME     MEM  THREADS      AGE  COMMAND\n");
    // Whether an ancestor at each depth has siblings to come.
    let mut open: Vec<bool> = Vec::new();
    for member in members {
        open.truncate(member.depth.saturating_sub(1));
        let mut branch = String::new();
        if member.depth > 0 {
            for &has_next in &open {
                branch.push_str(if has_next { "│  " } else { "   " });
            }
            branch.push_str(if member.has_next {
                "├─ "
            } else {
                "└─ "
            });
            open.push(member.has_next);
        }
        writeln!(
            text,
            "{:>7}  {:>8}  {:>6}  {:>7}  {:>7}  {branch}{}",
            member.pid,
            cpu_time(member.cpu_ms),
            size(member.memory_bytes),
            member.threads,
            duration(member.age_ms),
            member.command
        )
        .best_effort("a String takes everything");
    }
    text
}

/// CPU time as `ps` has it: minutes, seconds and hundredths.
fn cpu_time(ms: u64) -> String {
    format!("{}:{:02}.{:02}", ms / 60_000, ms / 1000 % 60, ms / 10 % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_hang_below_their_parents() {
        let member = |pid, depth, has_next, command: &str| Member {
            pid,
            depth,
            has_next,
            command: command.to_owned(),
            memory_bytes: 3 << 20,
            cpu_ms: 61_230,
            threads: 2,
            age_ms: 90_000,
        };
        let members = [
            member(10, 0, false, "sh run.sh"),
            member(11, 1, true, "node a.js"),
            member(12, 2, false, "worker"),
            member(13, 1, false, "tail"),
        ];
        let expected = "    PID  CPU TIME     MEM  THREADS      AGE  COMMAND
     10   1:01.23    3.0M        2      90s  sh run.sh
     11   1:01.23    3.0M        2      90s  ├─ node a.js
     12   1:01.23    3.0M        2      90s  │  └─ worker
     13   1:01.23    3.0M        2      90s  └─ tail
";
        assert_eq!(draw(&members), expected);
        assert_eq!(draw(&[]), "");
    }
}
