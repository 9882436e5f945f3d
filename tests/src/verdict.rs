//! What `whydrop why` answered and what was true, for the confusion matrix. The
//! form of the lines is fixed:
//!
//! `VERDICT <truth> <given>`, each several verdicts joined by `+`, or `none`

use std::io::Write;

/// Writes it past libtest's capture, so that it is in every log.
pub fn say_verdict(truth: &[&str], given: &[&str]) {
    let line = format!("VERDICT {} {}\n", joined(truth), joined(given));
    // In one piece: libtest and the kernel write to the same console.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

fn joined(ids: &[&str]) -> String {
    match ids {
        [] => "none".to_owned(),
        ids => ids.join("+"),
    }
}
