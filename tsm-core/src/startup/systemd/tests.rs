//! The unit as it is written.

use std::fs;
use std::time::Duration;

use super::*;
use crate::home::Home;
use crate::startup::marked_home;
use crate::sys::account::Account;
use crate::sys::limits::Limit;

fn wanted(scope: Scope, home: &str) -> Wanted {
    Wanted {
        owner: Owner {
            account: Account {
                name: "mr".to_owned(),
                uid: 1000,
                gid: 1000,
                groups: vec![1000],
            },
            directory: "/home/mr".into(),
            home: Home::at(home),
        },
        place: Place {
            scope,
            runtime_directory: None,
            config_directory: "/home/mr/.config".into(),
        },
        program: "/usr/local/bin/tsm".into(),
        needs: Needs {
            stop_timeout: Duration::from_millis(30_500),
            limits: vec![Limit {
                resource: 7,
                soft: 1024,
                hard: 1_048_576,
            }],
            processes: 3,
        },
    }
}

#[test]
fn a_system_unit_in_full() {
    let text = unit_text(&wanted(Scope::System, "/home/mr/.tsm"), 252);
    let expected = "\
# Written by 'tsm startup'; 'tsm unstartup' removes it.
# TSM home: /home/mr/.tsm

[Unit]
Description=TSM: the services of mr
Documentation=https://github.com/tetra-services/tsm
Wants=network-online.target
After=network-online.target remote-fs.target nss-user-lookup.target
RequiresMountsFor=/home/mr/.tsm /usr/local/bin/tsm
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
UMask=0077
User=mr
ExecStart=/usr/local/bin/tsm --home /home/mr/.tsm resurrect --boot
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=1s
# A supervisor that died takes no service along; told to stop, it stops them itself, wherever they are.
KillMode=process
TimeoutStopSec=41s
TimeoutStartSec=5min
FileDescriptorStoreMax=8192
# A cgroup of its own for each service, made by the supervisor; what one of them does is no other's end.
Delegate=yes
OOMPolicy=continue
TasksMax=infinity
# Into a group whose groups below have controllers nobody can be put, the next supervisor neither.
ExecStopPost=-/usr/local/bin/tsm supervisor make-room --home /home/mr/.tsm
LimitNOFILE=1048576

[Install]
WantedBy=multi-user.target
";
    assert_eq!(text.replace("'/home/mr/.tsm'", "/home/mr/.tsm"), expected);
}

#[test]
fn a_user_unit_names_no_user_and_no_network_and_a_new_systemd_backs_off() {
    let text = unit_text(&wanted(Scope::User, "/home/mr/.tsm"), 255);
    for absent in ["User=", "network", "multi-user", "ExecStopPost"] {
        assert!(!text.contains(absent), "{text}");
    }
    for present in [
        "WantedBy=default.target",
        "RestartSteps=10\nRestartMaxDelaySec=60s",
        "\nDelegateSubgroup=supervisor\n",
    ] {
        assert!(text.contains(present), "{text}");
    }
}

#[test]
fn strange_paths_are_quoted_for_systemd() {
    let text = unit_text(&wanted(Scope::System, "/srv/50% off/it's \"$HOME\""), 252);
    let exec =
        r#"ExecStart=/usr/local/bin/tsm --home "/srv/50%% off/it's \"$$HOME\"" resurrect --boot"#;
    assert!(text.contains(exec), "{text}");
    let mounts = r#"RequiresMountsFor="/srv/50%% off/it's \"$HOME\"" /usr/local/bin/tsm"#;
    assert!(text.contains(mounts), "{text}");
    assert_eq!(
        marked_home(&text).unwrap(),
        Path::new("/srv/50% off/it's \"$HOME\"")
    );
}

#[test]
fn the_second_home_of_a_machine_gets_a_name_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let first = wanted(Scope::System, "/home/mr/.tsm");
    let second = wanted(Scope::System, "/srv/shop");
    let name = |wanted: &Wanted| names::free(directory.path(), SUFFIX, wanted).unwrap();
    assert_eq!(name(&first), ("tsm.service".to_owned(), None));
    let usual = directory.path().join("tsm.service");
    fs::write(&usual, unit_text(&first, 252)).unwrap();
    assert_eq!(name(&first).0, "tsm.service");
    let own = "tsm-mr-srv-shop.service".to_owned();
    assert_eq!(name(&second), (own.clone(), Some("/home/mr/.tsm".into())));
    fs::write(directory.path().join(&own), unit_text(&second, 252)).unwrap();
    fs::remove_file(&usual).unwrap();
    assert_eq!(name(&second), (own, None));
    fs::write(&usual, "[Service]\nExecStart=/bin/true\n").unwrap();
    let told = names::free(directory.path(), SUFFIX, &first)
        .unwrap_err()
        .to_string();
    assert!(
        told.contains("there is one that TSM has not written"),
        "{told}"
    );
}
