//! What documents and comments name is there: files in Rust, documents, and the sections that links lead to.

use std::path::Path;

use super::tree::{Source, is_rust};

/// Documents in which every name is looked at. One that does not exist yet names nothing.
const ROOT_DOCUMENTS: [&str; 4] = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
];
const DOCUMENTS: &str = "docs/";

/// What is named and not there. `sources` are all files in Rust and all documents.
pub(super) fn missing(root: &Path, sources: &[Source]) -> Vec<String> {
    let mut missing = Vec::new();
    for source in sources {
        for (number, line) in source.text.lines().enumerate() {
            let wrong: Vec<String> = if is_rust(&source.path) {
                let comment = line.trim_start().starts_with("//").then_some(line);
                let names = comment.into_iter().flat_map(|line| names(line, "md"));
                names.filter(|name| !is_there(name, sources)).collect()
            } else if is_document(&source.path) {
                let names = names(line, "rs").chain(names(line, "md"));
                let names = names.filter(|name| !is_there(name, sources));
                let links =
                    links(line).filter(|link| !leads_somewhere(link, source, root, sources));
                names.chain(links).collect()
            } else {
                Vec::new()
            };
            for name in wrong {
                let said = format!("{}:{}: there is no {name}", source.path, number + 1);
                if !missing.contains(&said) {
                    missing.push(said);
                }
            }
        }
    }
    missing
}

fn is_document(path: &str) -> bool {
    ROOT_DOCUMENTS.contains(&path) || path.starts_with(DOCUMENTS)
}

/// Words that are the path of a file, or the end of one.
fn names<'line>(line: &'line str, extension: &'line str) -> impl Iterator<Item = String> + 'line {
    let words = line.split(|c: char| !(c.is_alphanumeric() || "._/-".contains(c)));
    words.filter_map(move |word| {
        let word = word.trim_start_matches("../").trim_start_matches("./");
        let stem = word.trim_end_matches('.').strip_suffix(extension)?;
        let stem = stem.strip_suffix('.')?;
        let is_name = stem.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        (is_name && !word.contains("//")).then(|| format!("{stem}.{extension}"))
    })
}

fn is_there(name: &str, sources: &[Source]) -> bool {
    let mut all = sources.iter();
    all.any(|source| {
        source
            .path
            .strip_suffix(name)
            .is_some_and(|before| before.is_empty() || before.ends_with('/'))
    })
}

/// Where the links of a line lead, but for those to other hosts.
fn links(line: &str) -> impl Iterator<Item = String> + '_ {
    let targets = line.split("](").skip(1);
    let targets = targets.filter_map(|rest| Some(rest.split_once(')')?.0));
    targets
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .map(str::to_owned)
}

fn leads_somewhere(link: &str, from: &Source, root: &Path, sources: &[Source]) -> bool {
    let (path, section) = link.split_once('#').unwrap_or((link, ""));
    let folder = Path::new(&from.path).parent().unwrap_or(Path::new(""));
    let target = match path {
        "" => from.path.clone(),
        path => plain(&folder.join(path)),
    };
    if !root.join(&target).exists() {
        return false;
    }
    let document = sources.iter().find(|source| source.path == target);
    section.is_empty() || document.is_none_or(|document| has_section(&document.text, section))
}

/// Without `.` and `..`.
fn plain(path: &Path) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in path {
        match part.to_string_lossy().as_ref() {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part.to_owned()),
        }
    }
    parts.join("/")
}

/// By its anchor: the heading in small letters, spaces as hyphens, and no other signs.
fn has_section(text: &str, anchor: &str) -> bool {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchors = headings.map(|line| {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter_map(|c| match c {
            ' ' => Some('-'),
            c => (c.is_alphanumeric() || c == '-' || c == '_').then_some(c),
        });
        kept.collect::<String>()
    });
    anchors.into_iter().any(|known| known == anchor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected: &[&str]) {
        let source = |path: &str, text: &str| Source {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let sources = [
            source(path, text),
            source("docs/causes.md", "# Causes\n## Accept queue, SYN queue\n"),
            source("xtask/src/tidy/named.rs", "//! This.\n"),
        ];
        assert_eq!(missing(crate::proc::root(), &sources), expected, "{text}");
    }

    #[test]
    fn a_file_is_named_by_its_path_or_the_end_of_it() {
        check(
            "README.md",
            "`xtask/src/tidy/named.rs`, tidy/named.rs, and named.rs.",
            &[],
        );
        check(
            "docs/a.md",
            "x\nsee `amed.rs` and (src/named.rs:12)",
            &[
                "docs/a.md:2: there is no amed.rs",
                "docs/a.md:2: there is no src/named.rs",
            ],
        );
    }

    #[test]
    fn a_link_leads_to_a_file_and_a_section() {
        check(
            "docs/a.md",
            "[x](causes.md) [x](../xtask/src/tidy/named.rs) [x](https://example.org/y.html)",
            &[],
        );
        check(
            "README.md",
            "[x](docs/causes.md#accept-queue-syn-queue) [x](docs)",
            &[],
        );
        check(
            "docs/a.md",
            "[x](causes.md#elsewhere) [x](nowhere.txt)",
            &[
                "docs/a.md:1: there is no causes.md#elsewhere",
                "docs/a.md:1: there is no nowhere.txt",
            ],
        );
    }

    #[test]
    fn a_comment_names_documents_that_are_there() {
        check(
            "a/b.rs",
            "//! As docs/causes.md has it.\nlet x = \"y.md\";",
            &[],
        );
        check(
            "a/b.rs",
            "//! kernel.md 1.2.",
            &["a/b.rs:1: there is no kernel.md"],
        );
    }

    #[test]
    fn what_is_no_document_of_ours_may_name_anything() {
        check("notes/a.md", "b.rs", &[]);
    }
}
