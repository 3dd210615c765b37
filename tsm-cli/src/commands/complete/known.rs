//! Values that an option or an argument often has, where the parser takes more than these.

use crate::commands::schema;

const SIGNALS: &[&str] = &[
    "HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "TERM", "CONT", "STOP", "WINCH",
];

/// Of the option or argument with this id; nothing where there are none that stand out.
pub(super) fn values(id: &str) -> Vec<&'static str> {
    let values: &[&str] = match id {
        "restart" => &["no", "on-failure", "always"],
        "signal" | "stop_signal" | "reload_signal" | "watch_signal" => SIGNALS,
        "log_mode" => &["pipe", "direct"],
        "log_on_full" => &["wait", "drop"],
        "log_compress" => &["yes", "no"],
        "health_action" => &["restart", "report"],
        "health" => &["tcp"],
        "ready" => &["port", "notify"],
        "port" => &["auto"],
        "instances" | "count" => &["max"],
        "schedule" => &["@hourly", "@daily", "@weekly", "@monthly"],
        "since" => &["10m", "1h", "1d", "start", "last-start", "last-crash"],
        "platform" => &["systemd", "openrc", "cron"],
        "document" => return schema::names().collect(),
        _ => &[],
    };
    values.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_one_that_the_parser_takes() {
        use clap::error::ErrorKind;
        let mut seen = 0;
        for command in crate::args::whole().get_subcommands() {
            for arg in command.get_arguments() {
                for value in values(arg.get_id().as_str()) {
                    let typed = match arg.get_long() {
                        Some(long) => format!("--{long}={value}"),
                        None => value.to_owned(),
                    };
                    let words = ["tsm", command.get_name(), "api", &typed];
                    let words = words.map(std::ffi::OsString::from).to_vec();
                    let wrong = crate::app::parse(words).err().map(|error| error.kind());
                    let refused = [ErrorKind::ValueValidation, ErrorKind::InvalidValue];
                    assert!(
                        wrong.is_none_or(|wrong| !refused.contains(&wrong)),
                        "{} {typed}",
                        command.get_name()
                    );
                    seen += 1;
                }
            }
        }
        assert!(seen > 60, "{seen}");
    }
}
