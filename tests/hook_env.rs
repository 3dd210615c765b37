//! The state of a shell beside the environment: what was given or taken away by other means than the shell decides.

use crate::bed::{Bed, run};
use crate::programs::has;

/// Prints what came of the variables and functions, and what a child gets.
const SHOW: &str = "echo \"${FOO-none} ${PORT-none} ${TSM_ID-none} $plain\"; env | grep -c '^FOO='
    xf 2> /dev/null || echo 'no xf'";

#[test]
fn what_is_given_to_a_process_overrules_what_the_shell_did_not_export() {
    for (shell, functions) in [("bash", "xf() { echo xf; }; export -f xf"), ("zsh", "")] {
        if !has(shell) {
            continue;
        }
        let bed = Bed::new();
        let service = bed.service("service", &format!("#!/usr/bin/env {shell}"), SHOW);
        bed.file("vars.env", "FOO=file\n");
        let xf = if shell == "bash" { "xf" } else { "no xf" };
        let typed = format!(
            "FOO=old; PORT=3000; TSM_ID=99; plain=1\n{functions}
             tsm start '{service}' --name a; tsm start '{service}' --name b --env FOO=new --port 4971
             tsm start '{service}' --name c --env-file vars.env"
        );
        let output = bed.hooked(shell, &typed);
        assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{shell}");
        assert_eq!(bed.said("a"), format!("old 3000 1 1\n0\n{xf}\n"), "{shell}");
        assert_eq!(bed.said("b"), format!("new 4971 2 1\n1\n{xf}\n"), "{shell}");
        assert_eq!(
            bed.said("c"),
            format!("file 3000 3 1\n1\n{xf}\n"),
            "{shell}"
        );

        bed.tsm(["env", "set", "a", "FOO=set"]).ok();
        bed.tsm(["restart", "a"]).ok();
        assert_eq!(bed.said_in_run("a", 2), format!("set 3000 1 1\n1\n{xf}\n"));
        let told = bed.tsm(["env", "unset", "a", "FOO", "BASH_FUNC_xf%%"]).ok();
        assert!(
            shell == "zsh" || !told.stderr.contains("was not set"),
            "{}",
            told.stderr
        );
        bed.tsm(["restart", "a"]).ok();
        assert_eq!(bed.said_in_run("a", 3), "none 3000 1 1\n0\nno xf\n");
        // A name that only the shell knew can be taken away as well.
        let told = bed.tsm(["env", "unset", "a", "plain"]).ok();
        assert!(!told.stderr.contains("was not set"), "{}", told.stderr);
        bed.tsm(["restart", "a"]).ok();
        assert_eq!(bed.said_in_run("a", 4), "none 3000 1 \n0\nno xf\n");
        // Without the hook, what this shell exports comes in place of what another one knew.
        let mut update = bed.tsm_command(["restart", "a", "--update-env"]);
        update.env("PORT", "5000");
        run(update).ok();
        assert_eq!(bed.said_in_run("a", 5), "none 5000 1 \n0\nno xf\n");
    }
}
