//! Why the kernel did it, with what else it may have been, and the running kernel's own names of its reasons.

use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::HashMap, sync::Arc};

use probe_common::hook;

use super::{evidence::Evidence, intern};

/// A cause, and what else it may have been.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The name, as docs/causes.md has it.
    pub id: Cow<'static, str>,
    /// The causes that this event cannot be told apart from; empty when it is certain.
    #[serde(deserialize_with = "crate::model::intern::list")]
    pub or: intern::List,
}

impl Cause {
    /// It can be no other.
    pub const fn certain(id: &'static str) -> Self {
        Self::among(id, &[])
    }

    /// Whether two are the same, which are most often the same in memory.
    pub fn is_same(one: Option<&Self>, other: Option<&Self>) -> bool {
        let (Some(one), Some(other)) = (one, other) else {
            return one.is_none() && other.is_none();
        };
        let is_same_list = std::ptr::eq(one.or, other.or) || one.or == other.or;
        is_same_list && Self::has_id(one, &other.id)
    }

    /// Whether this is its name.
    pub fn has_id(&self, id: &str) -> bool {
        std::ptr::eq::<str>(self.id.as_ref(), id) || self.id == id
    }

    /// It may also be one of those.
    pub const fn among(id: &'static str, or: &'static [&'static str]) -> Self {
        Self {
            id: Cow::Borrowed(id),
            or,
        }
    }
}

/// The running kernel's own names of its reasons, in the field's spelling.
#[derive(Clone, Debug, Default)]
pub struct Reasons {
    /// `enum sk_rst_reason`, where the kernel has it.
    pub reset: HashMap<u32, Arc<str>>,
    /// `enum skb_drop_reason`, likewise.
    pub drop: HashMap<u32, String>,
}

impl Reasons {
    /// The kernel's own name of a reset's reason, `None` where the kernel gives none.
    pub fn of_reset(&self, evidence: &Evidence) -> Option<Arc<str>> {
        let is_reset = evidence.hook == hook::SEND_RESET && evidence.reason != 0;
        is_reset
            .then(|| self.reset.get(&evidence.reason).cloned())
            .flatten()
    }
}

/// Drop reasons of what is no attempt to connect: a scanner, or what is left of an old connection.
const STRAYS: [&str; 4] = ["tcp-flags", "tcp-reset", "tcp-close", "tcp-old-ack"];

/// Whether nobody who meant to connect was concerned by a packet that was dropped for this reason.
pub fn is_stray_drop(reason: &str) -> bool {
    STRAYS.contains(&reason)
}

/// `SK_RST_REASON_NO_SOCKET` without its prefix as `no-socket`.
pub fn kebab(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix)
        .to_lowercase()
        .replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_spelled_as_the_field_spells_them() {
        assert_eq!(
            kebab("SKB_DROP_REASON_TCP_MD5NOTFOUND", "SKB_DROP_REASON_"),
            "tcp-md5notfound"
        );
    }
}
