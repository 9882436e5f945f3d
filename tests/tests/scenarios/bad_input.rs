//! Bad input is one sentence about what is wrong, and exit code 2.

use anyhow::{Context, Result, ensure};
use whydrop_tests::whydrop::run;

const BAD_INPUT: i32 = 2;

fn check(arguments: &[&str], names: &str) -> Result<()> {
    check_inner(arguments, names).with_context(|| format!("whydrop {}", arguments.join(" ")))
}

fn check_inner(arguments: &[&str], names: &str) -> Result<()> {
    let stopped = run(arguments)?;
    let said = &stopped.stderr;
    ensure!(
        stopped.code == Some(BAD_INPUT),
        "exit code {:?}, stderr: {said}",
        stopped.code
    );
    ensure!(said.contains(names), "{names} is not named: {said}");
    ensure!(
        !said.contains("panicked") && !said.contains("RUST_BACKTRACE"),
        "a panic: {said}"
    );
    ensure!(
        stopped.events.is_empty() && stopped.others.is_empty(),
        "output although the input is bad"
    );
    Ok(())
}

#[test]
fn unknown_tier() -> Result<()> {
    check(&["watch", "--tier", "magic"], "magic")
}

#[test]
fn unknown_format() -> Result<()> {
    check(&["watch", "--format", "xml"], "xml")
}

#[test]
fn unknown_command_and_option() -> Result<()> {
    check(&["wotch"], "wotch")?;
    check(&["watch", "--frobnicate"], "--frobnicate")
}

#[test]
fn listener_that_is_no_address() -> Result<()> {
    for listener in [
        "nonsense",
        ":99999",
        "10.0.0.1",
        "10.0.0.300:80",
        "[::1:80",
        ":",
        "",
    ] {
        check(&["watch", "--listener", listener, "--for", "1s"], listener)?;
    }
    Ok(())
}

#[test]
fn namespace_that_does_not_exist() -> Result<()> {
    for netns in ["no-such-namespace", "999999999", "../etc/passwd", "-1"] {
        check(
            &["watch", &format!("--netns={netns}"), "--for", "1s"],
            netns,
        )?;
    }
    Ok(())
}

#[test]
fn time_that_is_none() -> Result<()> {
    for time in ["banana", "-1s", "1w", "99999999999999999999s"] {
        check(&["watch", &format!("--for={time}")], time)?;
    }
    Ok(())
}

#[test]
fn file_that_cannot_be_written() -> Result<()> {
    check(
        &[
            "watch",
            "--output",
            "/no/such/directory/file",
            "--for",
            "1s",
        ],
        "/no/such/directory/file",
    )?;
    check(&["watch", "--output", "/proc", "--for", "1s"], "/proc")
}

#[test]
fn filters_that_no_one_can_pass() -> Result<()> {
    for (filter, value) in [
        ("--pid", "nginx"),
        ("--pid", "0"),
        ("--pid", "4194305"),
        ("--comm", "a-name-that-no-process-has"),
        ("--cgroup", "system.slice"),
        ("--container", "12345"),
        ("--container", "no-container"),
        ("--cause", "bad-luck"),
        ("--client", "10.0.0.0/33"),
        ("--client", "localhost"),
    ] {
        check(&["watch", filter, value, "--for", "1s"], value)?;
    }
    check(&["why", "80", "--client", "10.0.0.0/33"], "10.0.0.0/33")?;
    check(
        &["watch", "--tier", "counters", "--cause", "no-route"],
        "--cause",
    )
}
