//! The strings of a line of JSON, each of which may be replaced; all else stays as it was written, to the last digit.

use std::borrow::Cow;

/// A string, and which member it is of.
pub(super) struct Literal<'a> {
    /// The last name before it; a name has its own.
    pub member: &'a str,
    pub is_name: bool,
    pub text: Cow<'a, str>,
}

/// The line, with each string as `with` has it. The line is JSON that was parsed before; where a string cannot be read
/// (half of a surrogate pair), it becomes empty.
pub(super) fn rewrite<'a>(
    line: &'a str,
    mut with: impl FnMut(&Literal<'_>) -> Option<String>,
) -> String {
    let bytes = line.as_bytes();
    let mut out = String::with_capacity(line.len() + line.len() / 8);
    let mut member: Cow<'a, str> = Cow::Borrowed("");
    let mut copied = 0;
    while let Some(start) = memchr::memchr(b'"', &bytes[copied..]).map(|at| copied + at) {
        out.push_str(&line[copied..start]);
        let end = end_of(bytes, start);
        let raw = &line[start..end];
        let is_name = bytes[end..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
        let inner = raw.get(1..raw.len().max(2) - 1).unwrap_or_default();
        let text = if inner.contains('\\') {
            serde_json::from_str(raw).ok().map(Cow::Owned)
        } else {
            Some(Cow::Borrowed(inner))
        };
        if let (true, Some(text)) = (is_name, &text) {
            member.clone_from(text);
        }
        match text {
            None => out.push_str("\"\""),
            Some(text) => {
                let literal = Literal {
                    member: &member,
                    is_name,
                    text,
                };
                match with(&literal) {
                    // A string has no way to fail.
                    Some(new) => out.push_str(&serde_json::Value::String(new).to_string()),
                    None => out.push_str(raw),
                }
            }
        }
        copied = end;
    }
    out.push_str(&line[copied..]);
    out
}

/// Behind the quote that ends the string which begins here.
fn end_of(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_found_with_their_member() {
        let line =
            r#"{"a" : "x\"y", "b":["1",{"c":"\u00e9\n"}],"n":1.50,"d":18446744073709551615}"#;
        let mut found = Vec::new();
        let same = rewrite(line, |literal| {
            let mark = if literal.is_name { "!" } else { "" };
            found.push(format!("{mark}{}={}", literal.member, literal.text));
            None
        });
        assert_eq!(same, line);
        let expect = [
            "!a=a", "a=x\"y", "!b=b", "b=1", "!c=c", "c=é\n", "!n=n", "!d=d",
        ];
        assert_eq!(found, expect);
    }

    #[test]
    fn what_is_replaced_is_json_again() {
        let line = r#"{"a":"x","b":[1.50,"\ud800"]}"#;
        let new = rewrite(line, |literal| {
            (literal.text == "x").then(|| "\"\n".to_owned())
        });
        assert_eq!(new, r#"{"a":"\"\n","b":[1.50,""]}"#);
    }

    #[test]
    fn half_a_line_ends() {
        for line in ["\"", "\"a", "{\"a\\", "{\"a\":\"b\\\""] {
            rewrite(line, |_| Some(String::new()));
        }
    }
}
