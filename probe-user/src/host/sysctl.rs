//! The sysctls that shape what a listener does, of any network namespace.
//!
//! In: a namespace's inode number. Out: the values there at this moment. It never sets one, and a sysctl that this kernel does
//! not show is `None`.

use std::fs;
use std::os::fd::AsFd;

use super::netns::{NetnsError, Registry, current, inside};
use super::procfs::number;
use crate::model::sysctls::ListenSysctls;

/// Those that shape what a listener does.
pub fn listen(registry: &mut Registry, netns: u32) -> Result<ListenSysctls, NetnsError> {
    let names = [
        "core/somaxconn",
        "ipv4/tcp_syncookies",
        "ipv4/tcp_abort_on_overflow",
    ];
    let [somaxconn, syncookies, abort_on_overflow] = read(registry, netns, names)?;
    Ok(ListenSysctls {
        somaxconn,
        syncookies,
        abort_on_overflow,
    })
}

/// Numbers in the order of `names`, which stand below net/, read inside the namespace: /proc/sys/net is that of the task which looks.
pub fn read<const N: usize>(
    registry: &mut Registry,
    netns: u32,
    names: [&'static str; N],
) -> Result<[Option<u32>; N], NetnsError> {
    let here = move || names.map(value);
    if current().is_ok_and(|own| own == netns) {
        return Ok(here());
    }
    let namespace = registry.open(netns)?;
    inside(namespace.as_fd(), here).map_err(|source| NetnsError::enter(netns, source))
}

/// Two numbers of one sysctl; `None` where this kernel does not show them.
pub fn pair(
    registry: &mut Registry,
    netns: u32,
    name: &'static str,
) -> Result<Option<(u32, u32)>, NetnsError> {
    let here = move || {
        let text = fs::read(format!("/proc/sys/net/{name}")).ok()?;
        let mut words = text
            .split(u8::is_ascii_whitespace)
            .filter(|w| !w.is_empty());
        Some((number(words.next()?)?, number(words.next()?)?))
    };
    if current().is_ok_and(|own| own == netns) {
        return Ok(here());
    }
    let namespace = registry.open(netns)?;
    inside(namespace.as_fd(), here).map_err(|source| NetnsError::enter(netns, source))
}

/// Ranges of ports of one sysctl, as `8080,9000-9010`; `None` where this kernel does not show them.
pub fn ranges(
    registry: &mut Registry,
    netns: u32,
    name: &'static str,
) -> Result<Option<Vec<(u16, u16)>>, NetnsError> {
    let here = move || ranges_of(&fs::read_to_string(format!("/proc/sys/net/{name}")).ok()?);
    if current().is_ok_and(|own| own == netns) {
        return Ok(here());
    }
    let namespace = registry.open(netns)?;
    inside(namespace.as_fd(), here).map_err(|source| NetnsError::enter(netns, source))
}

fn ranges_of(text: &str) -> Option<Vec<(u16, u16)>> {
    let ranges = text.trim().split(',').filter(|range| !range.is_empty());
    let range = |range: &str| {
        let (low, high) = range.split_once('-').unwrap_or((range, range));
        Some((low.parse().ok()?, high.parse().ok()?))
    };
    ranges.map(range).collect()
}

fn value(name: &str) -> Option<u32> {
    let text = fs::read(format!("/proc/sys/net/{name}")).ok()?;
    number(text.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_ports() {
        assert_eq!(ranges_of("\n"), Some(Vec::new()));
        let both = Some(vec![(8080, 8080), (9000, 9010)]);
        assert_eq!(ranges_of("8080,9000-9010\n"), both);
        assert_eq!(ranges_of("8080,x"), None);
    }
}
