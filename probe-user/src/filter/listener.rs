//! A listener as people write it: what `ss` prints, what a URL has, or a port alone.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use crate::loader::Wanted;

/// Names of the usual services (IANA). A static binary cannot ask the C library, which would read /etc/services.
const SERVICES: [(&str, u16); 24] = [
    ("amqp", 5672),
    ("domain", 53),
    ("ftp", 21),
    ("http", 80),
    ("http-alt", 8080),
    ("https", 443),
    ("imap", 143),
    ("imaps", 993),
    ("kerberos", 88),
    ("ldap", 389),
    ("ldaps", 636),
    ("memcache", 11211),
    ("ms-sql-s", 1433),
    ("mysql", 3306),
    ("pop3", 110),
    ("pop3s", 995),
    ("postgresql", 5432),
    ("redis", 6379),
    ("smtp", 25),
    ("ssh", 22),
    ("submission", 587),
    ("submissions", 465),
    ("telnet", 23),
    ("webcache", 8080),
];

/// `localhost`: which of the two it is depends on who connects.
const LOCALHOST: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// `PORT`, `:PORT`, `*:PORT`, `ADDR:PORT`, `[ADDR]:PORT` or `localhost:PORT`; a port may have the name of its service. An unspecified
/// address is every address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerFilter {
    at: At,
    port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Any,
    Localhost,
    Only(IpAddr),
}

impl FromStr for ListenerFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a listener; write 8080, :8080, 10.0.0.1:8080, [fd00::1]:8080, localhost:8080 or :http"
            )
        };
        let (at, port) = text.rsplit_once(':').unwrap_or(("", text));
        let port = port_of(port).ok_or_else(wrong)?;
        let at = match at {
            "" | "*" => At::Any,
            "localhost" => At::Localhost,
            at => address(at).map(At::of).ok_or_else(wrong)?,
        };
        Ok(Self { at, port })
    }
}

/// A number from 1, or the name of a service.
fn port_of(text: &str) -> Option<u16> {
    if let Some((_, port)) = SERVICES.iter().find(|(name, _)| *name == text) {
        return Some(*port);
    }
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|port| *port != 0);
    port.filter(|_| is_number)
}

/// Without brackets, as netstat prints an IPv6 address, what follows its last colon is the port: one has to be there.
fn address(text: &str) -> Option<IpAddr> {
    let bracketed = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    match bracketed {
        Some(text) => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    }
}

impl At {
    const fn of(addr: IpAddr) -> Self {
        let addr = addr.to_canonical();
        if addr.is_unspecified() {
            Self::Any
        } else {
            Self::Only(addr)
        }
    }
}

impl fmt::Display for ListenerFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            At::Any => write!(f, ":{}", self.port),
            At::Localhost => write!(f, "localhost:{}", self.port),
            At::Only(addr) => SocketAddr::new(addr, self.port).fmt(f),
        }
    }
}

impl ListenerFilter {
    /// Whether it names this address.
    pub fn takes(&self, addr: SocketAddr) -> bool {
        let ip = addr.ip().to_canonical();
        let is_there = match self.at {
            At::Any => true,
            At::Localhost => LOCALHOST.contains(&ip),
            At::Only(wanted) => wanted == ip,
        };
        is_there && addr.port() == self.port
    }

    /// Whether a listener bound to `addr` can get packets for this filter.
    pub fn takes_listener(&self, addr: SocketAddr) -> bool {
        self.takes(addr) || addr.ip().is_unspecified() && addr.port() == self.port
    }

    /// The port that is asked for.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The address that is asked for, if it is a certain one.
    pub const fn addr(&self) -> Option<IpAddr> {
        match self.at {
            At::Only(addr) => Some(addr),
            At::Any | At::Localhost => None,
        }
    }

    /// As the kernel side is told of it.
    pub fn wanted(&self) -> impl Iterator<Item = Wanted> {
        let port = self.port;
        let addrs = match self.at {
            At::Any => vec![None],
            At::Localhost => LOCALHOST.map(Some).to_vec(),
            At::Only(addr) => vec![Some(addr)],
        };
        addrs.into_iter().map(move |addr| (addr, port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(filter: &str, addr: &str, expect: bool) {
        let filter: ListenerFilter = filter.parse().expect("a filter");
        let addr: SocketAddr = addr.parse().expect("an address");
        assert_eq!(filter.takes(addr), expect, "{filter} on {addr}");
    }

    #[test]
    fn a_port_takes_every_address_and_an_address_only_itself() {
        check(":80", "10.0.0.1:80", true);
        check(":80", "10.0.0.1:81", false);
        check("10.0.0.1:80", "10.0.0.1:80", true);
        check("10.0.0.1:80", "[::ffff:10.0.0.1]:80", true);
        check("10.0.0.1:80", "10.0.0.2:80", false);
        check("0.0.0.0:80", "10.0.0.2:80", true);
        check("[fd00::1]:80", "[fd00::1]:80", true);
        check("localhost:80", "127.0.0.1:80", true);
        check("localhost:80", "[::1]:80", true);
        check("localhost:80", "127.0.0.2:80", false);
    }

    /// The same listener, in all the ways that people have it at hand.
    #[test]
    fn each_way_to_write_it() {
        let check = |text: &str, expect: &str| {
            let filter = text.parse::<ListenerFilter>();
            let shown = filter.map(|filter| filter.to_string());
            assert_eq!(shown, Ok(expect.to_owned()), "{text}");
        };
        for text in [
            "8080",
            ":8080",
            "*:8080",
            "[::]:8080",
            ":::8080",
            "0.0.0.0:8080",
            ":http-alt",
            "webcache",
        ] {
            check(text, ":8080");
        }
        check("http", ":80");
        check("[::1]:https", "[::1]:443");
        check("localhost:8080", "localhost:8080");
        check("10.0.0.1:8080", "10.0.0.1:8080");
        check("[::ffff:10.0.0.1]:8080", "10.0.0.1:8080");
        check("[fd00::1]:8080", "[fd00::1]:8080");
        check("::1:8080", "[::1]:8080");
    }

    /// What it prints it reads: advice is pasted.
    #[test]
    fn what_is_shown_is_the_same_again() {
        for text in ["8080", "localhost:http", "[fd00::1]:1", "10.0.0.1:65535"] {
            let filter: ListenerFilter = text.parse().expect("a filter");
            assert_eq!(filter.to_string().parse(), Ok(filter), "{text}");
        }
    }

    #[test]
    fn nonsense_gets_a_sentence() {
        for text in [
            "",
            ":",
            ":0",
            "0",
            "10.0.0.1",
            "10.0.0.1:0",
            ":99999",
            "99999",
            "fd00::1",
            "+80",
            "80 ",
            ":+80",
            "nowhere:80",
            ":nothing",
            "[10.0.0.1]:80",
            "[fd00::1",
        ] {
            let error = text.parse::<ListenerFilter>().expect_err(text);
            assert!(error.contains("is not a listener; write 8080"), "{error}");
        }
    }

    #[test]
    fn services_are_in_order_and_once() {
        assert!(SERVICES.is_sorted_by(|one, next| one.0 < next.0));
    }
}
