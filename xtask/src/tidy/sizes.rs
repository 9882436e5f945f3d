//! How long files are, and whether each says what it is for.

use super::tree::Source;

/// Of a file in Rust. A file that wants to be longer is two rooms.
const LINES: usize = 500;
/// Of a file that is a command: arguments, a source, stages, sinks and an exit status.
const COMMAND_LINES: usize = 150;
/// Of all of them: whatever is more than to put rooms together belongs into a room.
const COMMANDS_LINES: usize = 2500;
const COMMANDS: &str = "probe-user/src/command/";
/// The scenes of the demonstration are no commands.
const SCENES: &str = "probe-user/src/command/demo/";

pub(super) fn too_long(source: &Source) -> Option<String> {
    let lines = source.text.lines().count();
    let most = if is_command(source) {
        COMMAND_LINES
    } else {
        LINES
    };
    (lines > most).then(|| format!("{}: {lines} lines, {most} are the most", source.path))
}

fn is_command(source: &Source) -> bool {
    source.path.starts_with(COMMANDS) && !source.path.starts_with(SCENES)
}

/// Whether there is more to the commands than their size allows.
pub(super) fn too_much<'a>(sources: impl IntoIterator<Item = &'a Source>) -> Option<String> {
    let commands = sources.into_iter().filter(|source| is_command(source));
    let lines: usize = commands.map(|source| source.text.lines().count()).sum();
    (lines >= COMMANDS_LINES).then(|| {
        format!("{COMMANDS}: {lines} lines without {SCENES}, and fewer than {COMMANDS_LINES} are allowed")
    })
}

/// The first line is the first of the module's documentation; a script may have its interpreter above.
pub(super) fn without_doc(source: &Source) -> Option<String> {
    let first = source.text.lines().find(|line| !line.starts_with("#!/"));
    let is_said = first.is_some_and(|line| line.starts_with("//! ") && line.len() > 4);
    (!is_said).then(|| format!("{}: does not begin with `//!` and what it is", source.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, lines: usize) -> Source {
        Source {
            path: path.to_owned(),
            text: "//! What it is.\n".repeat(lines),
        }
    }

    #[test]
    fn a_line_more_than_the_most_is_too_long() {
        assert_eq!(too_long(&source("xtask/src/a.rs", 500)), None);
        assert!(too_long(&source("xtask/src/a.rs", 501)).is_some());
    }

    #[test]
    fn a_command_is_shorter_than_a_scene() {
        assert_eq!(too_long(&source("probe-user/src/command/a.rs", 150)), None);
        assert!(too_long(&source("probe-user/src/command/a/b.rs", 151)).is_some());
        assert_eq!(
            too_long(&source("probe-user/src/command/demo/a.rs", 500)),
            None
        );
        assert!(too_long(&source("probe-user/src/command/demo/a.rs", 501)).is_some());
    }

    #[test]
    fn commands_are_thin_together() {
        let command = |lines| source("probe-user/src/command/a.rs", lines);
        let scene = source("probe-user/src/command/demo/a.rs", 500);
        assert_eq!(too_much(&[command(2000), command(499), scene]), None);
        assert!(too_much(&[command(2000), command(500)]).is_some());
    }

    #[test]
    fn a_file_says_first_what_it_is() {
        let said = |text: &str| {
            without_doc(&Source {
                path: "a.rs".to_owned(),
                text: text.to_owned(),
            })
            .is_none()
        };
        assert!(said("//! What it is.\n"));
        assert!(said("#!/usr/bin/env rust-script\n//! What it is.\n"));
        assert!(!said(""));
        assert!(!said("//!\n//! What it is.\n"));
        assert!(!said("// What it is.\n"));
        assert!(!said("use std::fs;\n//! What it is.\n"));
    }
}
