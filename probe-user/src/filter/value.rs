//! What the filters are given: text comes in, a value that can be asked or one
//! sentence about what is wrong with the text goes out.

use std::{fmt, net::IpAddr, str::FromStr};

use crate::model::{
    cgroup::{Cgroup, Container},
    owner::Owner,
};

/// A process, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PidFilter(pub u32);

impl FromStr for PidFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.parse().ok().filter(|pid| *pid != 0);
        number.map(Self).ok_or_else(|| {
            format!("`{text}` is not a process number; write a PID as `ss -ltnp` shows it")
        })
    }
}

impl fmt::Display for PidFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.0)
    }
}

impl PidFilter {
    pub fn takes(self, owner: &Owner) -> bool {
        owner.pid == self.0
    }
}

/// include/linux/sched.h:TASK_COMM_LEN, without the 0 at its end.
const COMM_BYTES: usize = 15;

/// Processes, by the name that the kernel keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommFilter(String);

impl FromStr for CommFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if (1..=COMM_BYTES).contains(&text.len()) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "`{text}` is not a process name, which has 1 to {COMM_BYTES} bytes; write it as `ps -o comm` shows it"
        ))
    }
}

impl fmt::Display for CommFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "processes named {}", self.0)
    }
}

impl CommFilter {
    pub fn takes(&self, owner: &Owner) -> bool {
        owner.comm == self.0
    }
}

/// A cgroup and all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupFilter(String);

impl FromStr for CgroupFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with('/') && !text.starts_with("/sys/fs/cgroup") {
            return Ok(Self(text.trim_end_matches('/').to_owned()));
        }
        Err(format!(
            "`{text}` is not the path of a cgroup; write it without its mount point, such as /system.slice/nginx.service"
        ))
    }
}

impl fmt::Display for CgroupFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cgroup {}",
            if self.0.is_empty() { "/" } else { &self.0 }
        )
    }
}

impl CgroupFilter {
    pub fn takes(&self, cgroup: &Cgroup) -> bool {
        let below = cgroup.path.strip_prefix(&self.0);
        below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
    }
}

/// Fewer digits are too easily those of another one.
const CONTAINER_DIGITS: std::ops::RangeInclusive<usize> = 6..=64;

/// A container, by the beginning of its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerFilter(String);

impl FromStr for ContainerFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_hex = text.bytes().all(|b| b.is_ascii_hexdigit());
        if is_hex && CONTAINER_DIGITS.contains(&text.len()) {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        Err(format!(
            "`{text}` is not a container; write the first 6 to 64 hexadecimal digits of its id, as `docker ps` or `crictl ps` shows it"
        ))
    }
}

impl fmt::Display for ContainerFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "container {}", self.0)
    }
}

impl ContainerFilter {
    pub fn takes(&self, container: &Container) -> bool {
        container.id.starts_with(&self.0)
    }
}

/// Clients, by address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientFilter {
    network: IpAddr,
    /// How many of the network's first bits count.
    bits: u8,
}

impl FromStr for ClientFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_network(text).ok_or_else(|| {
            format!("`{text}` is not a client; write 10.0.0.1, 10.0.0.0/8 or fd00::/8")
        })
    }
}

fn parse_network(text: &str) -> Option<ClientFilter> {
    let (addr, bits) = match text.split_once('/') {
        Some((addr, bits)) => (addr, Some(bits)),
        None => (text, None),
    };
    let addr: IpAddr = addr.parse().ok()?;
    let network = addr.to_canonical();
    let longest = width(network);
    // The bits of ::ffff:0:0/96 say that it is an IPv4 address, and are not its own.
    let mapping = width(addr) - longest;
    let bits = match bits {
        Some(bits) if bits.bytes().all(|b| b.is_ascii_digit()) => {
            bits.parse::<u8>().ok()?.checked_sub(mapping)?
        }
        Some(_) => return None,
        None => longest,
    };
    (bits <= longest).then_some(ClientFilter { network, bits })
}

const fn width(addr: IpAddr) -> u8 {
    if addr.is_ipv4() { 32 } else { 128 }
}

impl fmt::Display for ClientFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {}", self.as_given())
    }
}

impl ClientFilter {
    /// As it was given.
    pub fn as_given(&self) -> String {
        if self.bits < width(self.network) {
            format!("{}/{}", self.network, self.bits)
        } else {
            self.network.to_string()
        }
    }

    /// Whether an address is one of those.
    pub fn takes(&self, client: IpAddr) -> bool {
        let ignored = u32::from(width(self.network) - self.bits);
        let difference = match (self.network, client.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(client)) => {
                u128::from(network.to_bits() ^ client.to_bits())
            }
            (IpAddr::V6(network), IpAddr::V6(client)) => network.to_bits() ^ client.to_bits(),
            _ => return false,
        };
        difference.checked_shr(ignored).unwrap_or(0) == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check_client(filter: &str, client: &str, expect: bool) {
        let filter: ClientFilter = filter.parse().expect("a filter");
        let client: IpAddr = client.parse().expect("an address");
        assert_eq!(filter.takes(client), expect, "{filter} on {client}");
    }

    #[test]
    fn a_network_takes_its_clients_however_they_are_written() {
        check_client("10.0.0.1", "10.0.0.1", true);
        check_client("10.0.0.1", "::ffff:10.0.0.1", true);
        check_client("::ffff:10.0.0.1", "10.0.0.1", true);
        check_client("10.0.0.1", "10.0.0.2", false);
        check_client("10.0.0.0/8", "10.255.255.255", true);
        check_client("10.1.2.3/8", "10.9.9.9", true);
        check_client("10.0.0.0/8", "11.0.0.0", false);
        check_client("::ffff:10.0.0.0/104", "10.9.9.9", true);
        check_client("::ffff:10.0.0.0/104", "11.0.0.0", false);
        check_client("0.0.0.0/0", "1.2.3.4", true);
        check_client("0.0.0.0/0", "fd00::1", false);
        check_client("::/0", "fd00::1", true);
        check_client("::/0", "1.2.3.4", false);
        check_client("fd00::/8", "fdff::1", true);
        check_client("fd00::/8", "fe00::1", false);
        check_client("fd00::1", "fd00::2", false);
    }

    fn check_cgroup(filter: &str, path: &str, expect: bool) {
        let filter: CgroupFilter = filter.parse().expect("a filter");
        let cgroup = Cgroup::of(path.to_owned());
        assert_eq!(filter.takes(&cgroup), expect, "{filter} on {path}");
    }

    #[test]
    fn a_cgroup_takes_what_is_below_it() {
        check_cgroup("/a.slice", "/a.slice", true);
        check_cgroup("/a.slice/", "/a.slice/b.service", true);
        check_cgroup("/a.slice", "/a.slice2", false);
        check_cgroup("/a.slice/b.service", "/a.slice", false);
        check_cgroup("/", "/", true);
        check_cgroup("/", "/a.slice", true);
    }

    #[test]
    fn a_container_is_known_by_how_its_id_begins() {
        let container = Container {
            id: "0123456789abcdef".repeat(4),
            runtime: None,
        };
        let takes = |text: &str| text.parse().map(|f: ContainerFilter| f.takes(&container));
        assert_eq!(takes("012345"), Ok(true));
        assert_eq!(takes("0123456789ABCDEF"), Ok(true));
        assert_eq!(takes("123456"), Ok(false));
    }

    fn refused<T: FromStr<Err = String> + fmt::Debug>(texts: &[&str]) {
        for text in texts {
            let error = text.parse::<T>().expect_err(text);
            assert!(error.contains(&format!("`{text}` is not ")), "{error}");
            assert!(error.contains("; write "), "{error}");
        }
    }

    #[test]
    fn nonsense_gets_a_sentence() {
        refused::<PidFilter>(&["", "0", "-1", "nginx", "99999999999"]);
        refused::<CommFilter>(&["", "a-name-that-no-process-has"]);
        refused::<CgroupFilter>(&["", "system.slice", "/sys/fs/cgroup/system.slice"]);
        refused::<ContainerFilter>(&["", "01234", "012345g", &"a".repeat(65)]);
        refused::<ClientFilter>(&[
            "",
            "10.0.0.1/33",
            "10.0.0.1/",
            "10.0.0.1/+8",
            "10.0.0.1:80",
            "fd00::/129",
            "::ffff:10.0.0.1/64",
            "/8",
            "localhost",
        ]);
    }

    proptest! {
        #[test]
        fn a_network_takes_exactly_those_that_begin_as_it(network: u32, client: u32, bits in 0_u8..=32) {
            let filter = ClientFilter { network: IpAddr::V4(network.into()), bits };
            let same = (0..bits).all(|bit| (network ^ client) >> (31 - bit) & 1 == 0);
            prop_assert_eq!(filter.takes(IpAddr::V4(client.into())), same);
            prop_assert!(filter.takes(IpAddr::V4(network.into())));
        }

        #[test]
        fn any_text_is_a_value_or_a_sentence(text in "[0-9a-f:./ g]{0,24}") {
            let _ = text.parse::<PidFilter>();
            let _ = text.parse::<CommFilter>();
            let _ = text.parse::<CgroupFilter>();
            let _ = text.parse::<ContainerFilter>();
            let _ = text.parse::<ClientFilter>();
        }
    }
}
