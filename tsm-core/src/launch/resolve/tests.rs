use super::*;

struct Bed(tempfile::TempDir);

impl Bed {
    fn new() -> Self {
        let bed = Self(tempfile::tempdir().unwrap());
        for (name, text, mode) in [
            ("bin/node", "#!/bin/sh\n", 0o755),
            ("bin/bash", "#!/bin/sh\n", 0o755),
            ("bin/npm", "#!/bin/sh\n", 0o755),
            ("with.sh", "#!/bin/sh\n", 0o755),
            ("bare.sh", "echo\n", 0o755),
            ("plain.js", "1\n", 0o644),
            ("script.py", "1\n", 0o644),
            ("tool", "echo\n", 0o755),
            ("data.bin", "x", 0o644),
            ("my app.sh", "#!/bin/sh\n", 0o755),
        ] {
            let path = bed.0.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        bed
    }

    fn resolve_with(
        &self,
        target: &str,
        args: &[&str],
        interpreter: Option<&str>,
    ) -> Result<Resolved> {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let path = self.0.path().join("bin");
        resolve(Typed {
            target: target.as_ref(),
            args: &args,
            cwd: self.0.path(),
            path: Some(path.as_os_str()),
            shell: None,
            interpreter,
        })
    }

    fn words(&self, target: &str, args: &[&str]) -> Vec<String> {
        let resolved = self.resolve_with(target, args, None).unwrap();
        let root = format!("{}/", self.0.path().display());
        let words = resolved
            .program
            .words
            .iter()
            .map(|w| w.to_string_lossy().replace(&root, "./"));
        words.collect()
    }

    fn reason(&self, target: &str) -> String {
        self.resolve_with(target, &[], None)
            .unwrap_err()
            .to_string()
    }
}

#[test]
fn scripts_by_shebang_then_by_extension_then_by_the_shell() {
    let bed = Bed::new();
    assert_eq!(bed.words("with.sh", &["a b"]), ["./with.sh", "a b"]);
    assert_eq!(bed.words("./bare.sh", &[]), ["bash", "./bare.sh"]);
    assert_eq!(bed.words("plain.js", &["x"]), ["node", "./plain.js", "x"]);
    let tool = bed.resolve_with("./tool", &[], None).unwrap();
    assert!(tool.program.shell_fallback);
    assert_eq!(tool.name.as_str(), "tool");
    assert_eq!(bed.words("my app.sh", &[]), ["./my app.sh"]);
}

#[test]
fn programs_and_command_lines() {
    let bed = Bed::new();
    assert_eq!(bed.words("npm", &["run", "dev"]), ["npm", "run", "dev"]);
    assert_eq!(bed.words("npm run 'a b'", &[]), ["npm", "run", "a b"]);
    assert_eq!(
        bed.words("npm run dev | tee log", &[]),
        ["/bin/sh", "-c", "npm run dev | tee log"]
    );
    assert_eq!(bed.words("X=1 npm start", &[])[0], "/bin/sh");
    assert_eq!(bed.words("cd sub; npm start", &[])[0], "/bin/sh");
    assert_eq!(
        bed.words("npm --a=b --c '$x'", &[]),
        ["npm", "--a=b", "--c", "$x"]
    );
    assert_eq!(
        bed.words("plain.js --x", &[]),
        ["node", "./plain.js", "--x"]
    );
    assert_eq!(
        bed.resolve_with("npm run dev", &[], None)
            .unwrap()
            .name
            .as_str(),
        "npm"
    );
}

#[test]
fn what_cannot_run_is_refused_with_the_reason_and_the_remedy() {
    let bed = Bed::new();
    assert!(bed.reason("data.bin").contains("chmod +x"));
    assert!(bed.reason("./nothing.sh").contains("No such file"));
    assert!(bed.reason("nothing").contains("no such program on PATH"));
    assert!(bed.reason("script.py").contains("python3, python"));
    assert!(bed.reason("./bin").contains("directory"));
    assert!(bed.reason("").contains("empty"));
}

#[test]
fn an_interpreter_that_was_asked_for_wins() {
    let bed = Bed::new();
    let with = |interpreter| bed.resolve_with("with.sh", &[], Some(interpreter));
    assert_eq!(
        with("node --flag").unwrap().program.words[1].to_string_lossy(),
        "--flag"
    );
    assert!(!with("none").unwrap().program.shell_fallback);
    assert!(with("nonesuch").is_err());
}
