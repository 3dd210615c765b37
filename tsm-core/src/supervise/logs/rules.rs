//! How the logs of each process are kept, and where they are.

use std::path::PathBuf;

use crate::config::HomeDefaults;
use crate::logs::Stream;
use crate::spec::{LogRules, LogSettings, LogTarget};
use crate::supervise::supervisor::Supervisor;

/// What was said of the logs of one process.
pub(in crate::supervise) struct OwnLogs {
    settings: LogSettings,
}

impl OwnLogs {
    /// `None` where nothing was said.
    pub(in crate::supervise) fn of(settings: &LogSettings) -> Option<Box<Self>> {
        let own = || {
            Box::new(Self {
                settings: settings.clone(),
            })
        };
        (!settings.is_empty()).then(own)
    }

    pub(super) fn settings(&self) -> &LogSettings {
        &self.settings
    }

    pub(super) fn target(&self, stream: Stream) -> Option<&LogTarget> {
        match stream {
            Stream::Out => self.settings.out.as_ref(),
            Stream::Err => self.settings.err.as_ref(),
        }
    }
}

/// Where a log is, and how it is kept.
#[derive(Clone)]
pub(in crate::supervise) struct LogPlace {
    pub(in crate::supervise) path: PathBuf,
    pub(super) rules: LogRules,
}

impl Supervisor {
    /// Reads what was said of all processes of the home. A file with mistakes in it changes nothing.
    pub(in crate::supervise) fn read_defaults(&mut self) {
        match HomeDefaults::read(&self.writer.home().defaults()) {
            Ok(defaults) => self.logs.defaults = defaults.logs,
            Err(error) => {
                self.notices.push(error.to_string());
                self.log.say(error);
            }
        }
    }

    /// `None` for what is no process.
    pub(in crate::supervise) fn log_place(&self, id: u32, stream: Stream) -> Option<LogPlace> {
        let service = self.services.get(&id)?;
        let home = self.writer.home();
        let nothing = LogSettings::default();
        let settings = service.logs.as_ref().map_or(&nothing, |own| &own.settings);
        let mut rules = settings.rules(&self.logs.defaults);
        let target = service.logs.as_ref().and_then(|own| own.target(stream));
        let path = match target {
            Some(LogTarget::File(path)) => {
                // Whoever names a file looks after it with a tool of their own, unless they say otherwise.
                if settings.max_size.is_none() {
                    rules.max_size = u64::MAX;
                }
                if settings.max_age_ms.is_none() {
                    rules.max_age_ms = 0;
                }
                path.as_path().to_owned()
            }
            _ => match stream {
                Stream::Out => home.out_log(&service.name),
                Stream::Err => home.err_log(&service.name),
            },
        };
        Some(LogPlace { path, rules })
    }

    /// Whether a log is a file of the home, so that its segments are TSM's alone.
    pub(super) fn is_in_the_home(&self, id: u32, stream: Stream) -> bool {
        let own = self.services.get(&id).and_then(|s| s.logs.as_ref());
        own.is_none_or(|own| own.target(stream).is_none())
    }
}

/// What the record says of files outside the home: of standard output, and of standard error.
pub(in crate::supervise) fn files_of(settings: &LogSettings) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let words = |target: &Option<LogTarget>| match target {
        None => None,
        Some(LogTarget::File(path)) => Some(path.as_bytes().to_vec()),
        Some(LogTarget::Same) => Some(b"same".to_vec()),
        Some(LogTarget::Null) => Some(b"/dev/null".to_vec()),
    };
    (words(&settings.out), words(&settings.err))
}
