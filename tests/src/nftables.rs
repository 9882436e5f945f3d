//! A firewall that lets nothing in: a base chain at the input hook with a policy
//! of drop, and no rules (include/uapi/linux/netfilter/nf_tables.h). It drops
//! IPv4 and IPv6, pings as well.

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::net::netlink::NETFILTER;

use crate::netlink::{self, ACKNOWLEDGE, REQUEST, attribute, message};

const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NFTABLES: u16 = 10;
const NEW_TABLE: u16 = NFTABLES << 8;
const DELETE_TABLE: u16 = NFTABLES << 8 | 2;
const NEW_CHAIN: u16 = NFTABLES << 8 | 3;
const CREATE: u16 = libc::NLM_F_CREATE as u16;
const NESTED: u16 = 0x8000;

const TABLE_NAME: u16 = 1;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;

const LOCAL_IN: u32 = 1;
const DROP: u32 = 0;
const TABLE: &[u8] = b"whydrop-tests\0";

/// From now on the namespace of the calling thread takes no packet. False if the
/// kernel was built without nf_tables.
pub fn drop_input() -> Result<bool> {
    let hook = [
        attribute(HOOK_NUMBER, &LOCAL_IN.to_be_bytes()),
        attribute(HOOK_PRIORITY, &0_u32.to_be_bytes()),
    ]
    .concat();
    let chain = [
        attribute(CHAIN_TABLE, TABLE),
        attribute(CHAIN_NAME, b"input\0"),
        attribute(CHAIN_HOOK | NESTED, &hook),
        attribute(CHAIN_TYPE, b"filter\0"),
        attribute(CHAIN_POLICY, &DROP.to_be_bytes()),
    ]
    .concat();
    let made = change(&[
        inet_message(NEW_TABLE, REQUEST | CREATE, &attribute(TABLE_NAME, TABLE)),
        inet_message(NEW_CHAIN, ACKNOWLEDGE | CREATE, &chain),
    ]);
    match made {
        Ok(()) => Ok(true),
        Err(Errno::PROTONOSUPPORT | Errno::OPNOTSUPP) => Ok(false),
        Err(error) => Err(error).context("make an nf_tables chain"),
    }
}

/// And from now on it takes them again.
pub fn take_input() -> Result<()> {
    let table = attribute(TABLE_NAME, TABLE);
    change(&[inet_message(DELETE_TABLE, ACKNOWLEDGE, &table)]).context("delete an nf_tables table")
}

/// All or nothing.
fn change(messages: &[Vec<u8>]) -> Result<(), Errno> {
    let mut batch = vec![batch_message(BATCH_BEGIN)];
    batch.extend_from_slice(messages);
    batch.push(batch_message(BATCH_END));
    netlink::ask(NETFILTER, &batch)
}

/// `struct nfgenmsg`: family, version, and the subsystem in network order.
fn batch_message(kind: u16) -> Vec<u8> {
    let [high, low] = NFTABLES.to_be_bytes();
    message(kind, REQUEST, &[&[libc::AF_UNSPEC as u8, 0, high, low]])
}

/// For the family inet, which is IPv4 and IPv6.
fn inet_message(kind: u16, flags: u16, attributes: &[u8]) -> Vec<u8> {
    message(
        kind,
        flags,
        &[&[libc::NFPROTO_INET as u8, 0, 0, 0], attributes],
    )
}
