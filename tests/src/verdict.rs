//! What `whydrop why` answered and what was true, for the confusion matrix. The
//! form of the lines is fixed:
//!
//! `VERDICT <truth> <given>`, each several verdicts joined by `+`, or `none`

use anyhow::Result;

use crate::log::say;

pub fn say_verdict(truth: &[&str], given: &[&str]) -> Result<()> {
    say(format_args!("VERDICT {} {}", joined(truth), joined(given)))
}

fn joined(ids: &[&str]) -> String {
    match ids {
        [] => "none".to_owned(),
        ids => ids.join("+"),
    }
}
