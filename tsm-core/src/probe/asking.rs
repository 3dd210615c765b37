//! Asking a server how it is. Whoever asks waits for the answer: the supervisor does so in a thread of its own.

use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;
use ureq::tls::{RootCerts, TlsConfig};

use super::ports::belongs;
use crate::spec::HttpCheck;
use crate::sys::{Identity, listening, procfs};

/// So much of a body is read, to look for a text in it.
const LONGEST_BODY: u64 = 1 << 20;

/// Why a server is not as it should be, or could not be asked. The words are for people.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AskError {
    /// It is to be asked at the port of its process, and that has none.
    #[error("it has no port of its own to be asked at")]
    NoPort,
    /// Nobody has it: no name, no connection, no valid certificate, no HTTP.
    #[error("{url}: {source}")]
    NoAnswer {
        /// What was asked.
        url: String,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer came in time.
    #[error("{url} did not answer within {}", crate::words::seconds(timeout.as_millis() as u64))]
    TooLate {
        /// What was asked.
        url: String,
        /// How long it had.
        timeout: Duration,
    },
    /// It answered with a status that is not a good one.
    #[error("{url} answered with status {status}")]
    Status {
        /// What was asked.
        url: String,
        /// The status of HTTP.
        status: u16,
    },
    /// The answer is not the right one.
    #[error("the answer of {url} does not contain '{text}'")]
    Body {
        /// What was asked.
        url: String,
        /// What was looked for in it.
        text: String,
    },
    /// The name of the host has no address.
    #[error("{host}: {source}")]
    Lookup {
        /// The host.
        host: String,
        /// Why not.
        source: io::Error,
    },
    /// There was no time to try any address of the host.
    #[error("{host} has no address")]
    NoAddress {
        /// The host.
        host: String,
    },
    /// No connection to the address that was tried last.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// No process of the run listens on the port.
    #[error("nobody listens on port {port}")]
    Nobody {
        /// The port.
        port: u16,
    },
    /// The kernel does not tell who listens.
    #[error(transparent)]
    Sockets(io::Error),
}

impl AskError {
    fn no_answer(url: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::NoAnswer {
            url: url.to_owned(),
            source: error.into(),
        }
    }

    fn of(url: &str, error: ureq::Error, timeout: Duration) -> Self {
        match error {
            ureq::Error::Timeout(_) => Self::TooLate {
                url: url.to_owned(),
                timeout,
            },
            ureq::Error::Io(error) => Self::no_answer(url, error),
            error => Self::no_answer(url, error),
        }
    }
}

/// Sends a request and looks at the answer.
///
/// # Errors
/// What is wrong: no answer in time, another status, a body without the text.
pub fn ask_http(check: &HttpCheck, timeout: Duration) -> Result<(), AskError> {
    let url = || check.url.clone();
    let request = ureq::http::Request::builder()
        .method(check.method.as_deref().unwrap_or("GET"))
        .uri(&check.url)
        .body(())
        .map_err(|error| AskError::no_answer(&check.url, error))?;
    let mut response = agent(timeout, check.insecure)
        .run(request)
        .map_err(|error| AskError::of(&check.url, error, timeout))?;
    let status = response.status().as_u16();
    // As a redirect is an answer, 3xx is good unless the check says otherwise.
    let good = if check.status.is_empty() {
        (200..400).contains(&status)
    } else {
        check.status.contains(&status)
    };
    if !good {
        return Err(AskError::Status { url: url(), status });
    }
    let Some(text) = &check.body else {
        return Ok(());
    };
    let mut body = Vec::new();
    let read = response
        .body_mut()
        .as_reader()
        // A server may send without end.
        .take(LONGEST_BODY)
        .read_to_end(&mut body);
    read.map_err(|error| AskError::no_answer(&check.url, error))?;
    // By bytes: the answer need not be UTF-8.
    let found = !text.is_empty() && body.windows(text.len()).any(|part| part == text.as_bytes());
    if found || text.is_empty() {
        return Ok(());
    }
    Err(AskError::Body {
        url: url(),
        text: text.clone(),
    })
}

/// Makes a TCP connection and closes it.
///
/// # Errors
/// Why none could be made.
pub fn ask_tcp(host: &str, port: u16, timeout: Duration) -> Result<(), AskError> {
    let until = Instant::now() + timeout;
    let own_host = || host.to_owned();
    let addresses = (host, port)
        .to_socket_addrs()
        .map_err(|source| AskError::Lookup {
            host: own_host(),
            source,
        })?;
    let mut last = AskError::NoAddress { host: own_host() };
    for address in addresses {
        // All addresses together have the time of one check.
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(_) => return Ok(()),
            Err(source) => last = AskError::Connect { address, source },
        }
    }
    Err(last)
}

/// Tells an address something: a POST of JSON that is answered with 200 to 299.
///
/// # Errors
/// What is wrong: no answer in time, another status.
pub fn post(
    url: &str,
    headers: &[(String, String)],
    body: &str,
    timeout: Duration,
) -> Result<(), AskError> {
    let mut request = agent(timeout, false)
        .post(url)
        .header("Content-Type", "application/json");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let response = request
        .send(body)
        .map_err(|error| AskError::of(url, error, timeout))?;
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    Err(AskError::Status {
        url: url.to_owned(),
        status: status.as_u16(),
    })
}

fn agent(timeout: Duration, insecure: bool) -> ureq::Agent {
    let tls = TlsConfig::builder()
        // The certificates that this machine trusts, those of a company among them.
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .disable_verification(insecure)
        .build();
    let config = ureq::Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(timeout))
        // The answer itself is what is asked for.
        .http_status_as_error(false)
        // A redirect is an answer as well.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(concat!("tsm/", env!("CARGO_PKG_VERSION")))
        .build();
    ureq::Agent::new_with_config(config)
}

/// Somebody of a run who is to listen on a port.
pub(crate) struct ListenerOf {
    /// The main process of the run.
    pub(crate) leader: Identity,
    /// How the cookies of its processes begin.
    pub(crate) cookie: String,
    /// The port.
    pub(crate) port: u16,
}

impl ListenerOf {
    /// Looks whether somebody of the run listens there. Whoever began to listen since the run began counts too, where
    /// nobody can tell whose it is: a container that the run started is nobody's child.
    pub(crate) fn look(&self) -> Result<(), AskError> {
        let nobody = || Err(AskError::Nobody { port: self.port });
        let sockets = listening::tcp_on(self.port).map_err(AskError::Sockets)?;
        if sockets.is_empty() {
            return nobody();
        }
        let holders = listening::holders(&sockets);
        for inode in &sockets {
            let Some(&pid) = holders.get(inode) else {
                // Another user's.
                return Ok(());
            };
            if belongs(pid, self.leader, &self.cookie) {
                return Ok(());
            }
            if procfs::start_time(pid).is_some_and(|start| start > self.leader.start) {
                return Ok(());
            }
        }
        nobody()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// Answers one request with this, and returns the address.
    fn server(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            stream.write_all(answer.as_bytes()).unwrap();
        });
        format!("http://{address}/health")
    }

    const TIMEOUT: Duration = Duration::from_secs(20);

    #[test]
    fn a_status_from_200_to_399_is_good_where_none_is_named() {
        let moved = "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n";
        let sick = "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";
        let check = |answer| HttpCheck::new(server(answer)).unwrap();
        ask_http(&check(moved), TIMEOUT).unwrap();
        let told = ask_http(&check(sick), TIMEOUT).unwrap_err().to_string();
        assert!(told.ends_with("answered with status 503"), "{told}");
        let mut wanted = check(sick);
        wanted.status = vec![503];
        ask_http(&wanted, TIMEOUT).unwrap();
    }

    #[test]
    fn a_body_has_to_contain_what_is_asked_for() {
        let fine = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"status\":\"up\"}";
        for (text, good) in [("\"up\"", true), ("down", false)] {
            let mut check = HttpCheck::new(server(fine)).unwrap();
            check.body = Some(text.to_owned());
            assert_eq!(ask_http(&check, TIMEOUT).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn who_does_not_answer_in_time_or_is_not_there_has_failed() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap();
        let check = HttpCheck::new(format!("http://{address}/")).unwrap();
        let told = ask_http(&check, Duration::from_millis(100)).unwrap_err();
        assert!(matches!(told, AskError::TooLate { .. }), "{told:?}");
        let told = told.to_string();
        assert!(told.contains("did not answer within 0.1 s"), "{told}");
        ask_tcp("127.0.0.1", address.port(), TIMEOUT).unwrap();
        drop(silent);
        let told = ask_tcp("127.0.0.1", address.port(), TIMEOUT).unwrap_err();
        let told = told.to_string();
        assert!(told.contains("cannot connect to 127.0.0.1:"), "{told}");
    }

    #[test]
    fn a_listener_is_told_by_whose_it_is() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = Identity {
            pid: std::process::id(),
            start: procfs::start_time(std::process::id()).unwrap(),
        };
        let mut of = ListenerOf {
            leader: own,
            cookie: "nobody:".to_owned(),
            port: listener.local_addr().unwrap().port(),
        };
        of.look().unwrap();
        // Who was there before the run is not of the run.
        of.leader = Identity {
            pid: 1,
            start: own.start + 1,
        };
        assert!(of.look().is_err());
        drop(listener);
        of.leader = own;
        assert!(of.look().is_err());
    }
}
