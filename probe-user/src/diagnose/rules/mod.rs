//! Rules: what each needs and says stands in [`table`], how it judges in the rooms beside it.

mod acceptor;
mod around;
mod backlog;
mod drops;
mod limits;
mod lost;
mod missing;
mod path;
mod place;
mod runtime;
mod said;
mod sleep;
mod syn;
mod table;
mod who;

pub(super) use self::table::RULES;
use crate::model::{
    cause::is_stray_drop,
    kind::Kind,
    signals::Signals,
    verdict::{Confidence, Diagnosis, Evidence},
};

/// What a rule finds.
pub(super) enum Judged {
    /// Its signals are not there.
    Abstains,
    /// They are, and say no.
    No(String),
    Yes(Confidence, Vec<Evidence>),
    /// The same, and its signals decide what to do.
    Advises(Confidence, Vec<Evidence>, &'static [&'static str]),
}

pub(super) struct Rule {
    pub id: &'static str,
    pub says: &'static str,
    pub advice: &'static [&'static str],
    /// Whether it says why an accept queue was full.
    pub overflow: bool,
    /// Rules below that see what this one causes.
    pub explains: &'static [&'static str],
    pub judge: fn(&Signals) -> Judged,
}

/// Whether a verdict says why an accept queue was full.
pub fn explains_overflow(id: &str) -> bool {
    RULES.iter().any(|rule| rule.id == id && rule.overflow)
}

/// Whether something was refused of which no verdict speaks.
pub(super) fn is_unexplained(signals: &Signals, diagnosis: &Diagnosis) -> bool {
    let kinds = [
        Kind::RequestDrop,
        Kind::ListenDrop,
        Kind::Refused,
        Kind::PacketDrop,
    ];
    let happened = signals.causes.iter().filter(|(_, n)| **n > 0);
    let mut calls_for_one = happened.filter(|((kind, cause), _)| {
        kinds.contains(kind) && !(*kind == Kind::PacketDrop && is_stray_drop(cause))
    });
    diagnosis.verdicts.is_empty() && calls_for_one.next().is_some()
}
