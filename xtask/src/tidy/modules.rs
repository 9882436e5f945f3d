//! The files of one crate as modules, and which of them each one imports.

use std::collections::BTreeMap;

use super::imports::{self, File, Path};
use super::tree::Source;

/// A crate's files, as modules. One that only tests have is not among them.
pub(super) struct Crate {
    modules: Vec<Module>,
}

pub(super) struct Module {
    /// Below the crate's root: none of the root itself.
    pub name: Path,
    /// Below the repository's root.
    pub file: String,
    parsed: File,
}

/// A module imports something of another one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Import {
    pub from: usize,
    pub to: usize,
    /// How it is written.
    pub what: String,
}

/// Longer chains of re-exports than this go round.
const REEXPORTS: u32 = 8;

impl Crate {
    /// The crate whose sources lie in this folder, such as `xtask/src/`.
    pub(super) fn of(folder: &str, sources: &[Source]) -> Self {
        let mut inside = BTreeMap::new();
        for source in sources {
            if let Some(path) = source.path.strip_prefix(folder) {
                inside.insert(path, source);
            }
        }
        let mut modules = Vec::new();
        // A library that is there for cargo alone declares nothing.
        for root in ["lib.rs", "main.rs"] {
            let parsed = inside.get(root).map(|source| imports::parse(&source.text));
            let declares = parsed.as_ref().is_some_and(|file| !file.modules.is_empty());
            if let (Some(parsed), true, true) = (parsed, declares, modules.is_empty()) {
                add(&inside, Vec::new(), root, parsed, &mut modules);
            }
        }
        Self { modules }
    }

    pub(super) fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// The first way of each module to import another.
    pub(super) fn imports(&self) -> Vec<Import> {
        let mut imports: Vec<Import> = Vec::new();
        for (from, module) in self.modules.iter().enumerate() {
            let uses = module.parsed.uses.iter().map(|it| &it.path);
            for path in uses.chain(&module.parsed.paths) {
                let Some(to) = self.resolve(from, path, REEXPORTS) else {
                    continue;
                };
                let is_new = !imports.iter().any(|it| (it.from, it.to) == (from, to));
                if to != from && is_new {
                    let what = path.join("::");
                    imports.push(Import { from, to, what });
                }
            }
        }
        imports
    }

    /// Whether one is inside of the other.
    pub(super) fn is_inside(&self, inner: usize, outer: usize) -> bool {
        self.modules[inner]
            .name
            .starts_with(&self.modules[outer].name)
    }

    /// The module that has what this path names; none of another crate.
    fn resolve(&self, from: usize, path: &[String], reexports: u32) -> Option<usize> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => self.descend(self.find(&[])?, rest, reexports),
            "self" => self.descend(from, rest, reexports),
            "super" => {
                let mut above = self.modules[from].name.clone();
                above.pop()?;
                let mut rest = rest;
                while let Some((first, others)) = rest.split_first()
                    && first == "super"
                {
                    above.pop()?;
                    rest = others;
                }
                self.descend(self.find(&above)?, rest, reexports)
            }
            _ if self.child(from, first).is_some() => self.descend(from, path, reexports),
            _ => {
                let uses = &self.modules[from].parsed.uses;
                let it = uses.iter().find(|it| it.name.as_ref() == Some(first))?;
                // A name that is its own path is that of another crate.
                let reexports = reexports.checked_sub(1)?;
                let whole = [it.path.as_slice(), rest].concat();
                (whole != path)
                    .then(|| self.resolve(from, &whole, reexports))
                    .flatten()
            }
        }
    }

    /// From a module down to the one that has what the rest of a path names.
    fn descend(&self, from: usize, path: &[String], reexports: u32) -> Option<usize> {
        let Some((first, rest)) = path.split_first() else {
            return Some(from);
        };
        if let Some(child) = self.child(from, first) {
            return self.descend(child, rest, reexports);
        }
        let parsed = &self.modules[from].parsed;
        if parsed.items.contains(first) {
            return Some(from);
        }
        let next = reexports.checked_sub(1)?;
        let named = parsed
            .uses
            .iter()
            .find(|it| it.name.as_ref() == Some(first));
        if let Some(it) = named {
            let whole = [it.path.as_slice(), rest].concat();
            // What another crate has is had by way of this module.
            return self.resolve(from, &whole, next).or(Some(from));
        }
        let all = parsed.uses.iter().filter(|it| it.name.is_none());
        let mut all = all.filter_map(|it| self.resolve(from, &it.path, next));
        all.find(|at| *at != from && self.modules[*at].parsed.items.contains(first))
            .or(Some(from))
    }

    fn child(&self, of: usize, name: &str) -> Option<usize> {
        let path = [self.modules[of].name.as_slice(), &[name.to_owned()]].concat();
        self.find(&path)
    }

    fn find(&self, name: &[String]) -> Option<usize> {
        self.modules.iter().position(|module| module.name == name)
    }
}

fn add(
    inside: &BTreeMap<&str, &Source>,
    name: Path,
    file: &str,
    parsed: File,
    to: &mut Vec<Module>,
) {
    let children = parsed.modules.clone();
    let folder = match file.rsplit_once('/') {
        Some((folder, "mod.rs")) => format!("{folder}/"),
        Some(_) => format!("{}/", file.trim_end_matches(".rs")),
        None if name.is_empty() => String::new(),
        None => format!("{}/", file.trim_end_matches(".rs")),
    };
    let source = inside.get(file).map(|source| source.path.clone());
    to.push(Module {
        name: name.clone(),
        file: source.unwrap_or_default(),
        parsed,
    });
    for child in children {
        let mut name = name.clone();
        name.push(child.clone());
        let files = [
            format!("{folder}{child}.rs"),
            format!("{folder}{child}/mod.rs"),
        ];
        let file = files.iter().find(|file| inside.contains_key(file.as_str()));
        if let Some((file, source)) = file.and_then(|file| Some((file, inside.get(file.as_str())?)))
        {
            add(inside, name, file, imports::parse(&source.text), to);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn krate(files: &[(&str, &str)]) -> Crate {
        let sources: Vec<Source> = files
            .iter()
            .map(|(path, text)| Source {
                path: format!("x/src/{path}"),
                text: (*text).to_owned(),
            })
            .collect();
        Crate::of("x/src/", &sources)
    }

    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let krate = krate(files);
        let name = |at: usize| krate.modules()[at].file.trim_start_matches("x/src/");
        let mut imports: Vec<String> = krate
            .imports()
            .iter()
            .map(|it| format!("{} -> {}", name(it.from), name(it.to)))
            .collect();
        imports.sort();
        assert_eq!(imports, expected);
    }

    #[test]
    fn files_are_found_by_their_declarations() {
        let krate = krate(&[
            ("lib.rs", ""),
            ("main.rs", "mod a; mod b; #[cfg(test)] mod c_tests;"),
            ("a.rs", "mod d;"),
            ("a/d.rs", ""),
            ("b/mod.rs", "pub mod e;"),
            ("b/e.rs", ""),
            ("c_tests.rs", "use crate::a;"),
            ("nobodys.rs", ""),
        ]);
        let names = krate.modules().iter().map(|module| module.name.join("::"));
        assert_eq!(names.collect::<Vec<_>>(), ["", "a", "a::d", "b", "b::e"]);
    }

    #[test]
    fn imports_lead_to_the_file_that_has_the_thing() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c;"),
            (
                "a.rs",
                "use crate::b::Deep; use super::c::{self, inner::Inner}; use std::fs; fn f() { c::g() }",
            ),
            ("b/mod.rs", "mod deep; pub use deep::Deep; fn of_b() {}"),
            ("b/deep.rs", "use super::of_b; struct Deep;"),
            ("c/mod.rs", "pub mod inner; pub fn g() {}"),
            ("c/inner.rs", "struct Inner;"),
        ];
        check(
            &files,
            &[
                "a.rs -> b/deep.rs",
                "a.rs -> c/inner.rs",
                "a.rs -> c/mod.rs",
                "b/deep.rs -> b/mod.rs",
                "b/mod.rs -> b/deep.rs",
            ],
        );
    }

    #[test]
    fn a_sibling_that_is_had_by_way_of_the_parent_is_imported() {
        let files = [
            ("main.rs", "mod a;"),
            ("a/mod.rs", "mod b; mod c; use b::B; pub use c::*;"),
            ("a/b.rs", "use super::C; struct B;"),
            ("a/c.rs", "use super::B; struct C;"),
        ];
        check(
            &files,
            &[
                "a/b.rs -> a/c.rs",
                "a/c.rs -> a/b.rs",
                "a/mod.rs -> a/b.rs",
                "a/mod.rs -> a/c.rs",
            ],
        );
    }

    #[test]
    fn reexports_that_go_round_end() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "pub use crate::b::X;"),
            ("b.rs", "pub use crate::a::X;"),
        ];
        assert_eq!(krate(&files).modules().len(), 3);
        let _ = krate(&files).imports();
    }
}
