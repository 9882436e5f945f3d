//! Files of one crate that import each other in a circle.
//!
//! A parent that uses its children, and children that use what their parent defines, are a family and no circle. So there are
//! two looks: one without what modules import of those above them, and one without what they import of those below.

use std::collections::BTreeSet;

use super::modules::{Crate, Import};

/// Each circle once: its files, and how one goes round.
pub(super) fn find(krate: &Crate) -> Vec<String> {
    let imports = krate.imports();
    let mut found: Vec<BTreeSet<usize>> = Vec::new();
    let mut said = Vec::new();
    for up in [false, true] {
        let looked_at: Vec<Import> = imports
            .iter()
            .filter(|it| {
                if up {
                    !krate.is_inside(it.to, it.from)
                } else {
                    !krate.is_inside(it.from, it.to)
                }
            })
            .cloned()
            .collect();
        for circle in tangles(krate.modules().len(), &looked_at) {
            // The second look may find most of what the first one found; what is left is found once that is mended.
            if found
                .iter()
                .any(|known| known.intersection(&circle).count() > 1)
            {
                continue;
            }
            said.push(say(krate, &circle, &looked_at));
            found.push(circle);
        }
    }
    said
}

/// Modules that reach each other, more than one at a time.
fn tangles(modules: usize, imports: &[Import]) -> Vec<BTreeSet<usize>> {
    let reached: Vec<BTreeSet<usize>> = (0..modules).map(|from| reachable(from, imports)).collect();
    let mut tangles: Vec<BTreeSet<usize>> = Vec::new();
    for from in 0..modules {
        let tangle: BTreeSet<usize> = reached[from]
            .iter()
            .copied()
            .filter(|to| reached[*to].contains(&from))
            .collect();
        if tangle.len() > 1 && !tangles.contains(&tangle) {
            tangles.push(tangle);
        }
    }
    tangles
}

fn reachable(from: usize, imports: &[Import]) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(at) = next.pop() {
        for import in imports.iter().filter(|import| import.from == at) {
            if reached.insert(import.to) {
                next.push(import.to);
            }
        }
    }
    reached
}

/// The shortest way from the first file of a tangle back to itself.
fn say(krate: &Crate, tangle: &BTreeSet<usize>, imports: &[Import]) -> String {
    let file = |at: usize| krate.modules()[at].file.as_str();
    let files: Vec<&str> = tangle.iter().map(|at| file(*at)).collect();
    let first = tangle.first().copied().unwrap_or_default();
    let mut ways: Vec<Vec<&Import>> = vec![Vec::new()];
    let mut seen = BTreeSet::new();
    let way = loop {
        let Some(next) = ways.iter().find_map(|way| {
            let at = way.last().map_or(first, |import| import.to);
            let mut onward = imports.iter().filter(|import| import.from == at);
            onward
                .find(|it| tangle.contains(&it.to) && !seen.contains(&it.to))
                .map(|import| [way.as_slice(), &[import]].concat())
        }) else {
            break Vec::new();
        };
        let Some(last) = next.last() else {
            break Vec::new();
        };
        if last.to == first {
            break next;
        }
        seen.insert(last.to);
        ways.push(next);
    };
    let steps: Vec<String> = way
        .iter()
        .map(|it| {
            format!(
                "\n    {} imports {} of {}",
                file(it.from),
                it.what,
                file(it.to)
            )
        })
        .collect();
    format!("a circle of {}:{}", files.join(", "), steps.concat())
}

#[cfg(test)]
mod tests {
    use super::super::modules::tests::krate;
    use super::*;

    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let found = find(&krate(files));
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            let files = expected.replace(' ', ", x/src/");
            let begin = format!("a circle of x/src/{files}:");
            assert!(found.starts_with(&begin), "{found}, not {begin}");
        }
    }

    #[test]
    fn siblings_that_import_each_other_are_a_circle() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c; mod d;"),
            ("a.rs", "use crate::b::B; struct A;"),
            ("b.rs", "use crate::c::C; struct B;"),
            ("c.rs", "fn f() -> crate::a::A { d() } struct C;"),
            ("d.rs", "use crate::a::A;"),
        ];
        check(&files, &["a.rs b.rs c.rs"]);
        let said = find(&krate(&files)).concat();
        assert!(
            said.ends_with("x/src/c.rs imports crate::a::A of x/src/a.rs"),
            "{said}"
        );
        assert_eq!(said.lines().count(), 4, "{said}");
    }

    #[test]
    fn a_family_is_no_circle() {
        check(
            &[
                ("main.rs", "mod a; struct Root; fn main() { a::run() }"),
                (
                    "a/mod.rs",
                    "mod b; mod c; use b::B; pub struct A; pub fn run() -> crate::Root { c::c() }",
                ),
                ("a/b.rs", "use super::A; pub struct B;"),
                ("a/c.rs", "use super::{A, b::B}; pub fn c() {}"),
            ],
            &[],
        );
    }

    #[test]
    fn siblings_that_meet_in_their_parent_are_a_circle() {
        check(
            &[
                ("lib.rs", "mod a;"),
                ("a/mod.rs", "mod b; mod c; use b::B; use c::C;"),
                ("a/b.rs", "use super::C; pub struct B;"),
                ("a/c.rs", "use super::B; pub struct C;"),
            ],
            &["a/b.rs a/c.rs"],
        );
    }

    #[test]
    fn rooms_that_import_each_other_through_their_children_are_a_circle() {
        check(
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a/mod.rs", "mod inner; pub struct A;"),
                ("a/inner.rs", "use crate::b::B;"),
                ("b.rs", "use crate::a::A; pub struct B;"),
            ],
            &[],
        );
        check(
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a/mod.rs", "mod inner; use inner::f; pub struct A;"),
                ("a/inner.rs", "use crate::b::B; fn f() {}"),
                ("b.rs", "use crate::a::A; pub struct B;"),
            ],
            &["a/mod.rs a/inner.rs b.rs"],
        );
        check(
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a/mod.rs", "mod inner; use crate::b::B; pub struct A;"),
                ("a/inner.rs", "use super::A; pub fn f() {}"),
                ("b.rs", "use crate::a::inner::f; pub struct B;"),
            ],
            &["a/mod.rs a/inner.rs b.rs"],
        );
    }
}
