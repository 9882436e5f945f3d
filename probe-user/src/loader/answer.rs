//! The kernel's answer as a sentence.

use std::error::Error;

use aya::programs::ProgramError;

/// An error and its causes in one line: the verifier's last words instead of its whole log.
pub(super) fn in_short(error: &dyn Error) -> String {
    let mut text = error.to_string();
    if let Some((head, log)) = text.split_once(". Verifier output:") {
        let last = log
            .lines()
            .rev()
            .map(str::trim)
            .find(|line| {
                !line.is_empty()
                    && !["processed ", "stack depth ", "verification time "]
                        .iter()
                        .any(|trailer| line.starts_with(trailer))
            })
            .unwrap_or_default();
        text = if last.is_empty() {
            head.to_owned()
        } else {
            format!("{head}: {last}")
        };
    }
    let mut cause = error.source();
    while let Some(this) = cause {
        let more = this.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = this.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(super) fn short<T>(result: Result<T, ProgramError>) -> Result<T, String> {
    result.map_err(|error| in_short(&error))
}
