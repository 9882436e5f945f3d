//! A firewall of the calling thread's namespace (include/uapi/linux/netfilter/nf_tables.h).

use std::io::{self, ErrorKind};

use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE};
use rustix::io::Errno;

use super::netfilter::{LAST, Netfilter, attribute, bracket, message, nested};

const NFTABLES: u8 = 10;

/// Hooks of include/uapi/linux/netfilter.h.
const LOCAL_IN: u32 = 1;
const LOCAL_OUT: u32 = 3;

const DROP: u32 = 0;
const ACCEPT: u32 = 1;

/// Of the table, and of its one chain.
const NAME: &[u8] = b"whydrop-demo\0";

/// Where tables, chains and rules alike say of which table they are.
const TABLE: u16 = 1;

/// From now on it takes nothing that comes in.
pub(super) fn drops() -> io::Result<()> {
    change(&[chain(DROP, LAST)])
}

/// From now on it tracks connections, and takes everything: a chain that looks at their state.
pub(super) fn tracks() -> io::Result<()> {
    const CT_REGISTER: u16 = 1;
    const CT_KEY: u16 = 2;
    const STATE: u32 = 0;
    let state = [
        attribute(CT_REGISTER, 1_u32.to_be_bytes()),
        attribute(CT_KEY, STATE.to_be_bytes()),
    ];
    change(&[chain(ACCEPT, 0), rule(&[expression(b"ct\0", &state)])])
}

/// From now on whatever is sent to an address of this namespace comes to this port (`redirect`).
pub(super) fn redirects(port: u16) -> io::Result<()> {
    const REGISTER: u32 = 1;
    const LOAD_TO: u16 = 1;
    const LOAD_DATA: u16 = 2;
    const VALUE: u16 = 1;
    const TO_PORT: u16 = 1;
    let register = REGISTER.to_be_bytes();
    let port = nested(LOAD_DATA, &[attribute(VALUE, port.to_be_bytes())]);
    let load = [attribute(LOAD_TO, register), port];
    let redirect = [attribute(TO_PORT, register)];
    let rule = rule(&[
        expression(b"immediate\0", &load),
        expression(b"redir\0", &redirect),
    ]);
    let chain = chain_at(LOCAL_OUT, Some(b"nat\0"), ACCEPT, 0);
    change(&[chain, rule])
}

/// The last message of a change.
fn rule(expressions: &[Vec<u8>]) -> Vec<u8> {
    const NEW_RULE: u8 = 6;
    const RULE_CHAIN: u16 = 2;
    const RULE_EXPRESSIONS: u16 = 4;
    let rule = [
        attribute(TABLE, NAME),
        attribute(RULE_CHAIN, NAME),
        nested(RULE_EXPRESSIONS, expressions),
    ];
    message(kind(NEW_RULE), NLM_F_CREATE | NLM_F_APPEND | LAST, &rule)
}

fn expression(name: &[u8], data: &[Vec<u8>]) -> Vec<u8> {
    const ELEMENT: u16 = 1;
    const EXPRESSION_NAME: u16 = 1;
    const EXPRESSION_DATA: u16 = 2;
    let expression = [
        attribute(EXPRESSION_NAME, name),
        nested(EXPRESSION_DATA, data),
    ];
    nested(ELEMENT, &expression)
}

/// A chain at the input hook with this policy.
fn chain(policy: u32, flags: u16) -> Vec<u8> {
    chain_at(LOCAL_IN, None, policy, flags)
}

fn chain_at(hook: u32, type_of_chain: Option<&[u8]>, policy: u32, flags: u16) -> Vec<u8> {
    const NEW_CHAIN: u8 = 3;
    const CHAIN_NAME: u16 = 3;
    const HOOK: u16 = 4;
    const POLICY: u16 = 5;
    const TYPE: u16 = 7;
    const HOOK_NUMBER: u16 = 1;
    const HOOK_PRIORITY: u16 = 2;
    let hook = [
        attribute(HOOK_NUMBER, hook.to_be_bytes()),
        attribute(HOOK_PRIORITY, 0_u32.to_be_bytes()),
    ];
    let mut chain = vec![
        attribute(TABLE, NAME),
        attribute(CHAIN_NAME, NAME),
        nested(HOOK, &hook),
        attribute(POLICY, policy.to_be_bytes()),
    ];
    chain.extend(type_of_chain.map(|name| attribute(TYPE, name)));
    message(kind(NEW_CHAIN), NLM_F_CREATE | flags, &chain)
}

/// Makes a table with this in it.
fn change(messages: &[Vec<u8>]) -> io::Result<()> {
    const BEGIN: u16 = 0x10;
    const END: u16 = 0x11;
    const NEW_TABLE: u8 = 0;
    let table = message(kind(NEW_TABLE), NLM_F_CREATE, &[attribute(TABLE, NAME)]);
    let all = [
        bracket(BEGIN, NFTABLES),
        table,
        messages.concat(),
        bracket(END, NFTABLES),
    ];
    let made = Netfilter::new().and_then(|netfilter| netfilter.ask(&all.concat()));
    made.map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::PROTONOSUPPORT | Errno::OPNOTSUPP | Errno::NOENT) => io::Error::new(
            ErrorKind::Unsupported,
            format!("this kernel has no such firewall ({error}); try modprobe nf_tables nft_ct"),
        ),
        _ => io::Error::new(error.kind(), format!("nf_tables: {error}")),
    })
}

fn kind(message: u8) -> u16 {
    u16::from_be_bytes([NFTABLES, message])
}
