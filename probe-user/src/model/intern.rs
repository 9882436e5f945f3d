//! Names that come back from a recording. The stream has them as `&'static str`, since all of them are written in this
//! program or are few; each different one that is read is kept once, for good, and there is room for so many only: a file
//! of somebody else cannot fill the memory with them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Deserializer, de::Error};

/// Different names, and lists of names, that are kept.
const NAMES_AT_MOST: usize = 4096;

/// Bytes of one name.
const BYTES_AT_MOST: usize = 256;

/// A name. Not spelled as a reference where it is a member: serde would borrow it from what it reads.
pub type Name = &'static str;

/// A list of names.
pub type List = &'static [&'static str];

static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
static LISTS: Mutex<BTreeSet<List>> = Mutex::new(BTreeSet::new());

/// The one copy of a name; `None` where there is no room for another.
pub fn intern(text: &str) -> Option<&'static str> {
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(text) {
        return Some(known);
    }
    if names.len() >= NAMES_AT_MOST || text.len() > BYTES_AT_MOST {
        return None;
    }
    let kept: &'static str = Box::leak(text.into());
    names.insert(kept);
    Some(kept)
}

fn intern_list(names: &[&'static str]) -> Option<List> {
    let mut lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = lists.get(names) {
        return Some(known);
    }
    if lists.len() >= NAMES_AT_MOST || names.len() > NAMES_AT_MOST {
        return None;
    }
    let kept: List = Box::leak(names.into());
    lists.insert(kept);
    Some(kept)
}

fn no_room<E: Error>() -> E {
    E::custom("more different names than a recording of whydrop has")
}

/// For `#[serde(deserialize_with)]`.
pub fn name<'de, D: Deserializer<'de>>(from: D) -> Result<&'static str, D::Error> {
    intern(&String::deserialize(from)?).ok_or_else(no_room)
}

/// One of whydrop's own names, or none.
///
/// # Errors
/// It is no name that this version knows.
pub fn maybe<'de, D: Deserializer<'de>>(from: D) -> Result<Option<&'static str>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| intern(&text).ok_or_else(no_room))
        .transpose()
}

/// Names of whydrop's own.
///
/// # Errors
/// One of them is no name that this version knows.
pub fn names<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<&'static str>, D::Error> {
    let names = Vec::<String>::deserialize(from)?;
    let interned = names
        .iter()
        .map(|text| intern(text).ok_or_else(no_room::<D::Error>));
    interned.collect()
}

/// A list of names that stands in the code.
///
/// # Errors
/// There is no such list.
pub fn list<'de, D: Deserializer<'de>>(from: D) -> Result<List, D::Error> {
    intern_list(&names(from)?).ok_or_else(no_room)
}

/// Of a map whose keys are names.
pub fn keys<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<&'static str, u64>, D::Error> {
    let map = BTreeMap::<String, u64>::deserialize(from)?;
    let interned = map
        .into_iter()
        .map(|(text, n)| Ok((intern(&text).ok_or_else(no_room::<D::Error>)?, n)));
    interned.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once() {
        let one = intern("ESTABLISHED").expect("room");
        let other = intern(&String::from("ESTABLISHED")).expect("room");
        assert!(std::ptr::eq(one, other));
    }

    #[test]
    fn a_name_that_is_none_of_ours_by_its_length_is_refused() {
        assert_eq!(intern(&"x".repeat(BYTES_AT_MOST + 1)), None);
    }
}
