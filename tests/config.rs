//! Config files: looked at without starting anything.

use crate::bed::Bed;

#[test]
fn a_good_file_is_said_to_be_good_and_nothing_is_started() {
    let bed = Bed::new();
    bed.file(
        "tspm.yaml",
        "processes:\n- name: api\n  script: ./api.sh\n- {name: worker, script: sleep 1}\n",
    );
    let told = bed.tsm(["config", "check"]).ok().stdout;
    assert_eq!(told, "tspm.yaml: good; it declares api, worker\n");
    let names = bed
        .tsm(["config", "check", "tspm.yaml", "--json"])
        .ok()
        .stdout;
    assert_eq!(
        serde_json::from_str::<Vec<String>>(&names).unwrap(),
        ["api", "worker"]
    );
    assert!(!bed.home().exists());
}

#[test]
fn each_mistake_is_told_with_file_line_and_column() {
    let bed = Bed::new();
    bed.file(
        "tsm.toml",
        "[[processes]]\nname = \"api\"\nscript = \"x\"\nprot = 1\nwaitReady = true\n",
    );
    let told = bed.tsm(["config", "check", "tsm.toml"]).exits(2);
    for words in [
        "tsm.toml:4:1: unknown key 'prot'; did you mean 'port'?",
        "    4 | prot = 1",
        "tsm.toml:5:1: 'waitReady' is refused",
    ] {
        assert!(told.stderr.contains(words), "{}", told.stderr);
    }
    bed.tsm(["config", "check", "nothing.yaml"]).exits(1);
    // What a start would stumble over is told here as well.
    bed.file(
        "tspm.yaml",
        "processes:\n- {name: api, script: sleep 1, envFile: api.env}\n",
    );
    let told = bed.tsm(["config", "check", "tspm.yaml"]).exits(1);
    assert!(told.stderr.contains("api.env"), "{}", told.stderr);
    bed.file("api.env", "A=1\nnothing here\n");
    let told = bed.tsm(["config", "check", "tspm.yaml"]).exits(1);
    assert!(told.stderr.contains("api.env: line 2: "), "{}", told.stderr);
    bed.file("api.env", "A=1\n");
    bed.tsm(["config", "check", "tspm.yaml"]).ok();
    let none = Bed::new().tsm(["config", "check"]).exits(2);
    assert!(none.stderr.contains("name one"), "{}", none.stderr);
}

#[test]
fn the_schema_is_json_and_knows_the_keys() {
    let bed = Bed::new();
    let schema = bed.tsm(["config", "schema"]).ok().stdout;
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let process = &schema["properties"]["processes"]["items"]["properties"];
    assert!(process["script"].is_object());
}

#[test]
fn an_ecosystem_and_a_procfile_become_config_files_that_are_good() {
    let bed = Bed::new();
    bed.file("Procfile", "web: ./web.sh $PORT\nworker: sleep 1000\n");
    let told = bed
        .tsm(["config", "import", "Procfile", "-o", "tspm.yaml"])
        .ok();
    assert!(told.stdout.contains("--dry-run"), "{}", told.stdout);
    let good = bed.tsm(["config", "check"]).ok().stdout;
    assert_eq!(good, "tspm.yaml: good; it declares web, worker\n");
    let again = bed
        .tsm(["config", "import", "Procfile", "-o", "tspm.yaml"])
        .exits(1);
    assert!(again.stderr.contains("exists"), "{}", again.stderr);
    if !crate::programs::has("node") {
        return;
    }
    for (name, text) in [
        (
            "a.config.js",
            "console.log('hi'); module.exports = { apps: [{ name: 'n' + 1, script: 'x.js' }] };",
        ),
        (
            "b.config.mjs",
            "export default { apps: [{ name: 'n1', script: 'x.js', cb() {} }] };",
        ),
    ] {
        bed.file(name, text);
        let told = bed.tsm(["config", "import", name]).ok();
        assert!(
            told.stdout.contains("- name: n1\n    script: ./x.js\n"),
            "{}",
            told.stdout
        );
    }
    bed.file("bad.js", "module.exports = {");
    let told = bed.tsm(["config", "import", "bad.js"]).exits(1);
    assert!(
        told.stderr.contains("node cannot read it: SyntaxError"),
        "{}",
        told.stderr
    );
}

#[test]
fn the_example_of_the_page_is_good() {
    let bed = Bed::new();
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/config.md");
    let page = std::fs::read_to_string(page).unwrap();
    let example = page.split("```yaml\n").nth(1).unwrap();
    bed.file("tspm.yaml", example.split("```").next().unwrap());
    for profile in [&[][..], &["--profile", "production"]] {
        let told = bed
            .tsm(["config", "check"].iter().chain(profile))
            .ok()
            .stdout;
        assert_eq!(
            told,
            "tspm.yaml: good; it declares db, migrate, api@0, api@1, cache\n"
        );
    }
}

#[test]
fn what_an_editor_marks_is_what_the_command_refuses() {
    let bed = Bed::new();
    let schema = bed.tsm(["config", "schema"]).ok().stdout;
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for (file, is_good) in [
        (r#"{"processes": [{"name": "a", "script": "x"}]}"#, true),
        (r#"{"apps": [{"name": "a", "script": "x"}]}"#, true),
        (r#"{"services": [{"name": "a", "script": "x"}]}"#, true),
        (r#"{"namespace": "a"}"#, false),
        (
            r#"{"processes": [{"name": "a", "script": "x", "port": 4000, "ready": {"port": true}}]}"#,
            true,
        ),
        (
            r#"{"processes": [{"name": "a", "script": "x", "port": 4000, "ready": {"port": false}}]}"#,
            false,
        ),
        (
            r#"{"processes": [{"name": "a", "script": "x", "ready": {"port": 70000}}]}"#,
            false,
        ),
        (
            r#"{"processes": [{"name": "a", "script": "x", "instances": "max"}]}"#,
            true,
        ),
        (
            r#"{"processes": [{"name": "a", "script": "x", "instances": true}]}"#,
            false,
        ),
        (
            r#"{"processes": [{"name": "a", "script": "x", "instances": 0}]}"#,
            false,
        ),
    ] {
        bed.file("tspm.json", file);
        let told = bed.tsm(["config", "check"]);
        assert_eq!(told.status == 0, is_good, "{file}: {told:?}");
        let value: serde_json::Value = serde_json::from_str(file).unwrap();
        assert_eq!(validator.is_valid(&value), is_good, "{file}");
    }
}
