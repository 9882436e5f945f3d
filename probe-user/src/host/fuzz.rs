//! Doors of tests/fuzz to the parsers of /proc that are private to this room. They hand the bytes on and nothing else.

use super::{holder, procfs};

pub fn number(text: &[u8]) -> Option<u32> {
    procfs::number(text)
}

pub fn link_of_socket(link: &[u8]) -> Option<u32> {
    procfs::bracketed(link, b"socket")
}

pub fn link_of_netns(link: &[u8]) -> Option<u32> {
    procfs::bracketed(link, b"net")
}

pub fn comm_text(raw: &[u8]) -> String {
    holder::comm_text(raw)
}
