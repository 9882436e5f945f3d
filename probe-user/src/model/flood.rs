//! What the kernel's log says of a SYN flood.

use std::net::IpAddr;

/// A line of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub mono_ns: u64,
    pub says: String,
}

/// Whether a message about a SYN flood may be about a listener at one of these addresses. It names the port; the address
/// that the listener is bound to only since 6.2, and its namespace never (net/ipv4/tcp_input.c:tcp_syn_flood_action).
pub fn may_be_about(message: &str, port: u16, bound: &[IpAddr]) -> bool {
    let Some((addr, named)) = place_of(message) else {
        return false;
    };
    let is_bound = |addr: IpAddr| bound.is_empty() || bound.contains(&addr);
    named == port && addr.is_none_or(is_bound)
}

/// Whether it is about a SYN flood at all.
pub fn is_one(message: &str) -> bool {
    place_of(message).is_some()
}

fn place_of(message: &str) -> Option<(Option<IpAddr>, u16)> {
    let (_, place) = message.split_once("Possible SYN flooding on port ")?;
    let place = place.split(". ").next()?.trim_end_matches('.');
    let Some((addr, port)) = place.rsplit_once(':') else {
        return Some((None, place.parse().ok()?));
    };
    let addr = addr.trim_start_matches('[').trim_end_matches(']');
    Some((addr.parse().ok(), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_about_what_it_names() {
        let bound = |addr: &str| -> Vec<IpAddr> { vec![addr.parse().expect("an address")] };
        let v6 = "TCP: request_sock_TCP: Possible SYN flooding on port [::]:8080. Sending cookies.";
        let v4 = "TCP: request_sock_TCP: Possible SYN flooding on port 127.0.0.1:8080. Dropping request.";
        let old = "TCP: request_sock_TCP: Possible SYN flooding on port 8080. Dropping request.  Check SNMP counters.";
        assert!(may_be_about(v6, 8080, &bound("::")));
        assert!(!may_be_about(v6, 8080, &bound("0.0.0.0")));
        assert!(may_be_about(v4, 8080, &bound("127.0.0.1")));
        assert!(!may_be_about(v4, 80, &bound("127.0.0.1")));
        assert!(may_be_about(old, 8080, &bound("10.0.0.1")));
        // Nobody listens there now, so nothing is known of where somebody did.
        assert!(may_be_about(v4, 8080, &[]));
        assert!(!is_one("TCP: other"));
    }
}
