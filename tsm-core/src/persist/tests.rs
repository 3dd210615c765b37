use super::*;
use crate::spec::Program;
use proptest::prelude::*;

fn saved(name: &str, id: u32, up: bool) -> Saved {
    let program = Program {
        file: "sleep".into(),
        words: vec!["sleep".into(), "9".into()],
        shell_fallback: false,
    };
    Saved {
        name: name.parse().unwrap(),
        id,
        up,
        spec: ProcessSpec::new("sleep", program, "/"),
        environment: vec!["A=1".into(), Text::from_bytes(*b"B=\xff\n")],
        shell: None,
    }
}

fn dump(processes: Vec<Saved>) -> Dump {
    Dump {
        version: DUMP_VERSION,
        saved_at: rfc3339(0),
        boot: "b".to_owned(),
        processes,
    }
}

fn home() -> (tempfile::TempDir, Home) {
    let directory = tempfile::tempdir().unwrap();
    let home = Home::at(directory.path().join("home"));
    home.prepare().unwrap();
    (directory, home)
}

#[test]
fn a_dump_is_read_as_it_was_written_and_the_one_before_is_kept() {
    let (_directory, home) = home();
    let path = home.dump();
    assert_eq!(Dump::read(&path).unwrap(), None);
    let (first, second) = (
        dump(vec![saved("a", 1, true)]),
        dump(vec![saved("b", 2, false)]),
    );
    first.replace(&home).unwrap();
    second.replace(&home).unwrap();
    assert_eq!(Dump::read(&path).unwrap(), Some(second.clone()));
    assert_eq!(Dump::read(&previous(&path)).unwrap(), Some(first));
    let environment = second.processes[0].snapshot().unwrap().environment;
    assert_eq!(environment.get(b"B"), Some(&b"\xff\n"[..]));
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn one_that_is_torn_foreign_or_newer_is_named_with_the_remedy_and_kept() {
    let (_directory, home) = home();
    let path = home.dump();
    let told = |text: &str| {
        fs::write(&path, text).unwrap();
        Dump::read(&path).unwrap_err().to_string()
    };
    let whole = String::from_utf8(dump(vec![saved("a", 1, true)]).to_json()).unwrap();
    assert!(told(&whole[..whole.len() / 2]).contains("it is torn"));
    assert!(told("{\"a\": {\"pid\": 1, \"config\": {}}}").contains("it is no dump of TSM"));
    assert!(told("[]").contains("it is no dump of TSM"));
    assert!(told("{\"version\": 2}").contains("newer than this TSM"));
    assert!(told("{\"version\": 2}").contains("'tsm save' writes a new one"));
    assert!(told(&whole.replace("A=1", "A")).contains("'a': environment: entry 0"));
    let foreign = "{\"a\": {\"pid\": 1}}";
    fs::write(&path, foreign).unwrap();
    dump(Vec::new()).replace(&home).unwrap();
    let kept = fs::read_to_string(path.with_extension("json.tspm")).unwrap();
    assert_eq!(kept, foreign);
}

#[test]
fn the_records_decide_and_the_dump_adds_what_has_none() {
    let name = |text: &str| text.parse::<ProcessName>().unwrap();
    let records = [
        (name("wanted"), true, false),
        (name("running"), true, true),
        (name("stopped"), false, false),
        (name("extra"), true, true),
    ];
    let dump = dump(vec![
        saved("wanted", 1, false),
        saved("running", 2, true),
        saved("stopped", 3, true),
        saved("lost", 4, true),
        saved("lost-down", 5, false),
        saved("deleted", 6, true),
    ]);
    let deleted = HashSet::from([6]);
    let steps = |mode: &Mode| -> Vec<(String, Step)> {
        let steps = plan(&records, Some(&dump), &deleted, mode);
        steps.into_iter().map(|(n, s)| (n.to_string(), s)).collect()
    };
    let (up, down) = (
        Step::Restore { start: true },
        Step::Restore { start: false },
    );
    let expected = |steps: &[(&str, Step)]| -> Vec<(String, Step)> {
        steps.iter().map(|(n, s)| ((*n).to_owned(), *s)).collect()
    };
    let person = Mode::default();
    assert_eq!(
        steps(&person),
        expected(&[
            ("wanted", Step::Start),
            ("lost", up),
            ("lost-down", down),
            ("deleted", up)
        ])
    );
    let boot = Mode {
        boot: true,
        exact: false,
        import: false,
    };
    assert_eq!(
        steps(&boot),
        expected(&[("wanted", Step::Start), ("lost", up), ("lost-down", down)])
    );
    let exact = Mode {
        boot: false,
        exact: true,
        import: false,
    };
    assert_eq!(
        steps(&exact),
        expected(&[
            ("stopped", Step::Start),
            ("extra", Step::Stop),
            ("lost", up),
            ("lost-down", down),
            ("deleted", up)
        ])
    );
}

#[test]
fn what_was_deleted_is_noted_until_no_dump_lists_it() {
    let (_directory, home) = home();
    assert!(deleted_since(&home).is_empty());
    fs::create_dir_all(home.processes()).unwrap();
    let line =
        |id: u32| format!("{{\"at\":\"2026-01-01T00:00:00Z\",\"name\":\"web\",\"id\":{id}}}\n");
    fs::write(home.deleted(), line(1) + &line(2) + "{torn").unwrap();
    assert_eq!(deleted_since(&home), HashSet::from([1, 2]));
    // Saved again under another id, while 2 was deleted after the dump's records had been read.
    cut_deleted(&home, &HashSet::from([2, 3])).unwrap();
    assert_eq!(deleted_since(&home), HashSet::from([2]));
    cut_deleted(&home, &HashSet::from([3])).unwrap();
    assert!(!home.deleted().exists());
}

proptest! {
    #[test]
    fn a_torn_dump_is_never_taken_for_a_whole_one(at in 0_usize..2000, up: bool) {
        let (_directory, home) = home();
        let whole = dump(vec![saved("a", 1, up), saved("b", 2, true)]).to_json();
        let at = at % (whole.len() - 2);
        fs::write(home.dump(), &whole[..at]).unwrap();
        prop_assert!(Dump::read(&home.dump()).is_err());
    }
}
