//! `tsm tui` on a terminal.

use std::fs;

use crate::bed::Bed;
use crate::terminal::Terminal;

#[test]
fn a_dashboard_without_a_terminal_is_wrong_usage() {
    let bed = Bed::new();
    let told = bed.tsm(["tui"]).exits(2);
    assert!(told.message().contains("needs a terminal"), "{told:?}");
    bed.tsm(["monit"]).exits(2);
}

#[test]
fn the_dashboard_shows_and_stops_a_process_and_leaves_the_terminal_as_it_was() {
    let bed = Bed::new();
    bed.tsm([
        "start",
        "--name",
        "api",
        "--",
        "sh",
        "-c",
        "echo hello; exec sleep 100000",
    ])
    .ok();
    let line = "stty -a >before; \"$0\" tui; status=$?; stty -a >after; (exit $status)";
    let Some(terminal) = Terminal::open(&bed, line) else {
        return;
    };
    let screen = terminal.wait_screen("the process and its log", |screen| {
        screen.contains("log of api") && screen.contains("hello")
    });
    assert!(screen.contains("1 process  1 running"), "{screen}");
    assert!(screen.contains(&bed.pid("api").to_string()), "{screen}");
    assert!(terminal.is_alternate());
    terminal.press(&["S"]);
    terminal.wait_text("api stopped");
    terminal.wait_text("0 running");
    assert_eq!(bed.state("api"), "stopped");
    terminal.press(&["/", "zzz"]);
    terminal.wait_text("No process passes the filter.");
    terminal.press(&["Escape"]);
    terminal.wait_text("stopped api");
    terminal.press(&["d"]);
    terminal.wait_text("Delete api and its files? y/n");
    terminal.press(&["y"]);
    terminal.wait_text("0 processes");
    terminal.press(&["q"]);
    terminal.wait_text("status 0");
    assert!(!terminal.is_alternate());
    assert_eq!(terminal.value("#{cursor_flag}"), "1");
    let read = |name: &str| fs::read_to_string(bed.path(name)).unwrap();
    assert_eq!(read("before"), read("after"));
}

#[test]
fn a_dashboard_that_is_asked_to_end_by_a_signal_restores_the_terminal() {
    let bed = Bed::new();
    bed.start_idle("api");
    let line = "stty -a >before; sh -c 'echo $$ >pid; exec \"$0\" tui' \"$0\"; status=$?; stty -a >after; (exit $status)";
    let Some(terminal) = Terminal::open(&bed, line) else {
        return;
    };
    terminal.wait_text("1 process  1 running");
    let dashboard = bed.wait_pids("pid", 1).remove(0);
    dashboard.signal(rustix::process::Signal::TERM);
    terminal.wait_text("status 143");
    assert!(!terminal.is_alternate());
    let read = |name: &str| fs::read_to_string(bed.path(name)).unwrap();
    assert_eq!(read("before"), read("after"));
}

/// Starts the dashboard, and waits until it shows `text`.
fn dashboard<'a>(bed: &'a Bed, text: &str) -> Option<Terminal<'a>> {
    let terminal = Terminal::open(bed, "\"$0\" tui")?;
    terminal.wait_text(text);
    Some(terminal)
}

#[test]
fn a_form_is_completed_and_starts_what_it_says() {
    let bed = Bed::new();
    bed.script(
        "server-one.sh",
        "#!/bin/sh\necho ready\nexec sleep 100000\n",
    );
    let Some(terminal) = dashboard(&bed, "No processes.") else {
        return;
    };
    terminal.press(&["a"]);
    terminal.wait_text("Start a new process");
    terminal.press(&["./serv"]);
    terminal.wait_text("./server-one.sh");
    terminal.press(&["Tab"]);
    terminal.wait_screen("the whole path in the field", |screen| {
        let field = screen.lines().find(|line| line.contains("Command"));
        field.is_some_and(|line| line.contains("./server-one.sh"))
    });
    terminal.press(&["Down", "web", "Down", "auto", "Down", "Down", "Down", "al"]);
    terminal.wait_text("always");
    terminal.press(&["Tab", "Enter"]);
    terminal.wait_text("web started");
    terminal.wait_screen("its log", |screen| {
        screen.contains("log of web") && screen.contains("ready")
    });
    let info = bed.info("web");
    assert_eq!(info["restart"], "always");
    assert!(info["port"].is_number());
    terminal.press(&["q"]);
    terminal.wait_text("status 0");
}

#[test]
fn ctrl_c_ends_a_command_then_a_line_then_the_dashboard() {
    let bed = Bed::new();
    bed.start_idle("api");
    let Some(terminal) = dashboard(&bed, "1 running") else {
        return;
    };
    // Completed in place, by the candidates of the shells.
    terminal.press(&[":", "inf", "Tab"]);
    terminal.wait_text(":info");
    terminal.press(&["ap"]);
    terminal.wait_text("api  running");
    terminal.press(&["Tab"]);
    terminal.wait_text(":info api");
    terminal.press(&["Enter"]);
    terminal.wait_text("Process: api (ID: 1)");
    terminal.press(&["Escape"]);
    terminal.wait_text("log of api");
    terminal.press(&[":", "logs -f api", "Enter"]);
    terminal.wait_text("logs -f api …");
    terminal.press(&["C-c"]);
    terminal.wait_text("ended by a signal");
    terminal.press(&[":", "sto"]);
    terminal.wait_text(":sto");
    terminal.press(&["C-c"]);
    terminal.wait_screen("no line any more", |screen| !screen.contains(":sto"));
    assert!(terminal.is_alternate());
    terminal.press(&["C-c"]);
    terminal.wait_text("status 0");
    assert!(!terminal.is_alternate());
}

#[test]
fn another_size_is_drawn_at_once() {
    let bed = Bed::new();
    bed.start_idle("api");
    let Some(terminal) = dashboard(&bed, "1 running") else {
        return;
    };
    for (columns, rows) in [("40", "10"), ("200", "50"), ("300", "100"), ("80", "24")] {
        terminal.tmux(&["resize-window", "-t", "main", "-x", columns, "-y", rows]);
        let wide = columns.parse::<usize>().unwrap();
        let screen = terminal.wait_screen("the rule as wide as the screen", |screen| {
            let rule = screen.lines().find(|line| line.contains("log of api"));
            // The screen may be looked at in the midst of a frame.
            let whole = screen.trim_end().ends_with("quit");
            whole && rule.is_some_and(|line| line.chars().count() == wide)
        });
        assert_eq!(screen.lines().count(), rows.parse::<usize>().unwrap());
    }
}

/// What a terminal sends for the left button at a cell, counted from 1.
fn click(terminal: &Terminal<'_>, column: usize, row: usize) {
    let bytes = format!("\x1b[<0;{column};{row}M\x1b[<0;{column};{row}m");
    terminal.press(&["-l", &bytes]);
}

#[test]
fn the_mouse_selects_and_opens() {
    let bed = Bed::new();
    bed.start_idle("first");
    bed.start_idle("second");
    let Some(terminal) = dashboard(&bed, "2 running") else {
        return;
    };
    terminal.wait_text("log of first");
    click(&terminal, 20, 5);
    terminal.wait_text("log of second");
    click(&terminal, 20, 5);
    click(&terminal, 20, 5);
    let screen = terminal.wait_text("second running");
    let tabs = screen.lines().next().unwrap();
    click(&terminal, tabs.find("info").unwrap() + 1, 1);
    terminal.wait_text("Process: second (ID: 2)");
    // The wheel.
    terminal.press(&["Escape"]);
    terminal.wait_text("log of second");
    terminal.press(&["-l", "\x1b[<64;20;5M"]);
    terminal.wait_text("log of first");
}

#[test]
fn every_view_shows_what_its_command_prints() {
    let bed = Bed::new();
    bed.tsm([
        "start",
        "--name",
        "api",
        "--env",
        "API_TOKEN=s3cr3t",
        "--env",
        "COLOUR=blue",
        "--",
        "sh",
        "-c",
        "echo one; echo two >&2; sleep 100000 & wait",
    ])
    .ok();
    bed.start_idle("other");
    let Some(terminal) = dashboard(&bed, "2 running") else {
        return;
    };
    terminal.press(&["Enter"]);
    terminal.wait_screen("both streams, and which is which", |screen| {
        screen.contains("\n one") && screen.contains("\n!two")
    });
    terminal.press(&["/", "on", "Enter"]);
    terminal.wait_text(">one");
    // A key right behind Escape would be one with Alt.
    terminal.press(&["Escape"]);
    terminal.wait_screen("no hit any more", |screen| !screen.contains(">one"));
    terminal.press(&["&", "tw"]);
    terminal.wait_screen("only one line", |screen| !screen.contains("one"));
    terminal.press(&["Escape"]);
    terminal.wait_text("one");
    // Back to a time, with the time before each line, and to the end again.
    terminal.press(&["@", "1h", "Enter"]);
    terminal.wait_screen("the time of both lines", |screen| {
        screen.contains("from ") && screen.matches(':').count() >= 6
    });
    terminal.press(&["G"]);
    terminal.wait_text("follows");
    terminal.press(&["v"]);
    terminal.wait_text("COLOUR=blue");
    assert!(!terminal.screen().contains("s3cr3t"));
    terminal.press(&["u", "/", "API_TOKEN", "Enter"]);
    terminal.wait_text("API_TOKEN=s3cr3t");
    terminal.press(&["Escape"]);
    terminal.wait_screen("no search any more", |screen| {
        !screen.contains("/API_TOKEN")
    });
    terminal.press(&["C"]);
    terminal.wait_text("compare with");
    terminal.press(&["oth", "Tab", "Enter"]);
    terminal.wait_text("with other  uncovered");
    terminal.press(&["h"]);
    terminal.wait_text("started (run 1, PID:");
    terminal.press(&["t"]);
    terminal.wait_text("└─ sleep 100000");
    terminal.press(&["i"]);
    terminal.wait_text("Process: api (ID: 1)");
    terminal.press(&["p"]);
    terminal.wait_text("no process declares a port");
    terminal.press(&["q"]);
    terminal.wait_text("status 0");
}

#[test]
fn an_editor_has_the_terminal_for_itself() {
    let bed = Bed::new();
    bed.start_idle("api");
    let editor = bed.script(
        "editor.sh",
        "#!/bin/sh\nprintf 'in the editor: '; read word; echo \"export TYPED=$word\" >>\"$1\"\n",
    );
    let line = format!("EDITOR={} \"$0\" tui", editor.display());
    let Some(terminal) = Terminal::open(&bed, &line) else {
        return;
    };
    terminal.wait_text("1 running");
    terminal.press(&["e"]);
    terminal.wait_text("in the editor:");
    assert!(!terminal.is_alternate());
    // Letters are the editor's, not commands of the dashboard.
    terminal.press(&["qqq", "Enter"]);
    terminal.wait_text("log of api");
    assert!(terminal.is_alternate());
    let shown = bed.tsm(["env", "show", "api", "TYPED"]).ok().stdout;
    assert!(shown.contains("TYPED=qqq"), "{shown}");
    terminal.press(&["q"]);
    terminal.wait_text("status 0");
}

#[test]
fn a_stop_gives_the_terminal_back_and_goes_on_where_it_was() {
    let bed = Bed::new();
    bed.start_idle("api");
    let Some(terminal) =
        Terminal::open(&bed, "PS1='ready$ ' TSM=\"$0\" bash --norc --noprofile -i")
    else {
        return;
    };
    terminal.wait_text("ready$");
    terminal.press(&["\"$TSM\" tui", "Enter"]);
    terminal.wait_text("1 running");
    terminal.press(&["C-z"]);
    terminal.wait_text("Stopped");
    assert!(!terminal.is_alternate());
    terminal.press(&["echo c''ooked", "Enter"]);
    terminal.wait_screen("what is typed and printed", |screen| {
        screen.contains("echo c''ooked\ncooked")
    });
    terminal.press(&["fg", "Enter"]);
    terminal.wait_text("log of api");
    assert!(terminal.is_alternate());
    terminal.press(&["?"]);
    terminal.wait_text("Keys: overview");
    terminal.press(&["Escape"]);
    terminal.wait_screen("no help any more", |screen| !screen.contains("Keys:"));
    terminal.press(&["q"]);
    terminal.wait_screen("the prompt again", |screen| {
        screen.trim_end().ends_with("ready$")
    });
    assert!(!terminal.is_alternate());
}
