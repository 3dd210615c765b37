use super::*;
use crate::home::Home;
use crate::store::replace_file;

const SOON: Option<Duration> = Some(Duration::from_secs(20));
const NOW: Option<Duration> = Some(Duration::ZERO);

fn record(home: &Home, name: &str, id: u32, state: &str) {
    let line = format!("script='x' pid= start_time=0 type=cli tsm_id={id} cwd='/' state={state}\n");
    let path = home.processes().join(format!("{name}.meta"));
    replace_file(&path, line.as_bytes()).unwrap();
}

fn told(change: &Change) -> String {
    match change {
        Change::Appeared(view) => format!("+{} {}", view.name, view.state),
        Change::Changed { before, now } => format!("{} {}>{}", now.name, before.state, now.state),
        Change::Removed(view) => format!("-{}", view.name),
        Change::LogGrew {
            name,
            stream,
            bytes,
        } => format!("{name} {stream:?} {bytes}"),
        Change::Supervised(yes) => format!("supervised {yes}"),
    }
}

/// The changes until there are as many as expected.
#[track_caller]
fn expect(watch: &mut Watch, expected: &[&str]) {
    let mut seen: Vec<String> = Vec::new();
    while seen.len() < expected.len() {
        let changes = watch.next_batch(SOON).unwrap();
        assert!(!changes.is_empty(), "only {seen:?} of {expected:?}");
        seen.extend(changes.iter().map(told));
    }
    assert_eq!(seen, expected);
    assert_eq!(watch.next_batch(NOW).unwrap(), []);
}

#[test]
fn records_that_come_change_and_go_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let home = Home::at(directory.path());
    home.prepare().unwrap();
    record(&home, "old", 1, "stopped");
    let mut watch = watch(ProcessStore::new(home.clone())).unwrap();
    assert_eq!(watch.processes().len(), 1);
    assert_eq!(watch.next_batch(NOW).unwrap(), []);
    record(&home, "api", 2, "stopped");
    expect(&mut watch, &["+api stopped"]);
    record(&home, "api", 2, "failed");
    expect(&mut watch, &["api stopped>failed"]);
    // Written again as it was.
    record(&home, "api", 2, "failed");
    assert_eq!(watch.next_batch(NOW).unwrap(), []);
    fs::remove_file(home.processes().join("old.meta")).unwrap();
    expect(&mut watch, &["-old"]);
    // A torn record hides nothing.
    fs::write(home.processes().join("api.meta"), "script='").unwrap();
    assert_eq!(watch.next_batch(NOW).unwrap(), []);
    assert_eq!(watch.processes().len(), 1);
    let damaged: Vec<_> = watch.damaged().map(|(name, _)| name.as_str()).collect();
    assert_eq!(damaged, ["api"]);
    record(&home, "api", 1, "stopped");
    watch.next_batch(NOW).unwrap();
    assert_eq!(watch.damaged().len(), 0);
}

#[test]
fn a_home_that_is_not_there_yet_is_waited_for_and_one_that_goes_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let home = Home::at(directory.path().join("a/b"));
    let mut watch = watch(ProcessStore::new(home.clone())).unwrap();
    assert_eq!(watch.processes().len(), 0);
    home.prepare().unwrap();
    record(&home, "api", 1, "stopped");
    expect(&mut watch, &["+api stopped"]);
    #[expect(clippy::disallowed_methods, reason = "the test made it")]
    fs::remove_dir_all(directory.path().join("a")).unwrap();
    expect(&mut watch, &["-api"]);
    home.prepare().unwrap();
    record(&home, "again", 1, "stopped");
    expect(&mut watch, &["+again stopped"]);
}

#[test]
fn logs_that_grow_are_told_where_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let home = Home::at(directory.path());
    home.prepare().unwrap();
    let mut quiet = watch(ProcessStore::new(home.clone())).unwrap();
    let mut watch = watch(ProcessStore::new(home.clone()))
        .unwrap()
        .with_logs()
        .unwrap();
    let name: ProcessName = "api".parse().unwrap();
    fs::write(home.out_log(&name), "hello\n").unwrap();
    fs::write(home.logs().join("api.out.idx"), "x").unwrap();
    expect(&mut watch, &["api Out 6"]);
    assert_eq!(quiet.next_batch(NOW).unwrap(), []);
}
