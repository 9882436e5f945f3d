//! `whydrop why`, asked while there is traffic, and the verdicts that it gives.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::command::{Over, Running, whydrop};
use crate::deadline::{ready, soon, wait_until};
use crate::netns::Netns;
use crate::verdict::say_verdict;
use crate::whydrop::{binary, forced_tier};

/// A recording, which is gone when its answer is.
struct Kept(PathBuf);

impl Kept {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir();
        // The initramfs of a test VM may have no /tmp yet.
        let _ = fs::create_dir_all(&directory);
        let name = format!("whydrop-why-{}-{n}.whydrop", std::process::id());
        Self(directory.join(name))
    }

    /// Keeps it where `WHYDROP_KEEP` says, under a name that tells of its verdicts.
    fn keep(&self, answer: &Value) -> Result<()> {
        let Some(folder) = std::env::var_os("WHYDROP_KEEP") else {
            return Ok(());
        };
        let scenario = std::thread::current();
        let scenario = scenario.name().unwrap_or("why").replace("::", "-");
        let named = match verdicts(answer)?.as_slice() {
            [] => "none".to_owned(),
            ids => ids.join("+"),
        };
        let to = PathBuf::from(folder).join(format!("{scenario}.{named}.whydrop"));
        fs::copy(&self.0, &to).with_context(|| format!("keeping {}", to.display()))?;
        Ok(())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Asks with these arguments in this namespace while `traffic` is called again and again, until there is an answer. The
/// recording of it has to give the same one.
pub fn ask(
    netns: &Netns,
    arguments: &[&str],
    traffic: impl FnMut() -> Result<()>,
) -> Result<Value> {
    let kept = Kept::new();
    ask_and_keep(&netns.pid().to_string(), arguments, &kept, traffic)
}

/// The same in every namespace.
pub fn ask_everywhere(arguments: &[&str], traffic: impl FnMut() -> Result<()>) -> Result<Value> {
    ask_and_keep("all", arguments, &Kept::new(), traffic)
}

/// The same, and what its recording says in words.
pub fn text(
    netns: &Netns,
    arguments: &[&str],
    traffic: impl FnMut() -> Result<()>,
) -> Result<(Value, String)> {
    let kept = Kept::new();
    let answer = ask_and_keep(&netns.pid().to_string(), arguments, &kept, traffic)?;
    let output = of_recording(arguments, &kept.0, "text")?;
    ensure!(output.status.success(), "{:?}", output.status);
    Ok((answer, String::from_utf8(output.stdout)?))
}

fn ask_and_keep(
    netns: &str,
    arguments: &[&str],
    kept: &Kept,
    mut traffic: impl FnMut() -> Result<()>,
) -> Result<Value> {
    let tier = forced_tier().map(|tier| format!("--tier={tier}"));
    let mut asked = Command::new(binary()?)
        .args(["why", "--format", "json"])
        .args(arguments)
        .args(["--netns", netns])
        .args(tier)
        .arg("--record")
        .arg(&kept.0)
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
    let answer = answer_of(&output)?;
    let again = again(arguments, &kept.0)?;
    ensure!(
        again == answer,
        "live: {answer:#}\nfrom its recording: {again:#}"
    );
    kept.keep(&answer)?;
    Ok(answer)
}

/// Has this scene of `whydrop demo` played and answered, if it can be. Its recording has to give the same answer.
pub fn of_scene(name: &str) -> Result<(Over, Option<Value>)> {
    let kept = Kept::new();
    let file = kept.0.to_str().context("a path that is no text")?;
    let arguments = [name, "--format", "json", "--record", file];
    let over = Running::start(whydrop("demo", &arguments)?)?.finish()?;
    if over.stdout.is_empty() {
        return Ok((over, None));
    }
    let answer: Value = serde_json::from_slice(&over.stdout)
        .with_context(|| format!("no answer, {:?}: {}", over.status, over.stderr))?;
    let target = answer["target"].as_str().context("no target")?;
    let mut live = answer.clone();
    let members = live.as_object_mut().context("an answer is an object")?;
    for of_scene in ["scene", "truth"] {
        ensure!(members.remove(of_scene).is_some(), "no {of_scene}");
    }
    let again = again(&[target], &kept.0)?;
    ensure!(
        again == live,
        "live: {live:#}\nfrom its recording: {again:#}"
    );
    kept.keep(&answer)?;
    Ok((over, Some(answer)))
}

/// The answer from a recording, to whom is asked about what live arguments name.
pub fn again(arguments: &[&str], recording: &Path) -> Result<Value> {
    answer_of(&of_recording(arguments, recording, "json")?)
}

fn of_recording(arguments: &[&str], recording: &Path, format: &str) -> Result<Output> {
    let mut same = Vec::new();
    let mut left = arguments.iter();
    while let Some(argument) = left.next() {
        match *argument {
            "--for" => drop(left.next()),
            "--probe" | "--full" => {}
            argument => same.push(argument),
        }
    }
    let output = Command::new(binary()?)
        .args(["why", "--format", format])
        .args(same)
        .arg("--from")
        .arg(recording)
        .output()?;
    Ok(output)
}

fn answer_of(output: &Output) -> Result<Value> {
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

/// The verdicts of all listeners, those of the worst first.
pub fn all_verdicts(answer: &Value) -> Result<Vec<&Value>> {
    let answers = answer["answers"].as_array().context("no answers")?;
    let mut all = Vec::new();
    for one in answers {
        let verdicts = one["verdicts"].as_array();
        all.extend(verdicts.context("an answer without verdicts")?);
    }
    Ok(all)
}

/// The ids of one listener's verdicts.
pub fn ids(of_listener: &Value) -> Result<Vec<&str>> {
    let all = of_listener["verdicts"].as_array().context("no verdicts")?;
    let ids = all.iter().map(|verdict| verdict["id"].as_str());
    ids.map(|id| id.context("a verdict without an id"))
        .collect()
}

/// Their ids, in their order.
pub fn verdicts(answer: &Value) -> Result<Vec<&str>> {
    let all = all_verdicts(answer)?.into_iter();
    all.map(|verdict| verdict["id"].as_str().context("a verdict without an id"))
        .collect()
}

/// These verdicts and no other, each with evidence; and the counts add up.
pub fn expect(answer: &Value, expected: &[&str]) -> Result<()> {
    let found = verdicts(answer)?;
    say_verdict(expected, &found)?;
    ensure!(found == expected, "{found:?}, not {expected:?}: {answer:#}");
    ensure!(answer["adds_up"] == true, "it does not add up: {answer:#}");
    let all = all_verdicts(answer)?;
    let has_evidence =
        |verdict: &Value| matches!(&verdict["evidence"], Value::Array(lines) if !lines.is_empty());
    ensure!(all.into_iter().all(has_evidence), "no evidence: {answer:#}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(evidence: Value) -> Value {
        let verdicts = json!([{"id": "syn-flood", "evidence": evidence}]);
        json!({"answers": [{"verdicts": verdicts}], "adds_up": true})
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
        assert!(expect(&json!({"answers": []}), &[]).is_err());
        assert!(expect(&json!({"answers": [{}], "adds_up": true}), &[]).is_err());
        assert!(expect(&json!({"answers": [], "adds_up": true}), &[]).is_ok());
    }
}
