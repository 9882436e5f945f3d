//! The files of the repository that are written by hand, as they lie here.

use std::path::Path;

/// Whether a file has Rust, by its name.
pub(super) fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|it| it == "rs")
}

use anyhow::{Context, Result};

/// One file: where it is below the root, and what it says.
#[derive(Debug)]
pub(super) struct Source {
    pub path: String,
    pub text: String,
}

/// All files below `root` with one of these extensions, sorted; what is built and what begins with a dot is left out.
pub(super) fn read(root: &Path, extensions: &[&str]) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    walk(root, "", extensions, &mut sources)?;
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(sources)
}

fn walk(dir: &Path, below: &str, extensions: &[&str], to: &mut Vec<Source>) -> Result<()> {
    let entries =
        std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || name == "target" {
            continue;
        }
        let (path, at) = (join(below, &name), entry.path());
        if entry.file_type()?.is_dir() {
            walk(&at, &path, extensions, to)?;
        } else if extensions.iter().any(|extension| is_a(&name, extension)) {
            let text = std::fs::read_to_string(&at)
                .with_context(|| format!("cannot read {}", at.display()))?;
            to.push(Source { path, text });
        }
    }
    Ok(())
}

fn join(below: &str, name: &str) -> String {
    match below {
        "" => name.to_owned(),
        below => format!("{below}/{name}"),
    }
}

fn is_a(name: &str, extension: &str) -> bool {
    name.strip_suffix(extension)
        .is_some_and(|stem| stem.ends_with('.') && stem.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_file_is_among_them() {
        let sources = read(crate::proc::root(), &["rs"]).unwrap();
        let this = sources
            .iter()
            .find(|source| source.path == "xtask/src/tidy/tree.rs");
        assert!(this.unwrap().text.contains("fn this_file_is_among_them"));
        let built = sources
            .iter()
            .find(|source| source.path.starts_with("target/"));
        assert!(built.is_none(), "{built:?}");
    }

    #[test]
    fn an_extension_is_what_comes_after_the_last_dot() {
        assert!(is_a("a.rs", "rs"));
        assert!(!is_a("ars", "rs") && !is_a(".rs", "rs") && !is_a("a.rs.orig", "rs"));
    }
}
