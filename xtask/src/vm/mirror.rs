//! Finds out where this machine gets its Debian packages from.
//!
//! The VM kernels come from the same mirror, only from other suites. Both of apt's formats are read, and nothing is
//! assumed about names: a source counts as Debian's archive by the suites it carries. It does no I/O beyond reading
//! apt's own source lists.

use std::path::Path;

use anyhow::{Context, Result};

/// The machine's Debian archive, and its security archive if it has one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mirror {
    pub archive: String,
    pub security: Option<String>,
}

struct Source {
    uri: String,
    suites: Vec<String>,
    /// Signed by Debian's own keyring, which third parties with a suite of the same name are not.
    debians_key: bool,
}

const CODENAMES: &[&str] = &["bullseye", "bookworm", "trixie", "forky", "sid"];

pub(super) fn of_this_machine() -> Result<Mirror> {
    let mut sources = Vec::new();
    let mut read = |path: &Path| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if path.extension().is_some_and(|ext| ext == "sources") {
            sources.extend(stanzas(&text));
        } else if path.extension().is_some_and(|ext| ext == "list") {
            sources.extend(text.lines().filter_map(one_line));
        }
    };
    read(Path::new("/etc/apt/sources.list"));
    if let Ok(parts) = std::fs::read_dir("/etc/apt/sources.list.d") {
        let mut parts: Vec<_> = parts.flatten().map(|entry| entry.path()).collect();
        parts.sort();
        for path in &parts {
            read(path);
        }
    }
    choose(&sources).context(
        "no Debian archive among this machine's apt sources (a suite such as bookworm with the component main), \
         so there is no mirror to take VM kernels from",
    )
}

fn choose(sources: &[Source]) -> Option<Mirror> {
    let best = |fits: &dyn Fn(&str) -> bool| {
        let mut fitting = sources
            .iter()
            .filter(|source| source.suites.iter().any(|suite| fits(suite)));
        let first = fitting.clone().next();
        fitting
            .find(|source| source.debians_key)
            .or(first)
            .map(|source| source.uri.clone())
    };
    let security = |suite: &str| {
        let name = suite
            .strip_suffix("-security")
            .or_else(|| suite.strip_suffix("/updates"));
        name.is_some_and(|name| CODENAMES.contains(&name))
    };
    Some(Mirror {
        archive: best(&|suite| CODENAMES.contains(&suite))?,
        security: best(&security),
    })
}

/// `deb [options] URI suite component…`
fn one_line(line: &str) -> Option<Source> {
    let rest = line.trim().strip_prefix("deb ")?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace();
    let (uri, suite) = (words.next()?, words.next()?);
    words.any(|component| component == "main").then(|| Source {
        uri: uri.to_owned(),
        suites: vec![suite.to_owned()],
        debians_key: options.contains("debian-archive"),
    })
}

/// Stanzas of `Field: values` lines, apart by empty lines.
fn stanzas(text: &str) -> Vec<Source> {
    let text: String = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(|line| [line, "\n"])
        .collect();
    text.split("\n\n").filter_map(stanza).collect()
}

fn stanza(text: &str) -> Option<Source> {
    let field = |name: &str| {
        text.lines().find_map(|line| {
            let (field, values) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| values.trim())
        })
    };
    let has = |name: &str, word: &str| {
        field(name).is_some_and(|values| values.split_whitespace().any(|v| v == word))
    };
    if field("Enabled").is_some_and(|value| value.eq_ignore_ascii_case("no")) {
        return None;
    }
    (has("Types", "deb") && has("Components", "main")).then_some(())?;
    Some(Source {
        uri: field("URIs")?.split_whitespace().next()?.to_owned(),
        suites: field("Suites")?
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
        debians_key: field("Signed-By").is_some_and(|path| path.contains("debian-archive")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sources: Vec<Source>, archive: &str, security: Option<&str>) {
        let expected = Mirror {
            archive: archive.to_owned(),
            security: security.map(str::to_owned),
        };
        assert_eq!(choose(&sources), Some(expected));
    }

    #[test]
    fn deb822_sources() {
        let text = "Types: deb\n# a comment\nURIs: http://mirror.test/debian\nSuites: bookworm bookworm-updates\n\
                    Components: main\nSigned-By: /k/debian-archive-keyring.gpg\n\n\
                    Types: deb\nURIs: http://mirror.test/sec\nSuites: bookworm-security\nComponents: main\n";
        check(
            stanzas(text),
            "http://mirror.test/debian",
            Some("http://mirror.test/sec"),
        );
    }

    #[test]
    fn one_line_sources_with_and_without_options() {
        let text = "# deb http://off.test/debian bookworm main\ndeb-src http://src.test/debian bookworm main\n\
                    deb http://vendor.test/ bookworm stable\n\
                    deb [arch=amd64] http://mirror.test/debian bookworm main contrib\n";
        check(
            text.lines().filter_map(one_line).collect(),
            "http://mirror.test/debian",
            None,
        );
    }

    #[test]
    fn debians_own_key_wins_over_a_third_party() {
        let text = "deb http://vendor.test/ bookworm main\n\
                    deb [signed-by=/k/debian-archive-keyring.gpg] http://mirror.test/debian bookworm main\n";
        check(
            text.lines().filter_map(one_line).collect(),
            "http://mirror.test/debian",
            None,
        );
    }

    #[test]
    fn a_disabled_stanza_does_not_count() {
        assert!(
            stanzas("Types: deb\nEnabled: no\nURIs: u\nSuites: sid\nComponents: main\n").is_empty()
        );
    }
}
