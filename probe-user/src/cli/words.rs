//! The words of a command line as people type them, in the order in which clap wants them: a listener alone asks `why`, and options
//! may stand before the name of a command.

use std::ffi::OsString;

use clap::{Arg, Command, CommandFactory};

use super::Cli;
use crate::filter::ListenerFilter;

/// The first word is the program's name.
pub fn in_order(given: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = given.collect();
    let cli = Cli::command();
    let Some(at) = first_plain(&cli, &words) else {
        return words;
    };
    let Some(word) = words[at].to_str() else {
        return words;
    };
    if cli.find_subcommand(word).is_some() {
        let name = words.remove(at);
        words.insert(1, name);
    } else if word.parse::<ListenerFilter>().is_ok() {
        words.insert(1, "why".into());
    }
    words
}

/// Where the first word is that is neither an option nor an option's value.
fn first_plain(cli: &Command, words: &[OsString]) -> Option<usize> {
    let mut at = 1;
    loop {
        // One that is no text is a name of something.
        let word = words.get(at)?.to_str().unwrap_or_default();
        match word {
            "--" => return None,
            "-" => return Some(at),
            _ if !word.starts_with('-') => return Some(at),
            _ if takes_next(cli, word) => at += 2,
            _ => at += 1,
        }
    }
}

/// Whether the next word is the value of this option.
fn takes_next(cli: &Command, option: &str) -> bool {
    let commands = std::iter::once(cli).chain(cli.get_subcommands());
    let mut args = commands.flat_map(Command::get_arguments);
    args.find(|arg| is_alone(arg, option))
        .is_some_and(|arg| arg.get_action().takes_values())
}

/// Whether this word is the option, and nothing else: `--for=5`, `-t5` and `-ft` have more in them.
fn is_alone(arg: &Arg, word: &str) -> bool {
    let long = arg.get_long().map(|long| format!("--{long}"));
    let short = arg.get_short().map(|short| format!("-{short}"));
    [long, short].into_iter().flatten().any(|name| name == word)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn check(given: &str, expect: &str) {
        let words = given.split_whitespace().map(OsString::from);
        let words = in_order(words);
        let expect: Vec<OsString> = expect.split_whitespace().map(OsString::from).collect();
        assert_eq!(words, expect, "{given}");
        let parsed = Cli::try_parse_from(words);
        assert!(parsed.is_ok(), "{given}: {parsed:?}");
    }

    #[test]
    fn a_listener_alone_asks_why() {
        check("whydrop 8080", "whydrop why 8080");
        check("whydrop :http", "whydrop why :http");
        check("whydrop *:8080 -t 5", "whydrop why *:8080 -t 5");
        check("whydrop -n self 8080", "whydrop why -n self 8080");
        check(
            "whydrop --full localhost:80",
            "whydrop why --full localhost:80",
        );
    }

    #[test]
    fn options_may_come_before_the_command() {
        check("whydrop --netns self why 80", "whydrop why --netns self 80");
        check("whydrop --netns=self list", "whydrop list --netns=self");
        check(
            "whydrop -t 5 -f json verify 80",
            "whydrop verify -t 5 -f json 80",
        );
        check("whydrop -fjson list 80", "whydrop list -fjson 80");
        // The value of an option is no command.
        check("whydrop --comm list", "whydrop --comm list");
        check("whydrop --comm list list", "whydrop list --comm list");
    }

    #[test]
    fn others_stay_as_they_are() {
        for given in [
            "whydrop",
            "whydrop --for 5",
            "whydrop -l 8080",
            "whydrop list 8080",
            "whydrop run -- list",
            "whydrop run ls -l -n why",
            "whydrop record -o f make -j 2",
            "whydrop explain overflow",
        ] {
            check(given, given);
        }
    }

    #[test]
    fn what_is_nothing_stays_an_error() {
        for given in [
            "whydrop 8080:",
            "whydrop nothing",
            "whydrop --nothing list",
            "whydrop -- 8080",
        ] {
            let words = in_order(given.split_whitespace().map(OsString::from));
            assert!(Cli::try_parse_from(words).is_err(), "{given}");
        }
    }
}
