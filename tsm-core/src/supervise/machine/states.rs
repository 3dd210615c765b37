//! The words of the machine: what a process is, what can happen to it, and what is to be done.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a person wants of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Desired {
    /// That it runs.
    Up,
    /// That it does not.
    Down,
    /// That it and its record go.
    Gone,
}

/// Why nothing of it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rest {
    /// Somebody asked for it.
    Stopped,
    /// It ended with exit status 0.
    Exited,
    /// It failed and is not started again.
    Failed,
}

/// What follows when everything of a run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Next {
    /// Nothing.
    Rest(Rest),
    /// The next run; `asked` where a person waits for it.
    Launch {
        /// Whether a person waits for it.
        asked: bool,
    },
    /// The next run at this time.
    Wait {
        /// When.
        until: Duration,
        /// In the slow lane.
        slow: bool,
    },
    /// The record goes.
    Remove,
}

/// How far the ending of a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// The hook before the end runs; nothing was asked to end yet.
    PreStop,
    /// The hook after the end runs.
    PostStop,
    /// The leader is gone; whether anything else is left is being looked at.
    Check,
    /// The process group was asked to end.
    Group {
        /// When its time is over.
        until: Duration,
    },
    /// All else was asked to end.
    Rest {
        /// When its time is over.
        until: Duration,
    },
    /// All was sent SIGKILL.
    Kill {
        /// When it counts as resisting.
        until: Duration,
    },
    /// Something is left that SIGKILL did not end.
    Resisting,
}

/// Where a process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Nothing of it is meant to run.
    Resting(Rest),
    /// Its child waits or is about to execute the program.
    Launching {
        /// Whether a person waits for it.
        asked: bool,
    },
    /// The program runs.
    Running {
        /// Since when.
        since: Duration,
    },
    /// All of a run is being ended.
    Ending {
        /// How far that is.
        stage: Stage,
        /// Whether the leader has not ended yet.
        leader: bool,
        /// What follows.
        next: Next,
    },
    /// It waits to be started again.
    Waiting {
        /// Until when.
        until: Duration,
        /// In the slow lane.
        slow: bool,
    },
    /// It is to be started, and what it needs of others is not there yet.
    Held {
        /// Whether a person waits for it.
        asked: bool,
    },
    /// It runs and is to be ended, when those that need it have ended.
    Lingering {
        /// Since when it runs.
        since: Duration,
        /// What follows its end.
        next: Next,
    },
    /// Its record is gone.
    Removed,
}

/// How a process is tied to others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ties {
    /// Something that it needs is not there: it is not launched.
    pub held: bool,
    /// Something that needs it is just being ended: it is not asked to end before.
    pub needed: bool,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A person wants it to run.
    Start,
    /// A person wants it to end; `force`: without being asked first.
    Stop {
        /// SIGKILL at once.
        force: bool,
    },
    /// A person wants it ended and started.
    Restart,
    /// A person wants it ended and forgotten.
    Delete,
    /// The supervisor ends and takes it along; what a person wants of it stays as it is.
    ShutDown {
        /// SIGKILL at once.
        force: bool,
    },
    /// The program was executed.
    Launched,
    /// The program could not be executed.
    LaunchFailed,
    /// The leader ended before it executed anything, because its supervisor had died: what was asked for still is.
    NeverExecuted,
    /// The leader ended.
    Exited {
        /// With exit status 0.
        success: bool,
    },
    /// The leader ended, and nobody can say how: it counts as a failure, but may have ended well.
    EndedUnseen,
    /// It runs, and is not what it should be (not ready in time, not healthy): its run has failed.
    Unfit,
    /// The hook that was asked for has ended, however.
    HookDone,
    /// What of the run is left, zombies not counted.
    Swept {
        /// In the leader's process group.
        group: u32,
        /// Elsewhere.
        rest: u32,
    },
    /// All that was left and watched has ended.
    LeftGone,
    /// The time that [`Machine::deadline`](super::Machine::deadline) named has come.
    Deadline,
    /// A person wants restarts counted anew.
    Reset,
    /// Its [`Ties`] have changed.
    Tied,
}

/// How hard a signal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// The stop signal (to the group) or SIGTERM (to the rest), with SIGCONT behind it.
    Ask,
    /// SIGKILL.
    Kill,
}

/// What the supervisor has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Begin a new run.
    Launch,
    /// Note who belongs to the run, before the first signal.
    Remember,
    /// Run the hook before the end, and say so by [`Event::HookDone`].
    PreStopHook,
    /// Run the hook after the end, and say so by [`Event::HookDone`].
    PostStopHook,
    /// Signal the leader's process group.
    SignalGroup(Force),
    /// Signal all else that belongs to the run.
    SignalRest(Force),
    /// Look what of the run is left, watch it, and say so by [`Event::Swept`].
    Sweep,
    /// Remove the record.
    Remove,
    /// Tell the commands that wait, and the history.
    Report(Report),
}

/// What commands and the history are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// It runs.
    Started,
    /// It waits for others.
    Held,
    /// It could not be executed, and a person waited for it.
    StartFailed,
    /// Nothing of it is left, as asked.
    Stopped,
    /// Something of it resists SIGKILL.
    Resists,
    /// It will be started again in this time.
    Backoff {
        /// In how long.
        delay: Duration,
        /// In the slow lane.
        slow: bool,
    },
    /// It is not started again.
    GaveUp,
    /// It ended by itself and policy leaves it so.
    Ended,
    /// It is ready.
    Ready,
    /// It was not ready in time.
    NotReady,
    /// It is healthy: for the first time in this run, or again.
    Healthy,
    /// It is not healthy.
    Unhealthy,
    /// Its record is gone.
    Removed,
}
