//! What lines are made of, appended to them without an allocation and without
//! the machinery of `fmt`, which costs more than all else that an event needs.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4},
    ops::Range,
};

pub(super) fn number(to: &mut String, number: impl itoa::Integer) {
    to.push_str(itoa::Buffer::new().format(number));
}

/// Six digits, of less than a second.
pub(super) fn micros(to: &mut String, micros: u32) {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(1_000_000 + micros).get(1..);
    to.push_str(digits.unwrap_or_default());
}

/// Without a prefix, in small letters.
pub(super) fn hex(to: &mut String, number: u64) {
    let digits = 16 - (number | 1).leading_zeros() / 4;
    for place in (0..digits).rev() {
        let digit = (number >> (4 * place) & 0xf) as u8;
        to.push(char::from(match digit {
            0..=9 => b'0' + digit,
            _ => b'a' + digit - 10,
        }));
    }
}

/// As `Display` has it.
pub(super) fn address(to: &mut String, addr: SocketAddr) {
    match addr {
        SocketAddr::V4(v4) => ipv4(to, *v4.ip()),
        SocketAddr::V6(v6) => {
            to.push('[');
            ipv6(to, *v6.ip());
            if v6.scope_id() != 0 {
                to.push('%');
                number(to, v6.scope_id());
            }
            to.push(']');
        }
    }
    to.push(':');
    number(to, addr.port());
}

/// Each octet with a dot behind it, and spaces up to four characters.
const DOTTED: [[u8; 4]; 256] = {
    let mut all = [[b' '; 4]; 256];
    let mut octet = 0;
    while octet < 256 {
        let width = octet_width(octet as u8);
        let mut nth = 0;
        while nth < width {
            all[octet][nth] = OCTETS.as_bytes()[4 * octet + 1 + nth];
            nth += 1;
        }
        all[octet][width] = b'.';
        octet += 1;
    }
    all
};

/// An IPv4 address and its port have so many characters at most.
pub(super) const COLUMN: usize = 21;

/// An IPv4 address and port as text, made in one place and then copied: whole, in its parts, or as a column.
#[repr(align(16))]
pub(super) struct V4 {
    bytes: [u8; 32],
    colon: usize,
    end: usize,
}

impl V4 {
    pub(super) fn of(addr: SocketAddrV4) -> Self {
        let mut of = Self {
            bytes: [b' '; 32],
            colon: 0,
            end: 0,
        };
        for octet in addr.ip().octets() {
            of.put(DOTTED[usize::from(octet)], octet_width(octet) + 1);
        }
        of.colon = of.end - 1;
        of.end = of.colon;
        let port = addr.port();
        let digit = |power| b'0' + (port / power % 10) as u8;
        let [a, b, c, d] = [digit(1000), digit(100), digit(10), digit(1)];
        of.put(
            [b':', digit(10_000), b' ', b' '],
            if port < 10_000 { 1 } else { 2 },
        );
        match port {
            0..10 => of.put([d, b' ', b' ', b' '], 1),
            10..100 => of.put([c, d, b' ', b' '], 2),
            100..1000 => of.put([b, c, d, b' '], 3),
            _ => of.put([a, b, c, d], 4),
        }
        of
    }

    /// So many of four bytes; what is left of them is spaces, or written over.
    fn put(&mut self, bytes: [u8; 4], width: usize) {
        if let Some(place) = self.bytes.get_mut(self.end..self.end + 4) {
            place.copy_from_slice(&bytes);
            self.end += width;
        }
    }

    /// All of it, with spaces behind; to be asked for once.
    pub(super) fn text(&self) -> &str {
        // They are digits, dots and a colon.
        str::from_utf8(&self.bytes).unwrap_or_default()
    }

    pub(super) fn whole(&self) -> Range<usize> {
        0..self.end
    }

    pub(super) fn ip(&self) -> Range<usize> {
        0..self.colon
    }

    pub(super) fn port(&self) -> Range<usize> {
        self.colon + 1..self.end
    }
}

/// Where the address itself and the port are in what [`address`] has appended from there on.
pub(super) fn parts(of: &str, start: usize) -> [Range<usize>; 2] {
    let text = of.as_bytes();
    // A port has five digits at most.
    let colon = text.iter().rposition(|byte| *byte == b':').unwrap_or(start);
    let ip = match text.get(start) {
        Some(b'[') => start + 1..colon - 1,
        _ => start..colon,
    };
    [ip, colon + 1..text.len()]
}

/// Each octet with a dot before it, in four places: to look one up costs less than to format it.
const OCTETS: &str = {
    const DIGITS: [u8; 1024] = {
        let mut all = [b'.'; 1024];
        let mut octet = 0;
        while octet < 256 {
            let at = 4 * octet + octet_width(octet as u8);
            all[at] = b'0' + (octet % 10) as u8;
            if octet >= 10 {
                all[at - 1] = b'0' + (octet / 10 % 10) as u8;
            }
            if octet >= 100 {
                all[at - 2] = b'0' + (octet / 100) as u8;
            }
            octet += 1;
        }
        all
    };
    match str::from_utf8(&DIGITS) {
        Ok(text) => text,
        Err(_) => "",
    }
};

const fn octet_width(octet: u8) -> usize {
    match octet {
        0..10 => 1,
        10..100 => 2,
        _ => 3,
    }
}

fn ipv4(to: &mut String, ip: Ipv4Addr) {
    let mut skipped = 1;
    for octet in ip.octets() {
        let at = 4 * usize::from(octet);
        let text = OCTETS.get(at + skipped..=at + octet_width(octet));
        to.push_str(text.unwrap_or_default());
        skipped = 0;
    }
}

fn ipv6(to: &mut String, ip: Ipv6Addr) {
    if let Some(v4) = ip.to_ipv4_mapped() {
        to.push_str("::ffff:");
        return ipv4(to, v4);
    }
    let segments = ip.segments();
    let (start, length) = zeroes(&segments);
    let (left, right) = match length {
        0 | 1 => (&segments[..], None),
        _ => (&segments[..start], Some(&segments[start + length..])),
    };
    joined(to, left);
    if let Some(right) = right {
        to.push_str("::");
        joined(to, right);
    }
}

/// The first of the longest runs of zeroes: where it begins, and its length.
fn zeroes(segments: &[u16; 8]) -> (usize, usize) {
    let (mut longest, mut this) = ((0, 0), (0, 0));
    for (at, segment) in segments.iter().enumerate() {
        this = match (segment, this.1) {
            (0, 0) => (at, 1),
            (0, length) => (this.0, length + 1),
            _ => (0, 0),
        };
        if this.1 > longest.1 {
            longest = this;
        }
    }
    longest
}

fn joined(to: &mut String, segments: &[u16]) {
    for (at, segment) in segments.iter().enumerate() {
        if at > 0 {
            to.push(':');
        }
        hex(to, u64::from(*segment));
    }
}

/// What `cell` appends, and spaces up to so many characters.
pub(super) fn column(to: &mut String, width: usize, cell: impl FnOnce(&mut String)) {
    const SPACES: &str = "                        ";
    let start = to.len();
    cell(to);
    let cell = to.get(start..).unwrap_or_default();
    let taken = if cell.is_ascii() {
        cell.len()
    } else {
        cell.chars().count()
    };
    to.push_str(SPACES.get(..width.saturating_sub(taken)).unwrap_or(SPACES));
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddrV6};

    use proptest::prelude::*;

    use super::*;

    fn check(addr: SocketAddr) {
        let mut text = String::new();
        address(&mut text, addr);
        assert_eq!(text, addr.to_string());
        let [ip, port] = parts(&text, 0);
        let (text_of_ip, _) = text[ip.clone()].split_once('%').unwrap_or((&text[ip], ""));
        assert_eq!(text_of_ip, addr.ip().to_string());
        assert_eq!(text[port], addr.port().to_string());
        if let SocketAddr::V4(v4) = addr {
            let digits = V4::of(v4);
            let all = digits.text();
            assert_eq!(all.trim_end(), text);
            assert_eq!(all[digits.whole()], text);
            assert_eq!(all[digits.ip()], v4.ip().to_string());
            assert_eq!(all[digits.port()], v4.port().to_string());
        }
    }

    #[test]
    fn a_column_is_as_wide_as_it_says_or_as_what_is_in_it() {
        let written = |text: &str| {
            let mut to = "|".to_owned();
            column(&mut to, 4, |to| to.push_str(text));
            to
        };
        assert_eq!(written(""), "|    ");
        assert_eq!(written("é?"), "|é?  ");
        assert_eq!(written("abcd"), "|abcd");
        assert_eq!(written("abcde"), "|abcde");
    }

    #[test]
    fn the_longest_address_is_as_wide_as_its_column() {
        let longest = V4::of(SocketAddrV4::new(Ipv4Addr::BROADCAST, u16::MAX));
        assert_eq!(longest.whole(), 0..COLUMN);
    }

    proptest! {
        #[test]
        fn addresses_are_as_the_standard_library_has_them(
            segments in proptest::array::uniform8(prop_oneof![Just(0), Just(0xffff), any::<u16>()]),
            octets: [u8; 4],
            port: u16,
            scope in prop_oneof![Just(0), any::<u32>()],
        ) {
            check(SocketAddr::new(IpAddr::from(octets), port));
            let mapped = Ipv4Addr::from(octets).to_ipv6_mapped();
            check(SocketAddr::new(mapped.into(), port));
            check(SocketAddrV6::new(Ipv6Addr::from(segments), port, 0, scope).into());
        }

        #[test]
        fn hexadecimal_digits_are_as_many_as_it_takes(number: u64, shift in 0..64) {
            let number = number >> shift;
            let mut text = String::new();
            hex(&mut text, number);
            prop_assert_eq!(text, format!("{number:x}"));
        }
    }
}
