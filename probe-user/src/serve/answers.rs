//! What a request is answered.

use std::sync::Arc;

use super::service::Shared;
use crate::sink::Exposition;

/// The first line and the one header that matters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) path: String,
    pub(super) is_head: bool,
    pub(super) wants_open: bool,
}

/// A status with its reason, and what is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: &'static str,
    pub(super) content_type: &'static str,
    pub(super) body: String,
}

impl Reply {
    pub(super) fn plain(status: &'static str, body: impl Into<String>) -> Self {
        let mut body = body.into();
        body.push('\n');
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body,
        }
    }

    /// All of it; without the body where only its head was asked for.
    pub(super) fn bytes(&self, is_head: bool) -> Vec<u8> {
        let head = format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.status,
            self.content_type,
            self.body.len()
        );
        let mut bytes = head.into_bytes();
        if !is_head {
            bytes.extend_from_slice(self.body.as_bytes());
        }
        bytes
    }
}

impl Request {
    /// Of a whole header, or why it is answered at once.
    pub(super) fn of(header: &[u8]) -> Result<Self, Reply> {
        let text = String::from_utf8_lossy(header);
        let mut lines = text.lines();
        let first: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
        let [method, target, version] = first[..] else {
            return Err(Reply::plain(
                "400 Bad Request",
                "this is no request of HTTP/1.1",
            ));
        };
        if !version.starts_with("HTTP/1.") {
            let why = "HTTP/1.0 and HTTP/1.1 only";
            return Err(Reply::plain("505 HTTP Version Not Supported", why));
        }
        if !matches!(method, "GET" | "HEAD") {
            return Err(Reply::plain("405 Method Not Allowed", "GET or HEAD only"));
        }
        let accept = lines.filter_map(|line| line.split_once(':'));
        let mut accept = accept.filter(|(name, _)| name.eq_ignore_ascii_case("accept"));
        Ok(Self {
            path: target.split('?').next().unwrap_or_default().to_owned(),
            is_head: method == "HEAD",
            wants_open: accept.any(|(_, value)| value.contains("application/openmetrics-text")),
        })
    }

    pub(super) fn answer(&self, shared: &Arc<Shared>) -> Reply {
        match self.path.as_str() {
            "/metrics" => match shared.families() {
                Ok(families) => {
                    let form = if self.wants_open {
                        Exposition::Open
                    } else {
                        Exposition::Classic
                    };
                    Reply {
                        status: "200 OK",
                        content_type: form.content_type(),
                        body: form.write(&families),
                    }
                }
                Err(why) => Reply::plain("503 Service Unavailable", why),
            },
            "/healthz" => told(shared.health()),
            "/readyz" => told(shared.readiness()),
            "/" => Reply::plain("200 OK", "whydrop: /metrics, /healthz, /readyz"),
            _ => Reply::plain("404 Not Found", "there are /metrics, /healthz and /readyz"),
        }
    }
}

fn told(said: Result<String, String>) -> Reply {
    match said {
        Ok(words) => Reply::plain("200 OK", words),
        Err(words) => Reply::plain("503 Service Unavailable", words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(header: &str, status: &str) {
        let reply = Request::of(header.as_bytes()).expect_err("no request");
        assert_eq!(reply.status.split(' ').next(), Some(status), "{header:?}");
    }

    #[test]
    fn requests() {
        let request = |header: &str| Request::of(header.as_bytes()).expect("a request");
        let plain = request("GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!((plain.path.as_str(), plain.wants_open), ("/metrics", false));
        let open = "HEAD / HTTP/1.0\r\nACCEPT: a/b, application/openmetrics-text;version=1.0.0\r\n";
        let open = request(open);
        assert!(open.wants_open && open.is_head);
        refused("GET /metrics\r\n", "400");
        refused("", "400");
        refused("GET / HTTP/2.0\r\n\r\n", "505");
        refused("POST /metrics HTTP/1.1\r\n\r\n", "405");
    }
}
