//! Which changes of files count for a process, and waiting for one. All of it happens in a thread that waits in the kernel:
//! while nothing changes, nothing is done, however many files there are.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use glob::{MatchOptions, Pattern};
use ignore::WalkBuilder;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::error::{BestEffort as _, Error, Result};
use crate::spec::WatchSpec;

/// What never counts unless it is named: what package managers and editors leave about.
const USUAL_IGNORES: [&str; 6] = [
    "node_modules/",
    "__pycache__/",
    "*.swp",
    "*~",
    // vim makes a file of this name to find out whether it can write into a directory.
    "4913",
    "*.tmp",
];
const IGNORE_FILES: [&str; 2] = [".gitignore", ".ignore"];

/// Where it never becomes quiet, a change acts after so many times as long as it was to be quiet …
const AT_MOST_TIMES: u32 = 10;
/// … and after this time, unless it is to be quiet for longer than that.
const AT_MOST: Duration = Duration::from_secs(5);

/// How long a change waits at most until it acts.
fn longest_wait(debounce: Duration) -> Duration {
    debounce
        // Changes that never stop must not put a restart off for good.
        .saturating_mul(AT_MOST_TIMES)
        .min(AT_MOST)
        .max(debounce)
}

/// What the thread is told.
pub(super) enum News {
    Event(notify::Result<notify::Event>),
    Stop,
}

/// Ends the waiting when it goes.
pub(super) struct Watching(Sender<News>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0
            .send(News::Stop)
            .best_effort("where nobody waits any more, nobody has to be told");
    }
}

/// What is watched, and what was asked for.
pub(super) struct Watched {
    watcher: RecommendedWatcher,
    news: Receiver<News>,
    wanted: Vec<Wanted>,
    root: PathBuf,
    own: Gitignore,
    ignores: Vec<(PathBuf, Gitignore)>,
    /// The home: what TSM writes is no change.
    home: PathBuf,
    debounce: Duration,
}

enum Wanted {
    /// All below a directory, or one file.
    Path(PathBuf),
    Glob(Pattern),
}

impl Wanted {
    fn matches(&self, path: &Path) -> bool {
        const OPTIONS: MatchOptions = MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: false,
        };
        match self {
            Self::Path(wanted) => path.starts_with(wanted),
            Self::Glob(pattern) => pattern.matches_path_with(path, OPTIONS),
        }
    }
}

impl Watched {
    /// Begins to watch what `spec` asks for, from the directory `cwd`.
    ///
    /// # Errors
    /// [`Error::BadValue`] for patterns that are none, and where the system watches no more files.
    pub(super) fn begin(spec: &WatchSpec, cwd: &Path, home: &Path) -> Result<(Self, Watching)> {
        let wrong = |what: &str, error: &dyn std::fmt::Display| {
            Error::bad_value("watch", format!("{what}: {error}"))
        };
        let (say, news) = mpsc::channel();
        let stop = Watching(say.clone());
        let watcher = notify::recommended_watcher(move |event| {
            say.send(News::Event(event))
                .best_effort("where nobody listens, nothing is watched any more");
        })
        .map_err(|error| wrong("cannot watch files", &error))?;
        let mut own = GitignoreBuilder::new(cwd);
        for line in spec.ignore.iter().map(String::as_str).chain(USUAL_IGNORES) {
            own.add_line(None, line)
                .map_err(|error| wrong(line, &error))?;
        }
        let mut watched = Self {
            watcher,
            news,
            wanted: Vec::new(),
            root: cwd.to_owned(),
            own: own.build().map_err(|error| wrong("ignore", &error))?,
            ignores: Vec::new(),
            home: home.to_owned(),
            debounce: Duration::from_millis(spec.debounce_ms),
        };
        let mut roots = Vec::new();
        let everything = [".".to_owned()];
        let paths = if spec.paths.is_empty() {
            &everything[..]
        } else {
            &spec.paths
        };
        for path in paths {
            // Without `.` and doubled slashes, as the events have it.
            let whole: PathBuf = cwd.join(path).components().collect();
            if path.contains(['*', '?', '[']) {
                let pattern = whole.to_string_lossy();
                let pattern = Pattern::new(&pattern).map_err(|error| wrong(path, &error))?;
                watched.wanted.push(Wanted::Glob(pattern));
                // The part before the first wildcard is where the watch begins.
                let fixed = whole.components().take_while(|part| {
                    !part.as_os_str().to_string_lossy().contains(['*', '?', '['])
                });
                roots.push(fixed.collect());
            } else {
                // A file is watched through its directory, since editors replace the file.
                let directory = whole.is_dir();
                let parent = whole.parent().unwrap_or(cwd).to_owned();
                roots.push(if directory { whole.clone() } else { parent });
                watched.wanted.push(Wanted::Path(whole));
            }
        }
        for root in roots {
            watched.watch_below(&root)?;
        }
        Ok((watched, stop))
    }

    /// Watches a directory and what is below it, as far as it counts. Returns whether there is a file that counts.
    fn watch_below(&mut self, root: &Path) -> Result<bool> {
        let (own, home) = (self.own.clone(), self.home.clone());
        let walk = WalkBuilder::new(root)
            .require_git(false)
            .filter_entry(move |entry| {
                let directory = entry.file_type().is_some_and(|kind| kind.is_dir());
                // The home changes all the time, by our own records and logs: restarts would never
                // end.
                entry.path() != home && !own.matched(entry.path(), directory).is_ignore()
            })
            .build();
        let mut any = false;
        for entry in walk.flatten() {
            let path = entry.path();
            if !entry.file_type().is_some_and(|kind| kind.is_dir()) {
                any |= self.wanted.iter().any(|wanted| wanted.matches(path));
                continue;
            }
            if !self.is_of_interest(path) {
                continue;
            }
            self.read_ignores(path);
            // One by one: a recursive watch would include all that is ignored, such as
            // `node_modules`.
            self.watcher
                .watch(path, RecursiveMode::NonRecursive)
                .map_err(|error| {
                    let reason = format!(
                        "cannot watch {}: {error}; sysctl fs.inotify.max_user_watches bounds it",
                        path.display()
                    );
                    Error::bad_value("watch", reason)
                })?;
        }
        Ok(any)
    }

    /// Whether something wanted may be in or below a directory.
    fn is_of_interest(&self, directory: &Path) -> bool {
        self.wanted.iter().any(|wanted| match wanted {
            Wanted::Path(path) => directory.starts_with(path) || path.parent() == Some(directory),
            Wanted::Glob(_) => true,
        })
    }

    fn read_ignores(&mut self, directory: &Path) {
        self.ignores.retain(|(known, _)| known != directory);
        let mut builder = GitignoreBuilder::new(directory);
        let mut any = false;
        for name in IGNORE_FILES {
            let file = directory.join(name);
            if file.is_file() {
                // A line that cannot be read ignores nothing.
                any |= builder.add(&file).is_none();
            }
        }
        if let Some(built) = any.then(|| builder.build().ok()).flatten() {
            self.ignores.push((directory.to_owned(), built));
        }
    }

    fn is_ignored(&self, path: &Path, directory: bool) -> bool {
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        let hidden = below
            .components()
            .any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."));
        let named = self
            .wanted
            .iter()
            .any(|wanted| matches!(wanted, Wanted::Path(wanted) if wanted == path));
        if named {
            // Whoever names a file means it, even if it is hidden or ignored.
            return false;
        }
        let by_own = path.starts_with(&self.root)
            && self
                .own
                .matched_path_or_any_parents(path, directory)
                .is_ignore();
        if hidden || by_own || path.starts_with(&self.home) {
            return true;
        }
        // The nearest one decides, as in git.
        let mut nearest: Vec<_> = self
            .ignores
            .iter()
            .filter(|(place, _)| path.starts_with(place))
            .collect();
        crate::sorted::by_key(&mut nearest, |(directory, _)| {
            std::cmp::Reverse(directory.as_os_str().len())
        });
        for (_, ignore) in nearest {
            let found = ignore.matched_path_or_any_parents(path, directory);
            if !found.is_none() {
                return found.is_ignore();
            }
        }
        false
    }

    /// Waits until something has changed that counts, and then until it is quiet, but not for ever. `None`: nobody wants to
    /// know any more.
    pub(super) fn next(&mut self) -> Option<PathBuf> {
        /// What changed first, until when it has to be quiet, and when it acts at the latest.
        struct Changed {
            path: PathBuf,
            quiet: Instant,
            latest: Instant,
        }
        let mut changed: Option<Changed> = None;
        loop {
            let news = match &changed {
                None => self.news.recv().ok(),
                Some(changed) => {
                    let until = changed.quiet.min(changed.latest);
                    let left = until.saturating_duration_since(Instant::now());
                    // What has come already is taken without waiting: that alone might never end.
                    if left.is_zero() {
                        return Some(changed.path.clone());
                    }
                    match self.news.recv_timeout(left) {
                        Ok(news) => Some(news),
                        Err(RecvTimeoutError::Timeout) => return Some(changed.path.clone()),
                        Err(RecvTimeoutError::Disconnected) => None,
                    }
                }
            };
            let event = match news? {
                News::Stop => return None,
                News::Event(event) => event,
            };
            if let Some(path) = self.changed_by(event) {
                // The first path is the one that is told; the last change decides when it is quiet.
                let now = Instant::now();
                let (path, latest) = match changed {
                    Some(first) => (first.path, first.latest),
                    None => (path, now + longest_wait(self.debounce)),
                };
                changed = Some(Changed {
                    path,
                    quiet: now + self.debounce,
                    latest,
                });
            }
        }
    }

    fn changed_by(&mut self, event: notify::Result<notify::Event>) -> Option<PathBuf> {
        let Ok(event) = event else { return None };
        if event.need_rescan() {
            // There was too much at once for the kernel to tell, so something has changed for sure.
            let root = self.root.clone();
            self.watch_below(&root).best_effort(
                "what changed is told; what is new in it is watched with the next change",
            );
            return Some(root);
        }
        let counts = match event.kind {
            EventKind::Create(_) | EventKind::Remove(_) | EventKind::Any => true,
            EventKind::Modify(kind) => !matches!(kind, ModifyKind::Metadata(_)),
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
            EventKind::Access(_) | EventKind::Other => false,
        };
        if !counts {
            return None;
        }
        let mut found = None;
        for path in event.paths {
            if IGNORE_FILES.iter().any(|name| path.ends_with(name)) {
                let directory = path.parent().map(Path::to_owned);
                self.read_ignores(&directory.unwrap_or_default());
                // An ignore file says what counts, and is no change by itself.
                continue;
            }
            // `data/` in an ignore file means a directory of that name only.
            let directory = path.is_dir();
            if self.is_ignored(&path, directory) {
                continue;
            }
            if directory {
                // New, or moved here: what is in it may be of interest and came before there was a
                // watch.
                let fresh = matches!(
                    event.kind,
                    EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(_))
                );
                if fresh && self.is_of_interest(&path) && self.watch_below(&path).unwrap_or(false) {
                    found.get_or_insert(path);
                }
                continue;
            }
            if self.wanted.iter().any(|wanted| wanted.matches(&path)) {
                found.get_or_insert(path);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with these files, watched; what comes next is looked for in a thread.
    fn watch(spec: &WatchSpec, files: &[(&str, &str)]) -> (tempfile::TempDir, Watched, Watching) {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let home = directory.path().join("home");
        let (watched, stop) = Watched::begin(spec, directory.path(), &home).unwrap();
        (directory, watched, stop)
    }

    fn spec(paths: &[&str], ignore: &[&str]) -> WatchSpec {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        WatchSpec {
            paths: owned(paths),
            ignore: owned(ignore),
            debounce_ms: 20,
            signal: None,
        }
    }

    /// Changes these files one after the other, and says which one is the first that counts.
    fn first(directory: &Path, watched: &mut Watched, files: &[&str]) -> String {
        for file in files {
            let path = directory.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "changed").unwrap();
        }
        let path = watched.next().unwrap();
        let path = path.strip_prefix(directory).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn what_git_ignores_and_what_is_hidden_does_not_count() {
        let files = [
            (".gitignore", "build/\n*.log\n"),
            ("src/.gitignore", "!kept.log\n"),
            ("src/a.js", ""),
            ("build/out.js", ""),
            ("node_modules/x/index.js", ""),
        ];
        let (directory, mut watched, _stop) = watch(&spec(&[], &[]), &files);
        let changes = [
            "build/out.js",
            "app.log",
            ".hidden",
            "node_modules/x/index.js",
            "home/logs/a.out",
            "src/.a.js.swp",
            "src/a.js",
        ];
        assert_eq!(first(directory.path(), &mut watched, &changes), "src/a.js");
        let changes = ["src/other.log", "src/kept.log"];
        assert_eq!(
            first(directory.path(), &mut watched, &changes),
            "src/kept.log"
        );
    }

    #[test]
    fn a_tree_that_never_becomes_quiet_acts_all_the_same() {
        let seconds = Duration::from_secs;
        assert_eq!(longest_wait(Duration::from_millis(100)), seconds(1));
        assert_eq!(longest_wait(seconds(1)), seconds(5));
        assert_eq!(longest_wait(seconds(60)), seconds(60));
        let (directory, mut watched, _stop) = watch(&spec(&[], &[]), &[("a", "")]);
        // Longer than this test may take: only the longest wait can end it.
        watched.debounce = Duration::from_millis(300);
        let path = directory.path().join("a");
        let (end, ended) = mpsc::channel::<()>();
        let writer = std::thread::spawn(move || {
            let mut number = 0;
            while ended.recv_timeout(Duration::from_millis(20)).is_err() {
                number += 1;
                std::fs::write(&path, number.to_string()).unwrap();
            }
            number
        });
        let (say, said) = mpsc::channel();
        std::thread::spawn(move || say.send(watched.next()));
        let path = said.recv_timeout(seconds(60)).unwrap().unwrap();
        assert!(path.ends_with("a"), "{}", path.display());
        end.send(()).unwrap();
        assert!(writer.join().unwrap() > 1);
    }

    #[test]
    fn globs_and_single_files_count_and_nothing_else() {
        let files = [
            ("src/a/b.ts", ""),
            ("src/a/b.css", ""),
            ("conf/app.yml", ""),
        ];
        let (directory, mut watched, _stop) = watch(
            &spec(&["src/**/*.ts", "conf/app.yml"], &["*.test.ts"]),
            &files,
        );
        let changes = [
            "src/a/b.css",
            "src/a/x.test.ts",
            "conf/other.yml",
            "README",
            "src/a/b.ts",
        ];
        assert_eq!(
            first(directory.path(), &mut watched, &changes),
            "src/a/b.ts"
        );
        // As editors do it.
        let new = directory.path().join("conf/app.yml.new");
        std::fs::write(&new, "changed").unwrap();
        std::fs::rename(&new, directory.path().join("conf/app.yml")).unwrap();
        let path = watched.next().unwrap();
        assert!(path.ends_with("conf/app.yml"), "{}", path.display());
    }

    #[test]
    fn what_comes_in_a_new_directory_counts() {
        let (directory, mut watched, _stop) = watch(&spec(&[], &[]), &[("a", "")]);
        let changed = first(directory.path(), &mut watched, &["new/deep/b"]);
        assert!(changed.starts_with("new"), "{changed}");
        assert_eq!(
            first(directory.path(), &mut watched, &["new/deep/c"]),
            "new/deep/c"
        );
    }

    #[test]
    fn the_end_of_the_watching_ends_the_wait() {
        let (_directory, mut watched, stop) = watch(&spec(&[], &[]), &[("a", "")]);
        drop(stop);
        assert_eq!(watched.next(), None);
    }
}
