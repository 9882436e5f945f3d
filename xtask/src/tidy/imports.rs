//! What one file of a crate declares and what it names of other files. What is compiled for tests alone is left out: a test may
//! look at what it likes.

use super::lex::{Token, tokens};

/// Segments of a path, such as `crate`, `report`, `text`.
pub(super) type Path = Vec<String>;

#[derive(Debug, Default, PartialEq)]
pub(super) struct File {
    /// Modules that have files of their own.
    pub modules: Vec<String>,
    /// The same, for tests alone.
    pub test_modules: Vec<String>,
    pub uses: Vec<Use>,
    /// Paths in the code itself that begin with a word and have at least two.
    pub paths: Vec<Path>,
    /// Functions, types, constants and whatever else has a name here.
    pub items: Vec<String>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Use {
    pub path: Path,
    /// What it is called here: `None` for all that the path has.
    pub name: Option<String>,
}

pub(super) fn parse(text: &str) -> File {
    let tokens = tokens(text);
    let mut parser = Parser {
        tokens: &tokens,
        at: 0,
        file: File::default(),
    };
    if !is_test(parser.tokens.get(2..).unwrap_or_default()) || !parser.starts(&["#", "!", "["]) {
        parser.items(&[]);
    }
    parser.file
}

struct Parser<'text> {
    tokens: &'text [Token<'text>],
    at: usize,
    file: File,
}

/// `[cfg(test)]`, `[cfg(all(test, …`.
fn is_test(attribute: &[Token<'_>]) -> bool {
    matches!(
        attribute,
        ["[", "cfg", "(", "test", ..] | ["[", "cfg", "(", "all", "(", "test", ..]
    )
}

const NAMED: [&str; 9] = [
    "fn",
    "struct",
    "enum",
    "union",
    "trait",
    "type",
    "const",
    "static",
    "macro_rules",
];

impl<'text> Parser<'text> {
    fn peek(&self, ahead: usize) -> Token<'text> {
        self.tokens.get(self.at + ahead).copied().unwrap_or("")
    }

    fn next(&mut self) -> Token<'text> {
        let token = self.peek(0);
        self.at += 1;
        token
    }

    fn starts(&self, with: &[&str]) -> bool {
        self.tokens[self.at..].starts_with(with)
    }

    /// Until the brace that closes this module, or the end.
    fn items(&mut self, inside: &[String]) {
        let mut depth = 0;
        let mut before = "";
        while self.at < self.tokens.len() {
            match self.peek(0) {
                "{" => depth += 1,
                "}" if depth == 0 => {
                    self.at += 1;
                    return;
                }
                "}" => depth -= 1,
                "#" if self.peek(1) == "[" => {
                    let is_test = is_test(&self.tokens[self.at + 1..]);
                    self.at += 1;
                    self.balanced();
                    if is_test {
                        self.test_item();
                    }
                    before = "";
                    continue;
                }
                "mod" if before != "::" => {
                    self.module(inside);
                    before = "";
                    continue;
                }
                "use" if before != "::" && self.peek(1) != "<" => {
                    self.at += 1;
                    self.use_tree(&mut Vec::new(), inside);
                    before = "";
                    continue;
                }
                word if depth == 0 && NAMED.contains(&word) => {
                    let name = self.peek(if word == "macro_rules" { 2 } else { 1 });
                    self.file.items.push(name.to_owned());
                }
                word if before != "::" && self.peek(1) == "::" && is_name(word) => {
                    self.path(inside);
                    before = "";
                    continue;
                }
                _ => {}
            }
            before = self.next();
        }
    }

    /// From an opening bracket, parenthesis or brace to behind the one that closes it.
    fn balanced(&mut self) {
        let mut depth = 0;
        while self.at < self.tokens.len() {
            match self.next() {
                "[" | "(" | "{" => depth += 1,
                "]" | ")" | "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// What follows `#[cfg(test)]`, to its end.
    fn test_item(&mut self) {
        while self.starts(&["#", "["]) {
            self.at += 1;
            self.balanced();
        }
        let mut is_use = false;
        while self.at < self.tokens.len() {
            match self.peek(0) {
                "mod" if self.peek(2) == ";" => {
                    let name = self.peek(1).to_owned();
                    self.file.test_modules.push(name);
                    self.at += 3;
                    return;
                }
                "use" => is_use = true,
                "{" => {
                    self.balanced();
                    if !is_use {
                        return;
                    }
                    continue;
                }
                "(" | "[" => {
                    self.balanced();
                    continue;
                }
                // The last of a list may do without.
                ";" | "," => {
                    self.at += 1;
                    return;
                }
                "}" => return,
                _ => {}
            }
            self.at += 1;
        }
    }

    /// `mod name;` or `mod name { … }`.
    fn module(&mut self, inside: &[String]) {
        self.at += 1;
        let name = self.next().to_owned();
        match self.next() {
            ";" => self.file.modules.push(name),
            "{" => {
                let inside = [inside, &[name]].concat();
                self.items(&inside);
            }
            _ => {}
        }
    }

    /// One tree of a `use`, to its `;`, `,` or `}`.
    fn use_tree(&mut self, above: &mut Path, inside: &[String]) {
        let depth = above.len();
        if self.peek(0) == "::" {
            self.at += 1;
        }
        loop {
            match self.next() {
                "{" => {
                    while self.at < self.tokens.len() && self.peek(0) != "}" {
                        self.use_tree(above, inside);
                        if self.peek(0) == "," {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    break;
                }
                "*" => {
                    self.import(above, None, inside);
                    break;
                }
                "self" if !above.is_empty() => {
                    let name = self.alias().or_else(|| above.last().cloned());
                    self.import(above, name, inside);
                    break;
                }
                word => {
                    above.push(word.to_owned());
                    if self.peek(0) == "::" {
                        self.at += 1;
                        continue;
                    }
                    let name = self.alias().unwrap_or_else(|| word.to_owned());
                    self.import(above, Some(name), inside);
                    break;
                }
            }
        }
        above.truncate(depth);
    }

    fn alias(&mut self) -> Option<String> {
        if self.peek(0) != "as" {
            return None;
        }
        self.at += 1;
        Some(self.next().to_owned())
    }

    fn import(&mut self, path: &Path, name: Option<String>, inside: &[String]) {
        let path = from_file(path, inside);
        self.file.uses.push(Use { path, name });
    }

    fn path(&mut self, inside: &[String]) {
        let mut path = vec![self.next().to_owned()];
        while self.peek(0) == "::" && is_name(self.peek(1)) {
            self.at += 1;
            path.push(self.next().to_owned());
        }
        let path = from_file(&path, inside);
        if path.len() > 1 && !self.file.paths.contains(&path) {
            self.file.paths.push(path);
        }
    }
}

fn is_name(word: &str) -> bool {
    let first = word.chars().next();
    first.is_some_and(|c| c.is_alphabetic() || c == '_')
}

/// The path as it would stand at the top of the file, of one inside of its modules: each of them takes a `super`.
fn from_file(path: &[String], inside: &[String]) -> Path {
    let mut path = path.to_vec();
    let mut inside = inside.len();
    while inside > 0 && path.first().is_some_and(|first| first == "super") {
        path.remove(0);
        inside -= 1;
        if path.first().is_none_or(|first| first != "super") {
            path.insert(0, "self".to_owned());
            break;
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(text: &str) -> Vec<String> {
        let uses = parse(text).uses.into_iter();
        uses.map(|it| {
            format!(
                "{} as {}",
                it.path.join("::"),
                it.name.unwrap_or("*".into())
            )
        })
        .collect()
    }

    #[test]
    fn a_tree_of_uses_is_taken_apart() {
        assert_eq!(
            uses("pub(crate) use crate::a::{self, b, c::{D, E as F}, g::*}; use super::h;"),
            [
                "crate::a as a",
                "crate::a::b as b",
                "crate::a::c::D as D",
                "crate::a::c::E as F",
                "crate::a::g as *",
                "super::h as h"
            ]
        );
    }

    #[test]
    fn what_is_for_tests_is_left_out() {
        let file = parse(
            "mod a;\n#[cfg(test)]\n#[path = \"b_tests.rs\"]\nmod b;\n#[cfg(test)]\nuse crate::c::{d, e};\n\
             #[cfg(test)]\nmod tests { use super::*; fn f() { crate::g::h(); } }\n\
             #[cfg(test)]\npub fn i(x: [u8; 4]) -> u8 { crate::j::k(x) }\nuse crate::l;\n\
             struct M { #[cfg(test)] n: crate::o::P, q: u8 }\n#[cfg(not(test))]\nuse crate::r;",
        );
        assert_eq!(file.modules, ["a"]);
        assert_eq!(file.test_modules, ["b"]);
        let uses: Vec<String> = file.uses.iter().map(|it| it.path.join("::")).collect();
        assert_eq!(uses, ["crate::l", "crate::r"]);
        assert_eq!(file.paths, [] as [Path; 0]);
        assert_eq!(file.items, ["M"]);
        assert_eq!(parse("#![cfg(test)]\nuse crate::a;"), File::default());
    }

    #[test]
    fn paths_of_the_code_are_found() {
        let file = parse(
            "fn a(b: crate::c::D) { super::e::f::<u8>(); g.h::<u8>(); <u8 as I>::j(); K::l() } fn m() -> impl N + use<> {}",
        );
        let paths: Vec<String> = file.paths.iter().map(|path| path.join("::")).collect();
        assert_eq!(paths, ["crate::c::D", "super::e::f", "K::l"]);
        assert_eq!(file.items, ["a", "m"]);
        assert_eq!(file.uses, []);
    }

    #[test]
    fn a_module_inside_of_the_file_is_the_file() {
        assert_eq!(
            uses(
                "mod a { use super::b; use super::super::c; mod d { use super::super::e; } } use super::f;"
            ),
            [
                "self::b as b",
                "super::c as c",
                "self::e as e",
                "super::f as f"
            ]
        );
    }

    #[test]
    fn names_are_those_at_the_top() {
        let file = parse(
            "const A: u8 = 1; fn b() { const C: u8 = 2; } macro_rules! d { () => {} } impl E { fn f() {} }",
        );
        assert_eq!(file.items, ["A", "b", "d"]);
    }
}
