//! Who was refused most.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::TopClient;

/// Address, how often, and which share of all that is.
pub(super) fn top_clients(clients: &[TopClient], all: u64) -> String {
    let clients = clients.iter().map(|client| {
        let percent = (client.share_of(all) * 100.0).floor();
        format!("{} {} ({percent}%)", client.addr, client.refusals)
    });
    clients.collect::<Vec<String>>().join(", ")
}

#[derive(Serialize, JsonSchema)]
pub(super) struct TopClientView {
    addr: IpAddr,
    refusals: u64,
    share: f64,
}

impl TopClientView {
    pub(super) fn all(clients: &[TopClient], all: u64) -> Vec<Self> {
        let clients = clients.iter().map(|client| Self {
            addr: client.addr,
            refusals: client.refusals,
            share: client.share_of(all),
        });
        clients.collect()
    }
}
