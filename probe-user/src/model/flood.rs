//! What the kernel's log says of a SYN flood.

/// Whether a message about a SYN flood names this port.
pub fn names_port(message: &str, port: u16) -> bool {
    port_of(message) == Some(port)
}

/// The port that a line of the kernel's log about a SYN flood names (net/ipv4/tcp_input.c:tcp_syn_flood_action).
pub fn port_of(message: &str) -> Option<u16> {
    let (_, place) = message.split_once("Possible SYN flooding on port ")?;
    let place = place.split(". ").next()?;
    let named = place.rsplit_once(':').map_or(place, |(_, port)| port);
    named.trim_end_matches('.').parse().ok()
}
