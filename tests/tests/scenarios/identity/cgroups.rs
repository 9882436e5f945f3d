//! What a socket's cgroup is called: a unit, a container.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use whydrop_tests::cgroup::Cgroup;
use whydrop_tests::event::{Event, overflow_in};
use whydrop_tests::family::Family;
use whydrop_tests::heard::Stopped;
use whydrop_tests::holder::Holder;
use whydrop_tests::whydrop::{Watch, Whydrop};
use whydrop_tests::wire::Wire;

const CONTAINER: &str = "5f6e7d8c9b0a1f2e3d4c5b6a79880716253443526170ffeeddccbbaa99887766";

/// A listener that is made in the cgroup by a process that has left it since;
/// another outside. The one overflow of each, as far as it is shown.
fn refuse(name: &str, filters: &[&str]) -> Result<(Stopped, Vec<Event>, String)> {
    let wire = Wire::new()?;
    let cgroup = Cgroup::new(name)?;
    let outside = wire.full_listener()?;
    let (inside, path) = cgroup.run(|| wire.full_listener())?;
    let whydrop = Watch::new().args(filters).start()?;
    for listener in [&outside, &inside] {
        wire.peer(Family::V4, listener.port()).syn()?;
    }
    whydrop.wait_events(1, "overflows", |event| {
        event.listener_cookie() == Some(inside.cookie())
    })?;
    let stopped = whydrop.stop()?;
    let inum = wire.netns().inum();
    let events: Vec<Event> = stopped.events_in(inum).cloned().collect();
    let is_inside = |event: &Event| event.listener_cookie() == Some(inside.cookie());
    if filters.is_empty() {
        ensure!(events.len() == 2, "not one each: {events:?}");
    } else {
        ensure!(events.iter().all(is_inside), "not asked for: {events:?}");
    }
    let of_inside = events.into_iter().filter(is_inside).collect();
    Ok((stopped, of_inside, path))
}

fn check(name: &str, unit: &str, container: &Value) -> Result<()> {
    let (stopped, events, path) = refuse(name, &[])?;
    let event = &events.first().context("no event")?.0;
    let rows = stopped.summary()?["listeners"].as_array().cloned();
    let cookie = &event["listener"]["cookie"];
    let row = rows
        .into_iter()
        .flatten()
        .find(|row| row["cookie"] == *cookie);
    let row = row.with_context(|| format!("no row of {cookie}"))?;
    for line in [event, &row] {
        ensure!(line["cgroup"] == path.as_str(), "not {path}: {line}");
        ensure!(line["unit"] == unit, "not {unit}: {line}");
        ensure!(line["container"] == *container, "not {container}: {line}");
        ensure!(line["pod"].is_null(), "a pod: {line}");
    }
    Ok(())
}

#[test]
fn unit() -> Result<()> {
    check("nginx.service", "nginx.service", &Value::Null)
}

#[test]
fn container_of_docker() -> Result<()> {
    let scope = format!("docker-{CONTAINER}.scope");
    let container = json!({ "id": CONTAINER, "runtime": "docker" });
    check(&scope, &scope, &container)?;
    let inside = format!("{scope}/init.scope");
    check(&inside, "init.scope", &container)
}

/// The root says nothing of a socket that was made there: the process that holds it does.
#[test]
fn socket_that_nobody_has_placed() -> Result<()> {
    let wire = Wire::new()?;
    let cgroup = Cgroup::new("web.service")?;
    let (listener, root) = Cgroup::root()?.run(|| wire.full_listener())?;
    ensure!(root == "/", "the root is {root}");
    let port = listener.port();
    let (_holder, path) = cgroup.run(|| Holder::of(&listener))?;
    drop(listener);
    let whydrop = Whydrop::start()?;
    wire.peer(Family::V4, port).syn()?;
    let event = whydrop.wait_events(1, "overflows", overflow_in(wire.netns()))?;
    let event = &event.first().context("no event")?.0;
    ensure!(event["cgroup"] == path.as_str(), "not {path}: {event}");
    ensure!(event["unit"] == "web.service", "no unit: {event}");
    Ok(())
}

fn check_filter(filters: &[&str]) -> Result<()> {
    let (stopped, events, _) = refuse(&format!("docker-{CONTAINER}.scope"), filters)?;
    ensure!(events.len() == 1, "{events:?}");
    let rows = stopped.summary()?["listeners"].as_array();
    ensure!(rows.is_some_and(|rows| rows.len() == 1), "{rows:?}");
    Ok(())
}

#[test]
fn only_the_asked_container() -> Result<()> {
    check_filter(&["--container", &CONTAINER[..12]])
}

#[test]
fn only_the_asked_cgroup() -> Result<()> {
    let slice = format!("/whydrop{}.slice", std::process::id());
    check_filter(&["--cgroup", "/no.slice", "--cgroup", &slice])
}
