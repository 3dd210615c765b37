//! What a file says of readiness and health.

use super::Reader;
use super::care::Map;
use crate::config::keys;
use crate::config::node::{Node, Place, Value};
use crate::spec::{
    HealthAction, HealthCheck, HealthSpec, HttpCheck, ReadyCheck, ReadySpec, checks::OWN_PORT,
};

impl Reader<'_> {
    /// An address: a whole one, or a path on the process's own port.
    fn http(&mut self, node: &Node) -> Option<HttpCheck> {
        if !matches!(node.value, Value::Map(_)) {
            let text = self.text(node)?;
            let url = url(&text, "http", "127.0.0.1", None);
            return self.parsed(node.at, HttpCheck::new(url));
        }
        let map = self.map(node, keys::HTTP);
        self.http_of(&map, node.at, "http")
    }

    fn http_of(&mut self, map: &Map<'_>, at: Place, scheme: &str) -> Option<HttpCheck> {
        let text = |reader: &mut Self, name: &str| map.get(name).and_then(|node| reader.text(node));
        let host = text(self, "host").unwrap_or_else(|| "127.0.0.1".to_owned());
        let own = map
            .get("port")
            .and_then(|node| self.number(node, 1, 65_535));
        let path = text(self, "url").or_else(|| text(self, "path"));
        let path = path.unwrap_or_else(|| "/".to_owned());
        let url = url(&path, scheme, &host, own);
        let mut check = self.parsed(at, HttpCheck::new(url))?;
        check.method = text(self, "method");
        check.body = text(self, "body");
        if let Some(node) = map.get("status") {
            let nodes = match &node.value {
                Value::List(items) => items.as_slice(),
                _ => std::slice::from_ref(node),
            };
            let statuses = nodes.iter().filter_map(|node| self.number(node, 100, 599));
            check.status = statuses.map(|status| status as u16).collect();
        }
        check.insecure = map
            .get("insecure")
            .and_then(|node| self.boolean(node))
            .unwrap_or(false);
        Some(check)
    }

    /// That a process which is asked at its own port has one.
    fn check_port(&mut self, at: Place, is_at_own: bool, has_port: bool) {
        if is_at_own && !has_port {
            let message = "here is no port to ask at: give the process a `port`, or write here which one is meant";
            self.mistake(at, message);
        }
    }

    pub(super) fn ready(&mut self, node: &Node, has_port: bool) -> Option<ReadySpec> {
        let ready = self.ready_of(node)?;
        self.check_port(node.at, ready.check.is_at_own_port(), has_port);
        Some(ready)
    }

    fn ready_of(&mut self, node: &Node) -> Option<ReadySpec> {
        if !matches!(node.value, Value::Map(_)) {
            let text = self.text(node)?;
            return self.parsed(node.at, text.parse()).map(ReadySpec::new);
        }
        let before = self.mistakes.len();
        let map = self.map(node, keys::READY);
        let mut checks: Vec<Option<ReadyCheck>> = Vec::new();
        if let Some(node) = map.get("port") {
            checks.push(match &node.value {
                Value::Bool(true) => Some(ReadyCheck::Port(None)),
                _ => self
                    .number(node, 1, 65_535)
                    .map(|port| ReadyCheck::Port(Some(port as u16))),
            });
        }
        if let Some(node) = map.get("http") {
            checks.push(self.http(node).map(ReadyCheck::Http));
        }
        if let Some(node) = map.get("log") {
            let pattern = self.text(node).unwrap_or_default();
            checks.push(self.parsed(node.at, ReadyCheck::log(&pattern)));
        }
        if let Some(node) = map.get("command") {
            checks.push(self.command(node).map(ReadyCheck::Command));
        }
        if let Some(node) = map.get("notify")
            && self.boolean(node) == Some(true)
        {
            checks.push(Some(ReadyCheck::Notify));
        }
        if let Some(node) = map.get("fd") {
            let number = self.number(node, 0, i64::from(u16::MAX)).unwrap_or(0) as u16;
            checks.push(self.parsed(node.at, ReadyCheck::fd(number)));
        }
        if checks.len() != 1 {
            // A key that was reported as unknown may have been meant as the missing one.
            if self.mistakes.len() == before {
                let message = "`ready` says one thing: port, http, log, command, notify or fd";
                self.mistake(node.at, message);
            }
            return None;
        }
        let mut ready = ReadySpec::new(checks.remove(0)?);
        if let Some(timeout) = map.get("timeout").and_then(|node| self.ms(node)) {
            ready.timeout_ms = timeout;
        }
        Some(ready)
    }

    pub(super) fn health(&mut self, node: &Node, has_port: bool) -> Option<HealthSpec> {
        let health = self.health_of(node)?;
        self.check_port(node.at, health.check.is_at_own_port(), has_port);
        Some(health)
    }

    fn health_of(&mut self, node: &Node) -> Option<HealthSpec> {
        if !matches!(node.value, Value::Map(_)) {
            let text = self.text(node)?;
            return self.parsed(node.at, text.parse()).map(HealthSpec::new);
        }
        let map = self.map(node, keys::HEALTH);
        let enabled = map.get("enabled").and_then(|node| self.boolean(node));
        if enabled == Some(false) {
            return None;
        }
        let protocol = map.get("protocol").and_then(|node| self.text(node));
        let protocol = protocol.unwrap_or_else(|| {
            let word = if map.get("command").is_some() {
                "command"
            } else {
                "http"
            };
            word.to_owned()
        });
        let check = match protocol.as_str() {
            "none" => None,
            "tcp" => {
                let host = map.get("host").and_then(|node| self.text(node));
                let own = map
                    .get("port")
                    .and_then(|node| self.number(node, 1, 65_535));
                Some(HealthCheck::Tcp {
                    host: host.unwrap_or_else(|| "127.0.0.1".to_owned()),
                    port: own.map(|port| port as u16),
                })
            }
            "command" => {
                let command = map.get("command");
                if command.is_none() {
                    self.mistake(node.at, "here is no `command` to check with");
                }
                command
                    .and_then(|node| self.command(node))
                    .map(HealthCheck::Command)
            }
            "watchdog" => Some(HealthCheck::Watchdog),
            "http" | "https" => self
                .http_of(&map, node.at, &protocol)
                .map(HealthCheck::Http),
            other => {
                self.mistake(node.at, format!("'{other}' is no protocol of checks"));
                None
            }
        };
        let mut health = HealthSpec::new(check?);
        for (name, time) in [
            ("interval", &mut health.interval_ms),
            ("timeout", &mut health.timeout_ms),
            ("startPeriod", &mut health.start_period_ms),
        ] {
            if let Some(given) = map.get(name).and_then(|node| self.ms(node)) {
                *time = given;
            }
        }
        health.initial_delay_ms = map.get("initialDelay").and_then(|node| self.ms(node));
        let retries = map
            .get("retries")
            .and_then(|node| self.number(node, 1, 1000));
        if let Some(retries) = retries {
            health.retries = retries as u32;
        }
        if let Some(node) = map.get("action") {
            let text = self.text(node)?;
            health.action = self.parsed(node.at, text.parse::<HealthAction>())?;
        }
        Some(health)
    }
}

/// A whole address; a path is one on this host, at the process's own port where none is named.
fn url(text: &str, scheme: &str, host: &str, port: Option<i64>) -> String {
    if text.contains("://") {
        return text.to_owned();
    }
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let port = port.map_or_else(|| OWN_PORT.to_owned(), |port| port.to_string());
    let slash = if text.starts_with('/') { "" } else { "/" };
    format!("{scheme}://{host}:{port}{slash}{text}")
}
