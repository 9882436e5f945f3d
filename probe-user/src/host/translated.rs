//! Connections that are sent to another address than the one they were made to (DNAT), as the table of tracked connections has
//! them. A connection that is answered with a reset at once is taken out of it (net/netfilter/nf_conntrack_proto_tcp.c:
//! nf_conntrack_tcp_packet, 5.10 to 6.18), so those are not found.
//!
//! In: a namespace and a port that clients use. Out: where that comes out, and how many had no answer. Rules are not asked for:
//! what was translated stands in the table, whoever wrote the rule.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use super::netns::{Registry, current, inside};
use super::sysctl;

/// Entries that are looked at: the table of a large host has half as many.
const ENTRIES_AT_MOST: usize = 1_000_000;

/// Ways that are told apart.
const WAYS_AT_MOST: usize = 64;

/// `nf_conntrack_tcp_timeout_syn_sent`, where it cannot be read (net/netfilter/nf_conntrack_proto_tcp.c, 5.10 to 6.18).
const TIMEOUT_SYN_SENT: u32 = 120;

/// Connections that go one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub connections: u64,
    /// Whose SYN had no answer for a second or longer.
    pub unanswered: u64,
}

/// From where clients connect to where that comes out.
pub type Ways = BTreeMap<(SocketAddr, SocketAddr), Counted>;

/// Of connections to `port` in this namespace those that are translated; unanswered are those that tried within this many
/// seconds, or at any time. `None` where the kernel tracks no connections, so that
/// it translates none, and where the namespace has ended. An error is a sentence.
pub fn of_port(
    registry: &mut Registry,
    netns: u32,
    port: u16,
    within: Option<u32>,
) -> Result<Option<Ways>, String> {
    let names = [
        "netfilter/nf_conntrack_max",
        "netfilter/nf_conntrack_tcp_timeout_syn_sent",
    ];
    let failed = |error: &dyn std::fmt::Display| {
        format!("where connections of netns {netns} are sent to is not known: {error}")
    };
    let [tracks, timeout] = match sysctl::read(registry, netns, names) {
        Ok(read) => read,
        // Nothing is translated there any more.
        Err(error) if error.is_gone() => return Ok(None),
        Err(error) => return Err(failed(&error)),
    };
    if tracks.is_none() {
        return Ok(None);
    }
    let timeout = timeout.unwrap_or(TIMEOUT_SYN_SENT);
    let here = move || read(port, (timeout, within));
    let read = if current().is_ok_and(|own| own == netns) {
        here()
    } else {
        let namespace = registry.open(netns).map_err(|error| failed(&error))?;
        inside(namespace.as_fd(), here).and_then(|ways| ways)
    };
    match read {
        Ok(ways) => Ok(Some(ways)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(failed(&"this kernel shows no /proc/net/nf_conntrack"))
        }
        Err(error) => Err(failed(&format!("/proc/net/nf_conntrack: {error}"))),
    }
}

fn read(port: u16, times: (u32, Option<u32>)) -> io::Result<Ways> {
    let file = File::open("/proc/thread-self/net/nf_conntrack")?;
    ways(BufReader::new(file), port, times, ENTRIES_AT_MOST)
}

fn ways(
    mut table: impl BufRead,
    port: u16,
    times: (u32, Option<u32>),
    at_most: usize,
) -> io::Result<Ways> {
    let mut ways = Ways::new();
    // Taking a line apart takes ten times as long as finding out that it is another's.
    let theirs = format!("dport={port} ");
    let mut line = String::new();
    let mut entries = 0;
    loop {
        line.clear();
        if table.read_line(&mut line)? == 0 {
            break;
        }
        entries += 1;
        if entries > at_most {
            let says = format!("it has more than {at_most} entries");
            return Err(io::Error::new(ErrorKind::FileTooLarge, says));
        }
        if !line.contains(&theirs) {
            continue;
        }
        let Some(entry) = Entry::of(&line).filter(|entry| entry.from.port() == port) else {
            continue;
        };
        let way = (entry.from, entry.to);
        if entry.from == entry.to || ways.len() >= WAYS_AT_MOST && !ways.contains_key(&way) {
            continue;
        }
        let counted = ways.entry(way).or_default();
        counted.connections += 1;
        counted.unanswered += u64::from(entry.is_unanswered(times));
    }
    Ok(ways)
}

/// A TCP connection of the table.
struct Entry<'a> {
    /// Seconds until it is forgotten.
    left: u32,
    state: &'a str,
    is_unreplied: bool,
    /// Where the client has connected to.
    from: SocketAddr,
    /// Who answers.
    to: SocketAddr,
}

impl<'a> Entry<'a> {
    /// `ipv4 2 tcp 6 117 SYN_SENT src=… dst=… sport=… dport=… [UNREPLIED] src=… dst=… sport=… dport=… …`: the second four are
    /// those of an answer (net/netfilter/nf_conntrack_standalone.c:ct_seq_show, 5.10 to 6.18).
    fn of(line: &'a str) -> Option<Self> {
        let mut words = line.split_whitespace();
        if words.nth(2)? != "tcp" {
            return None;
        }
        let left = words.nth(1)?.parse().ok()?;
        let state = words.next()?;
        let words = words.clone();
        let values = |name: &'static str| words.clone().filter_map(move |w| w.strip_prefix(name));
        let to: IpAddr = values("dst=").next()?.parse().ok()?;
        let to_port = values("dport=").next()?.parse().ok()?;
        let answers: IpAddr = values("src=").nth(1)?.parse().ok()?;
        let answers_port = values("sport=").nth(1)?.parse().ok()?;
        Some(Self {
            left,
            state,
            is_unreplied: words.clone().any(|word| word == "[UNREPLIED]"),
            from: SocketAddr::new(to, to_port),
            to: SocketAddr::new(answers, answers_port),
        })
    }

    /// An answer takes its time: each SYN begins the timeout anew.
    fn is_unanswered(&self, (timeout, within): (u32, Option<u32>)) -> bool {
        let age = timeout.saturating_sub(self.left);
        let is_of_then = age >= 1 && within.is_none_or(|within| age <= within);
        self.state == "SYN_SENT" && self.is_unreplied && is_of_then
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 6.18.
    const TABLE: &str = "\
ipv4     2 tcp      6 117 SYN_SENT src=172.30.0.1 dst=172.30.0.1 sport=43210 dport=8080 [UNREPLIED] src=172.30.0.2 dst=172.30.0.1 sport=80 dport=43210 mark=0 zone=0 use=2
ipv4     2 tcp      6 120 SYN_SENT src=172.30.0.1 dst=172.30.0.1 sport=43211 dport=8080 [UNREPLIED] src=172.30.0.2 dst=172.30.0.1 sport=80 dport=43211 mark=0 zone=0 use=2
ipv4     2 tcp      6 9 CLOSE src=172.30.0.1 dst=172.30.0.1 sport=43212 dport=8080 src=172.30.0.2 dst=172.30.0.1 sport=80 dport=43212 mark=0 zone=0 use=2
ipv4     2 tcp      6 431999 ESTABLISHED src=172.30.0.1 dst=172.30.0.1 sport=43213 dport=8080 src=172.30.0.2 dst=172.30.0.1 sport=80 dport=43213 [ASSURED] mark=0 zone=0 use=2
ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=43213 dport=8080 src=10.0.0.2 dst=10.0.0.1 sport=8080 dport=43213 [ASSURED] mark=0 zone=0 use=2
ipv4     2 udp      17 29 src=10.0.0.1 dst=10.0.0.2 sport=53 dport=8080 [UNREPLIED] src=10.0.0.3 dst=10.0.0.1 sport=80 dport=53 mark=0 zone=0 use=2
ipv6     10 tcp      6 3 SYN_SENT src=fd00::1 dst=fd00::9 sport=1 dport=8080 [UNREPLIED] src=fd00::2 dst=fd00::1 sport=80 dport=1 mark=0 zone=0 use=2
";

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn what_is_translated_is_counted_by_what_became_of_it() {
        let ways = ways(TABLE.as_bytes(), 8080, (120, None), 100).expect("a table");
        // Those that tried before were answered by nobody, too, but are of another time.
        let recent = super::ways(TABLE.as_bytes(), 8080, (120, Some(2)), 100).expect("a table");
        let unanswered = |ways: &Ways| ways.values().map(|one| one.unanswered).sum::<u64>();
        assert_eq!((unanswered(&ways), unanswered(&recent)), (2, 0));
        // What was not read may have been one.
        let cut = super::ways(TABLE.as_bytes(), 8080, (120, None), 1).expect_err("more entries");
        assert!(cut.to_string().contains("more than 1"), "{cut}");
        let v4 = (at("172.30.0.1:8080"), at("172.30.0.2:80"));
        let v6 = (at("[fd00::9]:8080"), at("[fd00::2]:80"));
        assert_eq!(ways.keys().copied().collect::<Vec<_>>(), [v4, v6]);
        let expect = Counted {
            connections: 4,
            unanswered: 1,
        };
        assert_eq!(
            ways[&v4], expect,
            "the newest may have its answer under way"
        );
        assert_eq!(ways[&v6].unanswered, 1);
    }

    #[test]
    fn other_ports_and_nonsense_are_nobody() {
        for (table, port) in [(TABLE, 80), ("", 8080), ("ipv4 2 tcp 6 x\n\n", 8080)] {
            let ways = ways(table.as_bytes(), port, (120, None), 100).expect("a table");
            assert!(ways.is_empty(), "{ways:?}");
        }
    }
}
