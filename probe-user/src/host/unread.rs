//! Readings that failed while a watch went on: they come in as they fail, and the summary says so. What was not read is
//! never taken for zero, and whoever judges by the summary has to doubt it.

use std::{collections::BTreeMap, fmt::Display};

use super::netns::Registry;

/// Sentences that are kept: what fails each second fails in the same words.
const AT_MOST: usize = 8;

/// What was not read, in sentences.
#[derive(Clone, Debug, Default)]
pub struct Unread(Vec<String>);

impl Unread {
    /// What was read, or else it is noted that it was not.
    pub fn note<T>(&mut self, read: Result<T, impl Display>) -> Option<T> {
        read.map_err(|error| self.add(error.to_string())).ok()
    }

    /// Notes namespaces whose counters could not be read, with the reasons.
    pub fn namespaces(&mut self, when: &str, unread: &BTreeMap<u32, String>) {
        let mut namespaces = unread.iter();
        let Some((netns, why)) = namespaces.next() else {
            return;
        };
        let others = match namespaces.len() {
            0 => String::new(),
            n => format!(", nor those of {n} others"),
        };
        self.add(format!(
            "the kernel's counters of netns {netns} could not be read {when} ({why}){others}"
        ));
    }

    /// Notes that not every namespace may have been found.
    pub fn registry(&mut self, registry: &Registry) {
        if let Some(error) = registry.blind() {
            self.add(format!(
                "the processes of this host could not be looked at in /proc ({error}): network namespaces may be missing"
            ));
        }
    }

    /// Remembers what could not be read, once.
    pub fn add(&mut self, sentence: String) {
        if self.0.len() < AT_MOST && !self.0.contains(&sentence) {
            self.0.push(sentence);
        }
    }

    /// All of it.
    pub fn into_sentences(self) -> Vec<String> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_again_is_said_once() {
        let mut unread = Unread::default();
        for _ in 0..2 {
            assert_eq!(unread.note(Err::<u64, _>("the map is gone")), None);
        }
        assert_eq!(unread.note(Ok::<_, String>(7)), Some(7));
        for n in 0..2 * AT_MOST {
            unread.add(format!("{n}"));
        }
        let sentences = unread.into_sentences();
        assert_eq!(sentences[..2], ["the map is gone", "0"]);
        assert_eq!(sentences.len(), AT_MOST);
    }

    #[test]
    fn namespaces_are_counted_and_one_is_named() {
        let mut unread = Unread::default();
        unread.namespaces("at the end", &BTreeMap::new());
        let two = [(7, "why".to_owned()), (8, "or not".to_owned())];
        unread.namespaces("at the end", &two.into());
        assert_eq!(
            unread.into_sentences(),
            [
                "the kernel's counters of netns 7 could not be read at the end (why), nor those of 1 others"
            ]
        );
    }
}
