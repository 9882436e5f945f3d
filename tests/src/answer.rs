//! `whydrop why`, asked while there is traffic, and the verdicts that it gives.

use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::deadline::{ready, soon, wait_until};
use crate::netns::Netns;
use crate::verdict::say_verdict;
use crate::whydrop::{binary, forced_tier};

/// Asks with these arguments in this namespace while `traffic` is called again and again, until there is an answer.
pub fn ask(
    netns: &Netns,
    arguments: &[&str],
    mut traffic: impl FnMut() -> Result<()>,
) -> Result<Value> {
    let tier = forced_tier().map(|tier| format!("--tier={tier}"));
    let mut asked = Command::new(binary()?)
        .args(["why", "--format", "json"])
        .args(arguments)
        .args(["--netns", &netns.pid().to_string()])
        .args(tier)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let played = play(&mut asked, &mut traffic);
    if played.is_err() {
        asked.kill()?;
    }
    let output = asked.wait_with_output()?;
    played?;
    ensure!(
        output.status.success(),
        "{:?}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).context("the answer is JSON")
}

fn play(asked: &mut Child, traffic: &mut impl FnMut() -> Result<()>) -> Result<()> {
    wait_until("an answer", ready() + soon(), || {
        if asked.try_wait()?.is_some() {
            return Ok(true);
        }
        traffic()?;
        Ok(false)
    })
}

/// The ids of the verdicts, in their order.
pub fn verdicts(answer: &Value) -> Result<Vec<&str>> {
    let verdicts = answer["verdicts"].as_array().context("no verdicts")?;
    let ids = verdicts.iter().map(|verdict| verdict["id"].as_str());
    ids.map(|id| id.context("a verdict without an id"))
        .collect()
}

/// These verdicts and no other, each with evidence; and the counts add up.
pub fn expect(answer: &Value, expected: &[&str]) -> Result<()> {
    let found = verdicts(answer)?;
    say_verdict(expected, &found)?;
    ensure!(found == expected, "{found:?}, not {expected:?}: {answer:#}");
    ensure!(answer["adds_up"] == true, "it does not add up: {answer:#}");
    let all = answer["verdicts"].as_array().context("no verdicts")?;
    let has_evidence =
        |verdict: &Value| matches!(&verdict["evidence"], Value::Array(lines) if !lines.is_empty());
    ensure!(all.iter().all(has_evidence), "no evidence: {answer:#}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(evidence: Value) -> Value {
        json!({"verdicts": [{"id": "syn-flood", "evidence": evidence}], "adds_up": true})
    }

    #[test]
    fn a_verdict_needs_evidence() {
        assert!(expect(&answer(json!(["7 SYNs"])), &["syn-flood"]).is_ok());
        assert!(expect(&answer(json!([])), &["syn-flood"]).is_err());
        assert!(expect(&answer(Value::Null), &["syn-flood"]).is_err());
        assert!(expect(&answer(json!(["7 SYNs"])), &[]).is_err());
    }

    #[test]
    fn an_answer_without_a_list_of_verdicts_is_an_error() {
        assert!(expect(&json!({"adds_up": true}), &[]).is_err());
        assert!(expect(&json!({"verdicts": []}), &[]).is_err());
        assert!(expect(&json!({"verdicts": [], "adds_up": true}), &[]).is_ok());
    }
}
