//! The values of members that have one of a few.

use crate::model::{
    kind::{Kind, Stage},
    outcome::Outcome,
    sandbox::Extent,
    tier::Tier,
};

pub(super) fn kinds() -> Vec<&'static str> {
    Kind::ALL.map(Kind::name).into()
}

pub(super) fn stages() -> Vec<Option<&'static str>> {
    let all = [
        Stage::Syn,
        Stage::SynAck,
        Stage::Ack,
        Stage::CookieAck,
        Stage::Icmp,
    ];
    let names = all.map(Stage::name).map(Some);
    names.into_iter().chain([None]).collect()
}

pub(super) fn tiers() -> Vec<&'static str> {
    Tier::ALL.map(Tier::name).into()
}

pub(super) fn extents() -> Vec<&'static str> {
    Extent::EVERY.map(Extent::name).into()
}

pub(super) fn outcomes() -> Vec<&'static str> {
    Outcome::NAMES.into()
}
