//! A command as one argument: its words, without a shell.

use std::str::FromStr;

/// The program, and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// What is executed.
    pub program: String,
    /// What it is given.
    pub arguments: Vec<String>,
}

impl FromStr for Words {
    type Err = String;

    /// Blanks are between words, quotes of either kind hold some together, and nothing else has a meaning.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = Vec::new();
        let mut word: Option<String> = None;
        let mut quote = None;
        for letter in text.chars() {
            match (quote, letter) {
                (Some(open), letter) if letter == open => quote = None,
                (None, '\'' | '"') => {
                    word.get_or_insert_default();
                    quote = Some(letter);
                }
                (None, ' ' | '\t' | '\n') => words.extend(word.take()),
                (_, '\0') => return Err("a command has no NUL in it".into()),
                (_, letter) => word.get_or_insert_default().push(letter),
            }
        }
        if let Some(open) = quote {
            return Err(format!("the quote {open} of `{text}` is not closed"));
        }
        words.extend(word);
        let mut words = words.into_iter();
        let program = words.next().filter(|program| !program.is_empty());
        Ok(Self {
            program: program.ok_or("a command has a program: no word is there")?,
            arguments: words.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_without_a_shell() {
        let check = |text: &str, expect: &[&str]| {
            let words: Words = text.parse().expect(text);
            let mut got = vec![words.program];
            got.extend(words.arguments);
            assert_eq!(got, expect, "{text}");
        };
        check("/usr/bin/page", &["/usr/bin/page"]);
        check("  page --to  ops\t", &["page", "--to", "ops"]);
        check("page 'a b' \"c 'd'\" ''", &["page", "a b", "c 'd'", ""]);
        check(
            "page $HOME;ls | x>y *",
            &["page", "$HOME;ls", "|", "x>y", "*"],
        );
        check("a'b c'd", &["ab cd"]);
        for text in ["", "  ", "''", "page 'a", "a\0b"] {
            assert!(text.parse::<Words>().is_err(), "{text}");
        }
    }
}
