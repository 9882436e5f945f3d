//! The half-open requests of a port, as /proc/net/tcp lists them.

use anyhow::{Context, Result};

use crate::netns::Netns;

/// How many requests wait for their ACK at this port of the namespace.
pub fn half_open(netns: &Netns, port: u16) -> Result<usize> {
    netns.run(|| {
        // Those of a dual-stack listener are IPv6 ones whatever their packets are.
        ["tcp", "tcp6"].iter().try_fold(0, |sum, file| {
            let path = format!("/proc/thread-self/net/{file}");
            let table = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
            Ok(sum + count(&table, port))
        })
    })?
}

/// A row is: number, local address and port, remote ones, state, and more.
fn count(table: &str, port: u16) -> usize {
    const SYN_RECV: &str = "03";
    let port = format!(":{port:04X}");
    let is_request = |row: &&str| {
        let mut fields = row.split_whitespace().skip(1);
        fields.next().is_some_and(|local| local.ends_with(&port)) && fields.nth(1) == Some(SYN_RECV)
    };
    table.lines().filter(is_request).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_requests_of_the_port_are_counted() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n\
             0: 0100630A:1F90 00000000:0000 0A 00000000:00000000\n\
             1: 0100630A:1F90 0201630A:4E22 03 00000000:00000000\n\
             2: 0100630A:1F91 0301630A:4E23 03 00000000:00000000\n";
        assert_eq!(count(table, 8080), 1);
    }
}
