//! Rust as words and signs: comments, strings and characters are left out, since nothing in them imports anything.

/// An identifier, `::`, or a single other sign.
pub(super) type Token<'text> = &'text str;

pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match skipped(rest) {
            Some(length) => {
                rest = &rest[length..];
                continue;
            }
            None if is_word(first) => word(rest),
            None if rest.starts_with("::") => 2,
            None => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        if !first.is_whitespace() {
            tokens.push(token);
        }
        rest = after;
    }
    tokens
}

/// How long what stands here is, if it is left out.
fn skipped(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    if let Some(length) = raw_string(rest) {
        return Some(length);
    }
    let prefix = usize::from(rest.starts_with("b\"") || rest.starts_with("c\""));
    if rest[prefix..].starts_with('"') {
        return Some(prefix + quoted(&rest[prefix..], '"'));
    }
    let prefix = usize::from(rest.starts_with("b'"));
    is_character(&rest[prefix..]).then(|| prefix + quoted(&rest[prefix..], '\''))
}

/// They nest.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                break;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// `r"…"`, `br##"…"##`.
fn raw_string(rest: &str) -> Option<usize> {
    let body = ["r", "br", "cr"]
        .iter()
        .find_map(|prefix| rest.strip_prefix(prefix))?;
    let hashes = body.chars().take_while(|c| *c == '#').count();
    let inside = body[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = inside.find(&end).map_or(inside.len(), |at| at + end.len());
    Some(rest.len() - inside.len() + length)
}

/// From its first quotation mark to behind its last.
fn quoted(rest: &str, mark: char) -> usize {
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        if c == '\\' {
            characters.next();
        } else if c == mark {
            return at + 1;
        }
    }
    rest.len()
}

/// `'a'` and `'\n'`, but not the lifetime `'a`.
fn is_character(rest: &str) -> bool {
    let mut characters = rest.chars();
    characters.next() == Some('\'')
        && match characters.next() {
            Some('\\') => true,
            Some(_) => characters.next() == Some('\''),
            None => false,
        }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn word(rest: &str) -> usize {
    rest.find(|c| !is_word(c)).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(tokens(text).join(" "), expected, "{text}");
    }

    #[test]
    fn words_and_signs() {
        check(
            "use crate::a::{b, c as d};",
            "use crate :: a :: { b , c as d } ;",
        );
        check("r#type(&'a x)", "r # type ( & ' a x )");
    }

    #[test]
    fn comments_are_left_out() {
        check("a // use b;\nc /* d /* e */ f */ g", "a c g");
        check("//! crate::x\n/// crate::y\nz", "z");
    }

    #[test]
    fn strings_and_characters_are_left_out() {
        check(r#"a "crate::b \" c" d"#, "a d");
        check(r##"a r#"crate::b " c"# d br"e" f"##, "a d f");
        check(r"a '{' '\'' b'}' b'\\' c", "a c");
        check("a '→' b \"→", "a b");
    }

    #[test]
    fn a_lifetime_is_no_character() {
        check(
            "fn a<'b>(c: &'b str) {}",
            "fn a < ' b > ( c : & ' b str ) { }",
        );
    }
}
