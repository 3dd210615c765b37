use super::*;
use crate::config::Config;
use serde_json::json;

/// What is written is a good config file.
fn check(yaml: &str, profile: Option<&str>) -> Config {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tspm.yaml");
    std::fs::write(&path, yaml).unwrap();
    match Config::load(&path, &|_| None, profile) {
        Ok(config) => config,
        Err(error) => panic!("{error}\n{yaml}"),
    }
}

#[test]
fn an_ecosystem_becomes_what_a_person_would_have_written() {
    let ecosystem = json!({ "apps": [
        {
            "name": "api", "script": "server.js", "args": "--fast", "cwd": "srv", "instances": 2, "exec_mode": "cluster",
            "node_args": ["--max-old-space-size=512"], "max_memory_restart": "300M", "kill_timeout": 5000,
            "env": { "NODE_ENV": "development", "PORT": 3000, "FLAG": true, "EMPTY": "" },
            "env_production": { "NODE_ENV": "production" },
            "out_file": "logs/api.log", "merge_logs": true, "wait_ready": true, "listen_timeout": 8000,
            "exp_backoff_restart_delay": 100, "post_update": ["npm install"],
        },
        {
            "name": "my worker", "script": "python3 worker.py", "watch": ["src"], "ignore_watch": ["*.log"],
            "cron_restart": "0 3 * * *", "max_restarts": 10, "args": ["${HOME}", "a b", 5],
        },
    ] });
    let imported = from_pm2(&ecosystem, Path::new("x/ecosystem.config.js")).unwrap();
    assert_eq!(
        imported.yaml,
        "\
# From ecosystem.config.js, PM2.
defaults:
  restart: always

processes:
  # PM2's instances share one port; these have 3000 and the next ones: put nginx or haproxy in front
  # PM2 waited for process.send('ready'); `ready` says by a port, an address or a line of its log when it is
  # left out, for tsm has nothing like it: post_update
  - name: api
    script: ./srv/server.js
    args: --fast
    interpreter: node --max-old-space-size=512
    cwd: srv
    instances: 2
    port: 3000+
    env:
      EMPTY: \"\"
      FLAG: true
      NODE_ENV: development
    minRestartDelay: 100ms
    killTimeout: 5s
    ready: {port: true, timeout: 8s}
    limits: {memory: 300M}
    outFile: logs/api.log
    mergeLogs: true
    env_production:
      NODE_ENV: production

  # PM2 called it 'my worker'
  - name: my-worker
    script: python3 worker.py
    args: [\"$${HOME}\", a b, \"5\"]
    maxRestarts: 10
    watch: [src]
    ignoreWatch: [\"*.log\"]
    schedule: 0 3 * * *
"
    );
    assert_eq!(imported.remarks.len(), 4);
    let config = check(&imported.yaml, Some("production"));
    let names: Vec<&str> = config.processes.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["api@0", "api@1", "my-worker"]);
    assert!(
        config.processes[0]
            .env
            .contains(&("NODE_ENV".to_owned(), "production".to_owned()))
    );
    assert_eq!(config.processes[1].port, Some(3001));
    assert_eq!(config.processes[2].args, ["${HOME}", "a b", "5"]);
}

#[test]
fn a_procfile_becomes_processes_with_ports_as_foreman_counts_them() {
    let text = "# the shop\nweb: bundle exec puma -p $PORT\n\nworker: ./work.sh \"a: b\" # c\nrelease: rake db:migrate\nurl: curl ${URL}\n";
    let imported = from_procfile(text, Path::new("Procfile"), true).unwrap();
    assert_eq!(
        imported.yaml,
        "\
# From Procfile, a Procfile.
defaults:
  envFile: .env

processes:
  - name: web
    script: bundle exec puma -p $PORT
    port: 5000
    dependsOn: [{name: release, condition: completed}]

  - name: worker
    script: \"./work.sh \\\"a: b\\\" # c\"
    dependsOn: [{name: release, condition: completed}]

  - name: release
    script: rake db:migrate
    type: task

  - name: url
    script: curl $${URL}
    dependsOn: [{name: release, condition: completed}]
"
    );
    let config = check(&imported.yaml, None);
    assert_eq!(config.processes[1].script, "./work.sh \"a: b\" # c");
    assert_eq!(config.processes[3].script, "curl ${URL}");
    let wrong = from_procfile("web: x\nnonsense\n", Path::new("Procfile"), false).unwrap_err();
    assert!(
        wrong
            .to_string()
            .contains("Procfile:2: a line of a Procfile"),
        "{wrong}"
    );
}

#[test]
fn what_is_no_ecosystem_is_refused() {
    for (value, words) in [
        (json!({}), "declares no `apps`"),
        (json!(5), "declares no `apps`"),
        (
            json!({ "apps": [{ "name": "x" }] }),
            "app 1 of e.json has no script",
        ),
        (json!({ "apps": [5] }), "app 1 of e.json is no object"),
    ] {
        let told = from_pm2(&value, Path::new("e.json"))
            .unwrap_err()
            .to_string();
        assert!(told.contains(words), "{told}");
    }
    let one = from_pm2(&json!({ "script": "a.js" }), Path::new("e.json")).unwrap();
    assert!(
        one.yaml.contains("- name: a\n    script: ./a.js"),
        "{}",
        one.yaml
    );
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_again_as_it_was(text in "[ -~]{1,20}|[\\PC\n\t]{1,8}", inner in "[ -~]{0,12}") {
        let mut process = Process::default();
        process.set("name", "a");
        process.set("script", "x");
        process.set("args", Doc::List(vec![escaped(&inner).into(), escaped(&text).into()]));
        process.set("interpreter", escaped(&text));
        let imported = write(vec![process], Path::new("f"), "x");
        let config = check(&imported.yaml, None);
        proptest::prop_assert_eq!(config.processes[0].interpreter.as_deref(), Some(text.as_str()));
        proptest::prop_assert_eq!(&config.processes[0].args, &[inner, text]);
    }
}
