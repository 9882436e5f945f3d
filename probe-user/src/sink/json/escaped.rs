//! JSON in which no character steers a terminal, turns the direction of writing or hides: each is escaped by its number (`\u202e`), which
//! every reader of JSON takes for the character itself.

use std::io;

use serde::Serialize;
use serde_json::{
    Serializer,
    ser::{CompactFormatter, Formatter},
};

use crate::{model::harmless::is_harmful, sink::append};

/// Appends a value; whether it could be written, which of strings, numbers and maps with string keys is always so.
pub(in crate::sink) fn append_json(to: &mut String, value: &impl Serialize) -> bool {
    let end = to.len();
    let written = value.serialize(&mut Serializer::with_formatter(Text(to), Escaping));
    if written.is_err() {
        to.truncate(end);
    }
    written.is_ok()
}

/// Appends a value as a line of its own.
pub(in crate::sink) fn append_line(to: &mut String, value: &impl Serialize) {
    if append_json(to, value) {
        to.push('\n');
    }
}

/// Appends a character that JSON itself leaves as it is.
pub(super) fn character(to: &mut String, c: char) {
    if !is_harmful(c) {
        return to.push(c);
    }
    for unit in c.encode_utf16(&mut [0; 2]) {
        to.push_str(match *unit {
            0..0x10 => "\\u000",
            0x10..0x100 => "\\u00",
            0x100..0x1000 => "\\u0",
            _ => "\\u",
        });
        append::hex(to, u64::from(*unit));
    }
}

/// A string as what serde_json writes to, which is text.
struct Text<'a>(&'a mut String);

impl io::Write for Text<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = str::from_utf8(bytes).map_err(io::Error::other)?;
        self.0.push_str(text);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// As serde_json writes without one, but for those characters.
struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        // Without an early end: many bytes are looked at in one instruction.
        let is_plain = |byte: u8| byte < 0x7f;
        if fragment
            .bytes()
            .fold(true, |all, byte| all & is_plain(byte))
        {
            return CompactFormatter.write_string_fragment(writer, fragment);
        }
        let mut escaped = String::with_capacity(fragment.len());
        fragment.chars().for_each(|c| character(&mut escaped, c));
        CompactFormatter.write_string_fragment(writer, &escaped)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_steers_turns_or_hides_is_escaped() {
        let mut to = String::new();
        append_line(
            &mut to,
            &[
                "a\u{1b}\u{7f}\u{9b}31m",
                "\u{202e}\u{61c}\u{2028}\u{200b}",
                "\u{e0001}→é",
            ],
        );
        let expect = r#"["a\u001b\u007f\u009b31m","\u202e\u061c\u2028\u200b","\udb40\udc01→é"]"#;
        assert_eq!(to.trim_end(), expect);
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_it_was(text: String) {
            let mut to = String::new();
            prop_assert!(append_json(&mut to, &text));
            prop_assert!(!to.contains(is_harmful), "{:?}", to);
            prop_assert_eq!(serde_json::from_str::<String>(&to).ok(), Some(text));
        }
    }
}
