//! A firewall: a base chain at the input hook, with one rule at most
//! (include/uapi/linux/netfilter/nf_tables.h). It is for IPv4 and IPv6, and for
//! pings as well.

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
const NEW_RULE: u16 = NFTABLES << 8 | 6;
const CREATE: u16 = libc::NLM_F_CREATE as u16;
const APPEND: u16 = libc::NLM_F_APPEND as u16;
const NESTED: u16 = 0x8000;

const TABLE_NAME: u16 = 1;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;

const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const LIST_ELEMENT: u16 = 1;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;

const LOCAL_IN: u32 = 1;
const DROP: u32 = 0;
const ACCEPT: u32 = 1;
const TABLE: &[u8] = b"whydrop-tests\0";
const CHAIN: &[u8] = b"input\0";

/// From now on the namespace of the calling thread takes no packet. False if the
/// kernel was built without nf_tables.
pub fn drop_input() -> Result<bool> {
    make_chain(DROP, None)
}

/// From now on it answers every segment with a reset. False as above.
pub fn reject_input() -> Result<bool> {
    const TYPE: u16 = 1;
    const RESET: u32 = 1;
    make_chain(
        ACCEPT,
        Some(("reject", attribute(TYPE, &RESET.to_be_bytes()))),
    )
}

/// From now on it tracks connections, and takes everything. False as above.
pub fn track_connections() -> Result<bool> {
    const REGISTER: u16 = 1;
    const KEY: u16 = 2;
    const STATE: u32 = 0;
    let to_register_1 = attribute(REGISTER, &1_u32.to_be_bytes());
    let state = attribute(KEY, &STATE.to_be_bytes());
    make_chain(ACCEPT, Some(("ct", [to_register_1, state].concat())))
}

/// A chain with this policy, and one rule of one expression.
fn make_chain(policy: u32, expression: Option<(&str, Vec<u8>)>) -> Result<bool> {
    let hook = [
        attribute(HOOK_NUMBER, &LOCAL_IN.to_be_bytes()),
        attribute(HOOK_PRIORITY, &0_u32.to_be_bytes()),
    ]
    .concat();
    let chain = [
        attribute(CHAIN_TABLE, TABLE),
        attribute(CHAIN_NAME, CHAIN),
        attribute(CHAIN_HOOK | NESTED, &hook),
        attribute(CHAIN_TYPE, b"filter\0"),
        attribute(CHAIN_POLICY, &policy.to_be_bytes()),
    ]
    .concat();
    let acknowledge = |last: bool| if last { ACKNOWLEDGE } else { REQUEST };
    let mut messages = vec![
        inet_message(NEW_TABLE, REQUEST | CREATE, &attribute(TABLE_NAME, TABLE)),
        inet_message(
            NEW_CHAIN,
            acknowledge(expression.is_none()) | CREATE,
            &chain,
        ),
    ];
    if let Some((name, data)) = expression {
        let rule = rule(name, &data);
        messages.push(inet_message(NEW_RULE, ACKNOWLEDGE | CREATE | APPEND, &rule));
    }
    match change(&messages) {
        Ok(()) => Ok(true),
        Err(Errno::PROTONOSUPPORT | Errno::OPNOTSUPP | Errno::NOENT) => Ok(false),
        Err(error) => Err(error).context("make an nf_tables chain"),
    }
}

fn rule(name: &str, data: &[u8]) -> Vec<u8> {
    let expression = [
        attribute(EXPRESSION_NAME, &[name.as_bytes(), b"\0"].concat()),
        attribute(EXPRESSION_DATA | NESTED, data),
    ]
    .concat();
    [
        attribute(RULE_TABLE, TABLE),
        attribute(RULE_CHAIN, CHAIN),
        attribute(
            RULE_EXPRESSIONS | NESTED,
            &attribute(LIST_ELEMENT | NESTED, &expression),
        ),
    ]
    .concat()
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
