//! The pages are true: what is shown runs, links lead somewhere, and what is named is there.
//!
//! A block that begins with ```` ```console ```` is run: its lines that begin with `$ `, in one bash for all of a section, in a
//! home of its own. Each has to end with exit status 0, or that of a comment `# exit status N`; what stands below it has to be
//! what it prints, whatever the numbers are, and `…` stands for anything. A block whose first line names a file
//! (```` ```yaml tspm.yaml ````) is that file. `<!-- needs: PROGRAM…; ports: PORT… -->` in a section says what it needs, and which
//! numbers stand for any port that is free.

mod running;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::bed::Bed;
use running::{sections, try_out};

fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    let path = repository().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|found| found == extension)
}

/// All pages, by their path in the repository.
fn pages() -> Vec<String> {
    let mut pages = Vec::new();
    for directory in ["", "docs/"] {
        for entry in fs::read_dir(repository().join(directory)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if has_extension(&name, "md") {
                pages.push(format!("{directory}{name}"));
            }
        }
    }
    pages.sort();
    assert!(
        pages.contains(&"README.md".to_owned()) && pages.contains(&"docs/recipes.md".to_owned())
    );
    pages
}

/// A line of a page, and the first line of the block that it stands in.
fn lines(page: &str) -> Vec<(Option<&str>, &str)> {
    let mut found = Vec::new();
    let mut block = None;
    for line in page.lines() {
        if let Some(info) = line.trim_start().strip_prefix("```") {
            block = if block.is_none() {
                Some(info.trim())
            } else {
                None
            };
        } else {
            found.push((block, line));
        }
    }
    found
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = heading.chars().filter_map(|char| match char {
        ' ' => Some('-'),
        '-' | '_' => Some(char),
        _ if char.is_alphanumeric() => Some(char),
        _ => None,
    });
    kept.collect()
}

fn anchors(page: &str) -> Vec<String> {
    let lines = lines(page).into_iter();
    let headings = lines.filter(|(block, line)| block.is_none() && line.starts_with('#'));
    headings.map(|(_, line)| anchor(line)).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut nowhere = Vec::new();
    for name in pages() {
        let page = read(&name);
        let directory = repository().join(&name).parent().unwrap().to_owned();
        let text = lines(&page)
            .into_iter()
            .filter(|(block, _)| block.is_none());
        for (_, line) in text {
            for part in line.split("](").skip(1) {
                let target = part.split(')').next().unwrap_or_default();
                if target.contains("://") || target.starts_with("mailto:") || target.contains('`') {
                    continue;
                }
                let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
                let file = if path.is_empty() {
                    repository().join(&name)
                } else {
                    directory.join(path)
                };
                let is_there = file.exists()
                    && (fragment.is_empty()
                        || anchors(&fs::read_to_string(&file).unwrap_or_default())
                            .contains(&fragment.to_owned()));
                if !is_there {
                    nowhere.push(format!("{name}: {target}"));
                }
            }
        }
    }
    assert!(nowhere.is_empty(), "{nowhere:#?}");
}

/// What stands between backticks outside of blocks.
fn spans(page: &str) -> Vec<String> {
    let text = lines(page).into_iter().filter(|(block, _)| block.is_none());
    let of_line = |line: &str| {
        let odd = line.split('`').skip(1).step_by(2);
        odd.map(str::to_owned).collect::<Vec<_>>()
    };
    text.flat_map(|(_, line)| of_line(line)).collect()
}

#[test]
fn every_file_that_is_named_is_there() {
    let roots = [
        "tests/",
        "examples/",
        "docs/",
        "benches/",
        "tsm-core/",
        "tsm-cli/",
        "fuzz/",
        "shell/",
    ];
    let mut missing = Vec::new();
    for name in pages() {
        // What was is told there.
        if name == "CHANGELOG.md" {
            continue;
        }
        for span in spans(&read(&name)) {
            let is_path = roots.iter().any(|root| span.starts_with(root))
                && span
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "/_.-".contains(c));
            if is_path && !repository().join(&span).exists() {
                missing.push(format!("{name}: {span}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_promise_names_a_test_that_is_there() {
    let page = read("docs/promises.md");
    let mut named = 0;
    for line in page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| ---"))
    {
        let tests: Vec<String> = spans(line)
            .into_iter()
            .filter(|span| span.contains("::"))
            .collect();
        assert!(
            line.contains("shown by") || !tests.is_empty(),
            "no test shows: {line}"
        );
        for test in tests {
            let (file, name) = test.split_once("::").unwrap();
            let source = read(&format!("tests/{file}.rs"));
            let defined = format!("#[test]\nfn {name}()");
            assert!(
                source.contains(&defined),
                "docs/promises.md: there is no test {test}"
            );
            named += 1;
        }
    }
    assert!(named > 60, "{named}");
}

/// The variants of an enum, in the words that JSON has for them.
fn variants(file: &str, named: &str) -> Vec<String> {
    let source = read(file);
    let begin = format!("pub enum {named} {{\n");
    let (_, rest) = source.split_once(&begin).unwrap();
    let (body, _) = rest.split_once("\n}\n").unwrap();
    let lines = body.lines().filter_map(|line| line.strip_prefix("    "));
    let variants = lines.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    let kebab = |line: &str| {
        let name = line.chars().take_while(char::is_ascii_alphanumeric);
        let mut word = String::new();
        for (at, char) in name.enumerate() {
            if char.is_ascii_uppercase() && at > 0 {
                word.push('-');
            }
            word.push(char.to_ascii_lowercase());
        }
        word
    };
    let found: Vec<String> = variants.map(kebab).collect();
    assert!(found.len() > 3, "{file} {named}: {found:?}");
    found
}

#[test]
fn every_finding_cause_event_and_field_is_explained() {
    let mut missing = Vec::new();
    let mut look = |page: &str, words: Vec<String>| {
        let text = read(page);
        for word in words {
            let quote = if has_extension(page, "json") {
                '"'
            } else {
                '`'
            };
            let told = text.contains(&format!("{quote}{word}{quote}"))
                || (page.ends_with("history.json") && text.contains(&word));
            if !told {
                missing.push(format!("{page}: {word}"));
            }
        }
    };
    let kinds = variants("tsm-core/src/doctor.rs", "Kind");
    look("docs/troubleshooting.md", kinds.clone());
    look("tsm-cli/schemas/doctor.json", kinds);
    let causes = variants("tsm-core/src/why.rs", "Cause");
    look("docs/troubleshooting.md", causes.clone());
    look("tsm-cli/schemas/why.json", causes);
    let events = variants("tsm-core/src/events.rs", "EventKind");
    look("docs/on-disk-format.md", events.clone());
    look("tsm-cli/schemas/history.json", events);
    let meta = read("tsm-format/src/meta.rs");
    let (_, known) = meta.split_once("const KNOWN").unwrap();
    let (known, _) = known.split_once("];").unwrap();
    let fields = known.split('"').skip(1).step_by(2).map(str::to_owned);
    look("docs/on-disk-format.md", fields.collect());
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_variable_of_ours_is_explained() {
    // Between processes of TSM, of its tests, and of the hooks' shells.
    let inner = [
        "TSM_BASH_ENV",
        "TSM_ENV_FILE",
        "TSM_EXITED",
        "TSM_FAIL_POINT",
        "TSM_KILLED_BEFORE",
        "TSM_KILLED_GUARDIAN",
        "TSM_S",
        "TSM_SENTINEL",
        "TSM_STATE_FD",
        "TSM_STOP_SERVICES",
        "TSM_STORE_FD",
        "TSM_UNIT",
        "TSM_UNIT_STANDING",
        "TSM_UPGRADE",
        "TSM_ZDOTDIR",
        "TSM_ZSH_STATE",
    ];
    let page = read("docs/tasks.md");
    let mut seen = BTreeSet::new();
    for top in [
        "tsm-format/src",
        "tsm-core/src",
        "tsm-cli/src",
        "tsm-repl/src",
        "tsm-tui/src",
    ] {
        let mut directories = vec![repository().join(top)];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                    continue;
                }
                let source = fs::read_to_string(&path).unwrap();
                for part in source.split("\"TSM_").skip(1) {
                    let is_of_it = |c: char| c.is_ascii_uppercase() || c == '_';
                    let end = part.find(|c| !is_of_it(c)).unwrap_or(part.len());
                    seen.insert(format!("TSM_{}", &part[..end]));
                }
            }
        }
    }
    assert!(seen.len() > 15, "{seen:?}");
    let explained =
        |name: &String| inner.contains(&name.as_str()) || page.contains(&format!("`{name}`"));
    let missing: Vec<_> = seen.iter().filter(|name| !explained(name)).collect();
    assert!(missing.is_empty(), "not in docs/tasks.md: {missing:?}");
}

#[test]
fn every_module_is_on_the_map() {
    let map = read("ARCHITECTURE.md");
    let mut missing = Vec::new();
    for directory in ["tsm-core/src", "tsm-core/src/supervise"] {
        for entry in fs::read_dir(repository().join(directory)).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            let Some(name) = file.strip_suffix(".rs") else {
                continue;
            };
            let is_of_tests = ["lib", "api"].contains(&name) || name.ends_with("_tests");
            let is_there =
                map.contains(&format!("`{name}`")) || map.contains(&format!("::{name}`"));
            if !is_of_tests && !is_there {
                missing.push(format!("{directory}/{file}"));
            }
        }
    }
    assert!(missing.is_empty(), "not in ARCHITECTURE.md: {missing:#?}");
}

/// The words of a line of shell that `tsm` gets, if it gets some.
fn words_of_tsm(line: &str) -> Option<Vec<String>> {
    let line = line
        .trim()
        .trim_start_matches("$ ")
        .trim_start_matches("sudo ");
    let line = line.replace("\\|", "|");
    let line = line.strip_prefix("tsm ")?.split(" # ").next()?.to_owned();
    let words = shlex::split(&line)?;
    let shell = ["|", "&&", "||", ";", ">", "<"];
    let end = |word: &String| word == "--" || shell.contains(&word.as_str());
    Some(words.into_iter().take_while(|word| !end(word)).collect())
}

#[test]
fn every_command_and_option_that_is_named_is_there() {
    let bed = Bed::new();
    let mut seen = BTreeSet::new();
    for name in pages() {
        let page = read(&name);
        let in_blocks = lines(&page)
            .into_iter()
            .filter(|(block, _)| block.is_some());
        let in_blocks = in_blocks.map(|(_, line)| line.to_owned());
        for line in in_blocks.chain(spans(&page)) {
            if let Some(words) = words_of_tsm(&line) {
                seen.insert((words, name.clone()));
            }
        }
    }
    assert!(seen.len() > 50, "{seen:?}");
    let mut helps = std::collections::BTreeMap::new();
    let mut unknown = Vec::new();
    for (words, name) in seen {
        let is_word = |word: &&String| word.chars().all(|c| c.is_ascii_lowercase());
        let mut path: Vec<String> = words.iter().take(1).filter(is_word).cloned().collect();
        if ["env", "config", "supervisor"]
            .iter()
            .any(|above| path == [*above])
        {
            path.extend(words.get(1).filter(is_word).cloned());
        }
        let help = helps.entry(path.clone()).or_insert_with(|| {
            let mut args = path.clone();
            args.push("--help".to_owned());
            let output = bed.tsm(&args);
            (output.status == 0).then_some(output.stdout)
        });
        let Some(help) = help else {
            unknown.push(format!("{name}: tsm {}", words.join(" ")));
            continue;
        };
        for word in words.iter().filter(|word| word.starts_with("--")) {
            let option = word.split('=').next().unwrap().trim_end_matches(',');
            let is_there = help
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
                .any(|known| known == option);
            if !is_there {
                unknown.push(format!("{name}: {option} of tsm {}", path.join(" ")));
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

fn try_out_page(page: &str) {
    let text = read(page);
    let sections = sections(&text);
    assert!(!sections.is_empty(), "{page} shows no command");
    for section in &sections {
        println!("{page}: {}", section.title);
        try_out(page, section);
    }
}

#[test]
fn every_command_of_the_readme_runs() {
    try_out_page("README.md");
}

#[test]
fn every_recipe_runs() {
    try_out_page("docs/recipes.md");
}

#[test]
fn every_command_of_the_other_pages_runs() {
    let others = pages().into_iter().filter(|page| {
        let has_some = read(page).contains("\n```console\n");
        has_some && page != "README.md" && page != "docs/recipes.md"
    });
    others.for_each(|page| try_out_page(&page));
}
