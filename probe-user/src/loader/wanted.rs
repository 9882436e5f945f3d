//! Tells the kernel side which listeners' records are wanted, before anything is attached.

use std::net::{IpAddr, Ipv4Addr};

use aya::{
    Ebpf,
    maps::{HashMap, MapData},
};
use probe_common::{WantedKey, wanted};
use zerocopy::IntoBytes;

const KEY: usize = size_of::<WantedKey>();

/// Listeners in the kernel side's map at most, a quarter of its entries: each is up to three.
const AT_MOST: usize = 64;

/// A listener by port, and by address where one was given.
pub type Wanted = (Option<IpAddr>, u16);

/// Whether the kernel side has room for so many; otherwise the user side alone leaves out.
pub(super) fn fits(listeners: &[Wanted]) -> bool {
    !listeners.is_empty() && listeners.len() <= AT_MOST
}

/// The entries that stand for these listeners.
fn entries(listeners: &[Wanted]) -> Vec<(WantedKey, u32)> {
    let key = |addr: [u8; 16], port: u16| WantedKey {
        addr,
        port: u32::from(port),
    };
    let mut entries = Vec::new();
    for (addr, port) in listeners {
        match addr {
            None => {}
            // An IPv6 socket has it mapped.
            Some(IpAddr::V4(ip)) => {
                entries.push((key(of_ipv4(*ip), *port), wanted::SOME));
                entries.push((key(ip.to_ipv6_mapped().octets(), *port), wanted::SOME));
            }
            Some(IpAddr::V6(ip)) => entries.push((key(ip.octets(), *port), wanted::SOME)),
        }
        // A port that is wanted whole is wanted whole, whatever else is said of it.
        let is_whole = listeners.contains(&(None, *port));
        let all = if is_whole { wanted::ALL } else { wanted::SOME };
        entries.push((key([0; 16], *port), all));
    }
    entries
}

fn of_ipv4(ip: Ipv4Addr) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&ip.octets());
    bytes
}

pub(super) fn fill(ebpf: &mut Ebpf, listeners: &[Wanted]) -> Result<(), String> {
    let map = ebpf.map_mut("WANTED").ok_or("it has no map WANTED")?;
    let mut map: HashMap<&mut MapData, [u8; KEY], u32> =
        map.try_into().map_err(|error| format!("WANTED: {error}"))?;
    for (key, value) in entries(listeners) {
        let mut raw = [0; KEY];
        raw.copy_from_slice(key.as_bytes());
        map.insert(raw, value, 0)
            .map_err(|error| format!("WANTED: {error}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_wanted_whole_or_for_some_addresses() {
        let any = |port| {
            move |listeners: &[Wanted]| {
                entries(listeners)
                    .into_iter()
                    .filter(|(key, _)| key.addr == [0; 16] && key.port == port)
                    .map(|(_, value)| value)
                    .collect::<Vec<_>>()
            }
        };
        let of_80 = any(80);
        let one = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert_eq!(of_80(&[(one, 80)]), [wanted::SOME]);
        assert_eq!(of_80(&[(None, 80)]), [wanted::ALL]);
        assert_eq!(of_80(&[(one, 80), (None, 80)]), [wanted::ALL; 2]);
        assert_eq!(of_80(&[(one, 81)]), [0_u32; 0]);
    }

    #[test]
    fn an_ipv4_address_is_wanted_mapped_too() {
        let entries = entries(&[(Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), 80)]);
        let addrs: Vec<[u8; 16]> = entries.iter().map(|(key, _)| key.addr).collect();
        assert!(addrs.contains(&Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets()));
        assert_eq!(entries.len(), 3);
    }

    #[test]
    fn too_many_are_left_to_the_user_side() {
        assert!(!fits(&[]));
        assert!(fits(&vec![(None, 1); AT_MOST]));
        assert!(!fits(&vec![(None, 1); AT_MOST + 1]));
    }
}
