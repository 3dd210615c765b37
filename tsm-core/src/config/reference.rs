//! The reference of all keys for people, made from the same tables that files are checked by.

use super::keys::{Fate, Key, Kind, PROCESS, TOP};

/// All keys as tables of Markdown: those at the top of a file, those of a process, those of each map in it, and what is
/// refused.
pub fn reference() -> String {
    let mut lines = Vec::new();
    let mut seen = Vec::new();
    table("At the top of a file", TOP, &mut seen, &mut lines);
    table("A process", PROCESS, &mut seen, &mut lines);
    lines.extend(
        [
            "### What is refused",
            "",
            "| key | instead |",
            "| --- | --- |",
        ]
        .map(str::to_owned),
    );
    let refused = TOP.iter().chain(PROCESS).filter_map(|key| match key.fate {
        Fate::Refused(instead) => Some((key.name, instead)),
        Fate::Acts => None,
    });
    lines.extend(refused.map(|(name, instead)| format!("| `{name}` | {} |", cell(instead))));
    lines.join("\n") + "\n"
}

fn table(title: &str, keys: &'static [Key], seen: &mut Vec<*const Key>, lines: &mut Vec<String>) {
    if seen.contains(&keys.as_ptr()) {
        return;
    }
    seen.push(keys.as_ptr());
    lines.extend([format!("### {title}"), String::new()]);
    lines.extend(["| key | takes | means |", "| --- | --- | --- |"].map(str::to_owned));
    let acting = keys.iter().filter(|key| key.fate == Fate::Acts);
    for key in acting.clone() {
        let names = std::iter::once(&key.name).chain(key.aliases);
        let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
        let (names, takes) = (names.join(", "), cell(&key.kind.in_words()));
        lines.push(format!("| {names} | {takes} | {} |", cell(key.about)));
    }
    lines.push(String::new());
    for key in acting {
        if let Kind::Map(inner) | Kind::OrMap(_, inner) = key.kind
            && !std::ptr::eq(inner, PROCESS)
        {
            table(&format!("`{}`", key.name), inner, seen, lines);
        }
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `SNAPSHOTS=overwrite cargo test -p tsm-core reference` writes it anew.
    #[test]
    fn the_page_has_every_key() {
        const BEGIN: &str = "<!-- keys: begin, made from the tables of tsm-core::config -->\n";
        const END: &str = "<!-- keys: end -->\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/config.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (head, rest) = page.split_once(BEGIN).unwrap();
        let (keys, tail) = rest.split_once(END).unwrap();
        let reference = format!("\n{}\n", reference());
        if std::env::var_os("SNAPSHOTS").is_some_and(|how| how == "overwrite") {
            std::fs::write(path, format!("{head}{BEGIN}{reference}{END}{tail}")).unwrap();
            return;
        }
        assert!(
            keys == reference,
            "docs/config.md is not what the tables of keys say"
        );
    }
}
