//! Stretches of a line that are those of the line before: most events of a burst are of one listener. To copy one costs
//! less than to write it anew.

use std::sync::Arc;

use crate::model::{cgroup::Cgroup, netns_name::NetnsName, observation::Observation, owner::Owner};

/// A stretch as it was written last, and what it was made of.
pub(super) struct Same<K> {
    of: Option<K>,
    text: String,
}

impl<K> Default for Same<K> {
    fn default() -> Self {
        Self {
            of: None,
            text: String::new(),
        }
    }
}

impl<K> Same<K> {
    /// Appends it. What it is made of decides alone what `write` appends: `is_last` says whether that is the same as last
    /// time, `of` what it is now.
    #[inline(always)]
    pub(super) fn append(
        &mut self,
        to: &mut String,
        is_last: impl FnOnce(&K) -> bool,
        of: impl FnOnce() -> K,
        write: impl FnOnce(&mut String),
    ) {
        if self.of.as_ref().is_some_and(is_last) {
            return to.push_str(&self.text);
        }
        self.append_anew(to, of(), write);
    }

    #[cold]
    fn append_anew(&mut self, to: &mut String, of: K, write: impl FnOnce(&mut String)) {
        let since = to.len();
        write(to);
        self.text.clear();
        self.text.push_str(to.get(since..).unwrap_or_default());
        self.of = Some(of);
    }
}

impl<K: Copy + PartialEq> Same<K> {
    /// The same, made of what can be compared.
    #[inline(always)]
    pub(super) fn append_of(&mut self, of: K, to: &mut String, write: impl FnOnce(&mut String)) {
        self.append(to, |last| *last == of, || of, write);
    }
}

/// Who holds a socket, and its cgroup. They are looked up once and shared, so that what is in one place is the same.
pub(super) struct Whose {
    owner: Arc<[Owner]>,
    cgroup: Option<Arc<Cgroup>>,
}

impl Whose {
    pub(super) fn of(seen: &Observation) -> Self {
        Self {
            owner: Arc::clone(&seen.owner),
            cgroup: seen.cgroup.clone(),
        }
    }

    pub(super) fn is_of(&self, seen: &Observation) -> bool {
        Arc::ptr_eq(&self.owner, &seen.owner)
            && is_shared(self.cgroup.as_ref(), seen.cgroup.as_ref())
    }
}

/// A namespace, and what it is called.
pub(super) struct Netns {
    number: u32,
    name: Option<Arc<NetnsName>>,
}

impl Netns {
    pub(super) fn of(seen: &Observation) -> Self {
        Self {
            number: seen.event.netns,
            name: seen.netns_name.clone(),
        }
    }

    pub(super) fn is_of(&self, seen: &Observation) -> bool {
        self.number == seen.event.netns && is_shared(self.name.as_ref(), seen.netns_name.as_ref())
    }
}

fn is_shared<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    one.map(Arc::as_ptr) == other.map(Arc::as_ptr)
}
