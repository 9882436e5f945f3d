//! Characters of names that others chose, which a terminal or a reader is not to be shown as they are: they steer it, turn the
//! direction of writing, end a line, or are not seen at all.

use std::borrow::Cow;

/// Whether it is a control character (C0, DEL, C1), ends a line or a paragraph, turns the direction of writing, or is one that
/// nobody sees (Unicode's `Default_Ignorable_Code_Point`, and marks of annotations).
pub const fn is_harmful(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Whole lines, without them; what ends a line stays.
pub fn lines(text: &str) -> Cow<'_, str> {
    let is_wrong = |c: char| c != '\n' && is_harmful(c);
    if text.contains(is_wrong) {
        Cow::Owned(text.replace(is_wrong, "?"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_in_any_language_stays() {
        for text in ["nginx", "bücher-größe", "база", "数据库", "قاعدة", "✓ 😀"]
        {
            assert!(!text.contains(is_harmful), "{text}");
        }
    }

    #[test]
    fn what_steers_turns_or_hides_is_found() {
        let all = "\0\u{7}\u{1b}\n\u{7f}\u{80}\u{9b}\u{9f}\u{ad}\u{61c}\u{200b}\u{200d}\u{200e}\u{2028}\u{2029}\u{202a}\u{202e}\
                   \u{2060}\u{2066}\u{2069}\u{feff}\u{e0001}";
        assert!(all.chars().all(is_harmful));
        assert_eq!(lines("a\u{9b}b\nc\u{202e}\n"), "a?b\nc?\n");
        assert!(matches!(lines("a\nb"), Cow::Borrowed(_)));
    }
}
