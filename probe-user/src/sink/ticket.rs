//! What a report begins with that is to be read elsewhere: where and when it was made, and by what.

use std::fmt::{self, Write as _};

use super::text::{Clean, name_netns};
use crate::model::{Clock, Origin, netns_name::NetnsName, tier::Tier};

/// What is known of a report as a whole.
pub(super) struct Ticket<'a> {
    pub origin: &'a Origin,
    pub clock: Clock,
    pub mono_ns: u64,
    pub tier: Tier,
    /// The only namespace that was asked about, and what it is called.
    pub only: Option<(u32, Option<&'a NetnsName>)>,
}

impl Ticket<'_> {
    pub(super) fn write(&self, to: &mut String) -> fmt::Result {
        write!(
            to,
            "{}, {}, Linux {}, whydrop {} on tier {}",
            Clean(&self.origin.host),
            self.clock.at(self.mono_ns),
            Clean(&self.origin.kernel),
            env!("CARGO_PKG_VERSION"),
            self.tier
        )?;
        if let Some((netns, name)) = self.only {
            to.push_str(", ");
            name_netns(netns, name, to);
        }
        if !self.origin.command.is_empty() {
            let words = self.origin.command.iter().map(|word| quoted(word));
            let words: Vec<String> = words.collect();
            write!(to, "\n$ {}", Clean(&words.join(" ")))?;
        }
        to.push('\n');
        Ok(())
    }
}

/// So that a shell takes it as the one word that it was.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+[]".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_given_again() {
        let check = |word: &str, expect: &str| assert_eq!(quoted(word), expect);
        check("[::1]:80", "[::1]:80");
        check("--for", "--for");
        check("", "''");
        check("a b", "'a b'");
        check("it's", r"'it'\''s'");
    }
}
