//! The kernel's own counters of one network namespace: /proc/net/netstat and /proc/net/snmp.
//!
//! In: a namespace's inode number (or the two texts). Out: [`Counters`], asked by the kernel's names.
//! It never interprets a counter, and a column it does not know is simply there to be asked for.

use std::fmt;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::CWD;

use super::netns::{self, NetnsError, Registry};
use super::procfs::{number, read_small};

/// Why counters of a namespace cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NetstatError {
    /// The file cannot be read.
    #[error("{file} of network namespace {netns} could not be read: {source}")]
    Read {
        /// The file, below /proc/PID/net.
        file: String,
        /// The inode number of its network namespace.
        netns: u32,
        /// What the kernel answered.
        source: io::Error,
    },
    #[error(
        "/proc/net/netstat and /proc/net/snmp hold no TcpExt and no Tcp counters; is this the /proc of a Linux kernel with CONFIG_PROC_FS and IPv4?"
    )]
    /// Its names and numbers do not match.
    Malformed,
    /// The namespace cannot be entered.
    #[error(transparent)]
    Netns(#[from] NetnsError),
}

impl NetstatError {
    /// Whether that is what a namespace that has ended looks like.
    pub fn is_gone(&self) -> bool {
        matches!(self, NetstatError::Netns(error) if error.is_gone())
    }
}

/// The `TcpExt` and `Tcp` counters of a namespace at one instant.
///
/// It keeps the kernel's lines and looks names up by walking them: a reading each second for each namespace asks for
/// ten names of a hundred and fifty, which is not worth a map.
#[derive(Clone, PartialEq, Eq)]
pub struct Counters {
    lines: Vec<u8>,
}

impl Counters {
    /// Takes what is needed out of the text of /proc/net/netstat and /proc/net/snmp.
    pub fn parse(netstat: &[u8], snmp: &[u8]) -> Result<Counters, NetstatError> {
        let mut counters = Counters { lines: Vec::new() };
        counters.add(netstat);
        counters.add(snmp);
        counters.checked()
    }

    /// Takes the sections of one file that are not there yet.
    fn add(&mut self, text: &[u8]) {
        for section in [b"TcpExt:".as_slice(), b"Tcp:"] {
            if pairs(&self.lines).any(|pair| pair.section == section) {
                continue;
            }
            if let Some(pair) = pairs(text).find(|pair| pair.section == section) {
                for line in [pair.names, pair.values] {
                    self.lines.extend_from_slice(section);
                    self.lines.extend_from_slice(line);
                    self.lines.push(b'\n');
                }
            }
        }
    }

    fn checked(self) -> Result<Counters, NetstatError> {
        if self.lines.is_empty() {
            Err(NetstatError::Malformed)
        } else {
            Ok(self)
        }
    }

    /// A counter by the kernel's name: `ListenOverflows`, `TCPReqQFullDrop`, `OutRsts`… `None` when this kernel has none of that name.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.words()
            .filter(|(known, _)| *known == name.as_bytes())
            .find_map(|(_, value)| number(value))
    }

    /// Several at once, in one walk.
    pub fn all<const N: usize>(&self, names: [&str; N]) -> [Option<u64>; N] {
        let mut found = [None; N];
        for (known, value) in self.words() {
            if let Some(at) = names.iter().position(|name| name.as_bytes() == known) {
                found[at] = found[at].or_else(|| number(value));
            }
        }
        found
    }

    /// Every counter, `TcpExt` first. `Tcp`'s `MaxConn` of -1 is left out: it is no count.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.words()
            .filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, number(value)?)))
    }

    fn words(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let split =
            |line| <[u8]>::split(line, u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        pairs(&self.lines).flat_map(move |pair| split(pair.names).zip(split(pair.values)))
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().filter(|(_, value)| *value != 0))
            .finish()
    }
}

struct Pair<'a> {
    section: &'a [u8],
    names: &'a [u8],
    values: &'a [u8],
}

/// Each line of names followed by a line of values of the same section. A line without its partner is passed over.
fn pairs(text: &[u8]) -> impl Iterator<Item = Pair<'_>> {
    let mut lines = text.split(|&b| b == b'\n').filter_map(|line| {
        let colon = line.iter().position(|&b| b == b':')?;
        Some(line.split_at(colon + 1))
    });
    let mut held = lines.next();
    std::iter::from_fn(move || {
        loop {
            let (section, names) = held?;
            held = lines.next();
            let (next, values) = held?;
            if next == section {
                held = lines.next();
                return Some(Pair {
                    section,
                    names,
                    values,
                });
            }
        }
    })
}

/// The counters of namespace `inum` now: through /proc of a process that lives in it where one is known, else from inside.
pub fn read(registry: &mut Registry, inum: u32) -> Result<Counters, NetstatError> {
    read_files(registry, inum, &["netstat", "snmp"])
}

/// Those of `TcpExt` alone: one file less.
pub fn read_tcp_ext(registry: &mut Registry, inum: u32) -> Result<Counters, NetstatError> {
    read_files(registry, inum, &["netstat"])
}

fn read_files(
    registry: &mut Registry,
    inum: u32,
    files: &'static [&'static str],
) -> Result<Counters, NetstatError> {
    // The reading thread's own namespace needs no way in and no privilege.
    if netns::current().is_ok_and(|current| current == inum) {
        return read_here(inum, files);
    }
    // A process may move to another namespace, or end and leave its number to another one, so it is asked before and after.
    for pid in registry.pids(inum) {
        if netns::inum_of_pid(*pid).is_ok_and(|found| found == inum)
            && let Ok(counters) = read_in(&format!("/proc/{pid}/net"), inum, files)
            && netns::inum_of_pid(*pid).is_ok_and(|found| found == inum)
        {
            return Ok(counters);
        }
    }
    let fd = registry.open(inum)?;
    netns::inside(fd.as_fd(), move || read_here(inum, files))
        .map_err(|source| NetstatError::Netns(NetnsError::enter(inum, source)))?
}

/// The counters of the calling thread's namespace. `/proc/net` would be those of the main thread's.
fn read_here(inum: u32, files: &[&str]) -> Result<Counters, NetstatError> {
    read_in("/proc/thread-self/net", inum, files)
}

fn read_in(dir: &str, inum: u32, files: &[&str]) -> Result<Counters, NetstatError> {
    let mut text = Vec::with_capacity(8192);
    let mut counters = Counters { lines: Vec::new() };
    for name in files {
        let file = format!("{dir}/{name}");
        text.clear();
        read_small(CWD, file.as_str(), &mut text).map_err(|source| NetstatError::Read {
            file,
            netns: inum,
            source,
        })?;
        counters.add(&text);
    }
    counters.checked()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NETSTAT: &str = "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 2 18446744073709551615\nIpExt: InNoRoutes\nIpExt: 7\n";
    const SNMP: &str = "Ip: Forwarding\nIp: 1\nTcp: RtoAlgorithm MaxConn OutRsts InErrs\nTcp: 1 -1 37 4\nUdp: InErrors\nUdp: 9\n";

    fn check(netstat: &str, snmp: &str, name: &str, expect: Option<u64>) {
        let got = Counters::parse(netstat.as_bytes(), snmp.as_bytes())
            .ok()
            .and_then(|c| c.get(name));
        assert_eq!(got, expect, "{name} in {netstat:?} {snmp:?}");
        let several = Counters::parse(netstat.as_bytes(), snmp.as_bytes())
            .map_or([None; 2], |c| c.all(["ListenOverflowsX", name]));
        assert_eq!(several, [None, expect], "{name} in {netstat:?} {snmp:?}");
    }

    #[test]
    fn names_of_both_files() {
        check(NETSTAT, SNMP, "ListenOverflows", Some(2));
        check(NETSTAT, SNMP, "ListenDrops", Some(u64::MAX));
        check(NETSTAT, SNMP, "OutRsts", Some(37));
        check(NETSTAT, SNMP, "InErrs", Some(4));
        check(NETSTAT, SNMP, "MaxConn", None);
        check(NETSTAT, SNMP, "InErrors", None);
        check(NETSTAT, SNMP, "InNoRoutes", None);
        check(NETSTAT, SNMP, "TcpExt:", None);
    }

    #[test]
    fn odd_texts() {
        check("", "", "ListenDrops", None);
        check("TcpExt: A B", "", "A", None);
        check("TcpExt: A B\nTcpExt: 1", "", "A", Some(1));
        check("TcpExt: A B\nTcpExt: 1", "", "B", None);
        check("TcpExt: A\nTcpExt: 1 2 3\n", "", "A", Some(1));
        check("TcpExt: A\nnoise\nTcpExt: 5\n", "", "A", Some(5));
        check("Stray: X\nTcpExt: A\nTcpExt: 5\n", "", "A", Some(5));
        check("TcpExt: A B\nTcpExt: x 6\n", "", "B", Some(6));
    }

    proptest! {
        #[test]
        fn odd_bytes_never_panic(a in proptest::collection::vec(any::<u8>(), 0..300), b in "(TcpExt|Tcp|[a-z]{0,3}):?( -?[A-Za-z0-9]{0,22}){0,6}\n?") {
            for (netstat, snmp) in [(a.as_slice(), b.as_bytes()), (b.as_bytes(), a.as_slice()), (b.as_bytes(), b.as_bytes())] {
                if let Ok(counters) = Counters::parse(netstat, snmp) {
                    for (name, value) in counters.iter() {
                        prop_assert!(!name.is_empty());
                        prop_assert!(counters.get(name).is_some(), "{name} {value}");
                    }
                }
            }
        }

        #[test]
        fn what_the_kernel_writes_is_read_back(names in proptest::collection::btree_set("[A-Z][A-Za-z0-9]{0,20}", 1..150), seed in any::<u64>()) {
            let values: Vec<u64> = (0..names.len() as u64).map(|i| seed.rotate_left(i as u32)).collect();
            let joined = names.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
            let numbers = values.iter().map(u64::to_string).collect::<Vec<_>>().join(" ");
            let counters = Counters::parse(format!("TcpExt: {joined}\nTcpExt: {numbers}\n").as_bytes(), b"").unwrap();
            for (name, value) in names.iter().zip(values) {
                prop_assert_eq!(counters.get(name), Some(value));
            }
        }

        #[test]
        fn a_cut_text_invents_no_counter(cut in 0..=NETSTAT.len(), of_snmp in 0..=SNMP.len()) {
            let Ok(counters) = Counters::parse(&NETSTAT.as_bytes()[..cut], &SNMP.as_bytes()[..of_snmp]) else { return Ok(()) };
            let whole = Counters::parse(NETSTAT.as_bytes(), SNMP.as_bytes()).unwrap();
            for (name, value) in counters.iter() {
                // The number that the cut went through may be shorter.
                let longer = |(known, of_it): (&str, u64)| known == name && of_it.to_string().starts_with(&value.to_string());
                prop_assert!(whole.iter().any(longer), "{} {}", name, value);
            }
        }
    }
}
