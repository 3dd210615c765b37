//! One cgroup a service, where a part of the tree was given to the supervisor. Without cgroup v2, or without the right to
//! make groups in it, these tests say so and do nothing.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::bed::{Bed, is_root, run};
use crate::fault_kit::kill;
use crate::processes::Seen;
use crate::wait::{wait_for, wait_until};

/// A group that was given to the supervisor of a bed, as systemd does it with `Delegate=yes`. It goes with the value, when
/// the bed has ended what was in it.
struct Given(PathBuf);

impl Given {
    fn make(bed: &Bed) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let point = mounts.lines().find_map(|line| {
            let mut words = line.split(' ').skip(1);
            let (point, kind) = (words.next()?, words.next()?);
            (kind == "cgroup2").then(|| PathBuf::from(point))
        });
        let name = bed.root().file_name().unwrap();
        let group = point.filter(|_| is_root())?.join(name);
        let made = fs::create_dir(&group).is_ok()
            && rustix::fs::setxattr(
                &group,
                "user.delegate",
                b"1",
                rustix::fs::XattrFlags::empty(),
            )
            .is_ok();
        if !made {
            eprintln!("no cgroup can be made here; nothing is tested");
            return None;
        }
        Some(Self(group))
    }

    /// `tsm ARGS` by a shell in the group.
    #[track_caller]
    fn tsm(&self, bed: &Bed, args: &[&str]) {
        let mut command = bed.command("/bin/sh");
        command
            .args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""])
            .arg(&self.0)
            .arg(crate::bed::TSM)
            .args(args);
        run(command).ok();
    }

    fn of(&self, name: &str) -> PathBuf {
        self.0.join(format!("tsm-{name}"))
    }

    fn members(&self, name: &str) -> Vec<u32> {
        pids(&self.of(name))
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        let remove = || {
            let below = fs::read_dir(&self.0).into_iter().flatten().flatten();
            for entry in below.filter(|entry| entry.path().is_dir()) {
                let _ = fs::remove_dir(entry.path());
            }
            fs::remove_dir(&self.0).is_ok()
        };
        let gone = crate::wait::within(crate::wait::DEADLINE, || remove().then_some(()));
        assert!(
            gone.is_some() || std::thread::panicking(),
            "somebody is left in {}",
            self.0.display()
        );
    }
}

fn pids(group: &Path) -> Vec<u32> {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

/// A service whose processes leave session, group and parent, and wipe their environment.
const HIDES: &str = "#!/bin/sh\n\
    env -i setsid sh -c 'setsid sleep 100000 & exec sleep 100000' &\n\
    echo up\nexec sleep 100000\n";

#[test]
fn each_service_is_in_a_group_of_its_own() {
    let bed = Bed::new();
    let Some(given) = Given::make(&bed) else {
        return;
    };
    // The group goes last.
    let bed = bed;
    given.tsm(&bed, &["start", "--name", "a", "--", "sleep", "100000"]);
    bed.start_idle("b");
    assert_eq!(given.members("a"), [bed.pid("a")]);
    assert_eq!(given.members("b"), [bed.pid("b")]);
    let supervisor = bed.supervisor_pid().unwrap();
    wait_until("the guardian has its sentinel", || {
        bed.sentinel_pid().is_some()
    });
    let mut keepers = [
        supervisor,
        bed.guardian_pid().unwrap(),
        bed.sentinel_pid().unwrap(),
    ];
    keepers.sort_unstable();
    let mut own = pids(&given.0.join("supervisor"));
    own.sort_unstable();
    assert_eq!(own, keepers);

    // It is there as long as the service is, whoever supervises it.
    kill(bed.supervisor_seen());
    wait_until("another supervisor", || {
        bed.supervisor_pid().is_some_and(|pid| pid != supervisor)
    });
    bed.crash("a");
    wait_until("it runs again", || {
        bed.state("a") == "running" && given.members("a") == [bed.pid("a")]
    });
    bed.tsm(["stop", "all"]).ok();
    assert!(!given.of("a").exists() && !given.of("b").exists());
    drop(bed);
    drop(given);
}

#[test]
fn who_hides_is_ended_with_its_service() {
    let bed = Bed::new();
    let Some(given) = Given::make(&bed) else {
        return;
    };
    let script = bed.script("a.sh", HIDES);
    given.tsm(&bed, &["start", "--name", "a", script.to_str().unwrap()]);
    let members: Vec<Seen> = wait_for("all three are there", || {
        let members = given.members("a");
        (members.len() == 3).then(|| members.into_iter().map(Seen::now).collect())
    });
    // A crash: none of them is left when it runs again.
    bed.crash("a");
    wait_until("it was started anew", || {
        members.iter().all(|member| !member.is_alive()) && given.members("a").len() == 3
    });
    let members: Vec<Seen> = given.members("a").into_iter().map(Seen::now).collect();
    bed.tsm(["stop", "a"]).ok();
    assert!(members.iter().all(|member| !member.is_alive()));
    // At once, too.
    bed.tsm(["start", "a"]).ok();
    wait_until("all three are there", || given.members("a").len() == 3);
    let members: Vec<Seen> = given.members("a").into_iter().map(Seen::now).collect();
    bed.tsm(["kill", "a"]).ok();
    assert!(members.iter().all(|member| !member.is_alive()));
    assert!(!given.of("a").exists());
    drop(bed);
    drop(given);
}

#[test]
fn a_supervisor_that_a_service_starts_is_none_of_it() {
    let bed = Bed::new();
    let Some(given) = Given::make(&bed) else {
        return;
    };
    let other = bed.root().join("other");
    let script = bed.script(
        "a.sh",
        &format!(
            "#!/bin/sh\n{} --home {} start --name inner -- sleep 100000\necho up\nexec sleep 100000\n",
            crate::bed::TSM,
            other.display()
        ),
    );
    given.tsm(&bed, &["start", "--name", "a", script.to_str().unwrap()]);
    bed.wait_log("a.out", "up");
    let inner = || {
        let mut command = bed.tsm_command(["list", "--json"]);
        command.env("TSM_HOME", &other);
        let listed: serde_json::Value = serde_json::from_str(&run(command).ok().stdout).unwrap();
        listed[0]["pid"].as_u64().unwrap() as u32
    };
    let inside = Seen::now(inner());
    bed.tsm(["kill", "a"]).ok();
    assert!(inside.is_alive(), "it was ended along with 'a'");
    assert_eq!(inner(), inside.pid);
    let mut command = bed.tsm_command(["delete", "all", "-y"]);
    run({
        command.env("TSM_HOME", &other);
        command
    })
    .ok();
    let mut command = bed.tsm_command(["supervisor", "stop"]);
    run({
        command.env("TSM_HOME", &other);
        command
    })
    .ok();
    inside.signal(Signal::KILL);
    drop(bed);
    // Its group stays until somebody starts it again, or nobody is left in it.
    drop(given);
}
