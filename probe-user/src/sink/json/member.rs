//! Members of an object, appended one after another. A key comes as it is
//! written, with what stands before it, its quotes and its colon.

use std::net::SocketAddr;

use serde::Serialize;

use super::escaped;
use crate::sink::append;

/// What stands in place of what is not known.
const NULL: &str = "null";

pub(super) fn number(to: &mut String, key: &str, number: impl itoa::Integer) {
    to.push_str(key);
    append::number(to, number);
}

pub(super) fn number_or_null(to: &mut String, key: &str, number: Option<impl itoa::Integer>) {
    to.push_str(key);
    match number {
        Some(number) => append::number(to, number),
        None => to.push_str(NULL),
    }
}

pub(super) fn text(to: &mut String, key: &str, text: &str) {
    to.push_str(key);
    quoted(to, text);
}

/// One of our own names, in which there is nothing to be escaped.
pub(super) fn name(to: &mut String, key: &str, name: &'static str) {
    to.push_str(key);
    to.push('"');
    to.push_str(name);
    to.push('"');
}

pub(super) fn text_or_null(to: &mut String, key: &str, text: Option<&str>) {
    to.push_str(key);
    match text {
        Some(text) => quoted(to, text),
        None => to.push_str(NULL),
    }
}

/// An address and its parts. Keys come with the quotes around their values.
pub(super) struct AddressKeys {
    pub whole: &'static str,
    pub ip: &'static str,
    pub port: &'static str,
    /// All three where it is not known.
    pub null: &'static str,
}

/// The parts are copied: an address is made into text once. A recording goes without them: they would be a quarter of it.
pub(super) fn address(to: &mut String, keys: &AddressKeys, addr: SocketAddr, is_whole: bool) {
    to.push_str(keys.whole);
    if let SocketAddr::V4(v4) = addr {
        let digits = append::V4::of(v4);
        let all = digits.text();
        let part = |range| all.get(range).unwrap_or_default();
        to.push_str(part(digits.whole()));
        if is_whole {
            return to.push('"');
        }
        to.push_str(keys.ip);
        to.push_str(part(digits.ip()));
        to.push_str(keys.port);
        return to.push_str(part(digits.port()));
    }
    let start = to.len();
    append::address(to, addr);
    if is_whole {
        return to.push('"');
    }
    let [ip, port] = append::parts(to, start);
    to.push_str(keys.ip);
    to.extend_from_within(ip);
    to.push_str(keys.port);
    to.extend_from_within(port);
}

pub(super) fn address_or_null(
    to: &mut String,
    keys: &AddressKeys,
    addr: Option<SocketAddr>,
    is_whole: bool,
) {
    match addr {
        Some(addr) => address(to, keys, addr, is_whole),
        None => to.push_str(keys.null),
    }
}

/// As `"0x…"`; nobody has asked for that of the socket yet where it is 0.
pub(super) fn cookie(to: &mut String, key: &str, cookie: u64) {
    to.push_str(key);
    if cookie == 0 {
        return to.push_str("null");
    }
    to.push_str("\"0x");
    append::hex(to, cookie);
    to.push('"');
}

/// What is seldom there.
pub(super) fn any(to: &mut String, key: &str, value: &impl Serialize) {
    to.push_str(key);
    // Strings and numbers of our own: nothing in them can fail.
    if !escaped::append_json(to, value) {
        to.push_str(NULL);
    }
}

fn quoted(to: &mut String, text: &str) {
    to.push('"');
    // Without an early end: many bytes are looked at in one instruction.
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    if text.bytes().fold(true, |all, byte| all & is_plain(byte)) {
        to.push_str(text);
    } else {
        text.chars().for_each(|c| character(to, c));
    }
    to.push('"');
}

fn character(to: &mut String, c: char) {
    let short = match c {
        '"' => '"',
        '\\' => '\\',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{c}' => 'f',
        '\r' => 'r',
        _ => return escaped::character(to, c),
    };
    to.push('\\');
    to.push(short);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str) {
        let mut to = String::new();
        quoted(&mut to, text);
        let mut by_serde = String::new();
        assert!(escaped::append_json(&mut by_serde, &text));
        assert_eq!(to, by_serde);
    }

    #[test]
    fn a_cookie_that_nobody_has_asked_for_is_not_known() {
        let mut to = String::new();
        cookie(&mut to, r#""cookie":"#, 0);
        cookie(&mut to, r#","cookie":"#, 31);
        assert_eq!(to, r#""cookie":null,"cookie":"0x1f""#);
    }

    #[test]
    fn every_character_that_is_escaped() {
        let all: String = ('\0'..='\u{80}').collect();
        check(&all);
    }

    proptest! {
        #[test]
        fn any_text_is_as_serde_has_it(text: String) {
            check(&text);
        }
    }
}
