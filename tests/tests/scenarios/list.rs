//! `whydrop list` of real listeners, compared with what their own sockets say.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use whydrop_tests::client::Client;
use whydrop_tests::deadline::{soon, wait_until};
use whydrop_tests::holder::{Birth, Holder};
use whydrop_tests::listener::{Listener, Options};
use whydrop_tests::netns::Netns;
use whydrop_tests::whydrop::run;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The listeners of `whydrop list --format json`. What this host does not let it see is no matter here.
fn list(arguments: &[&str]) -> Result<Vec<Value>> {
    let all = [&["list", "--format", "json"], arguments].concat();
    let stopped = run(&all)?;
    stopped.ended_well()?;
    for line in &stopped.others {
        ensure!(line["schema"] == 2, "no schema: {line}");
    }
    let lines = stopped.others.into_iter();
    Ok(lines.filter(|line| line["type"] == "listener").collect())
}

fn list_in(netns: &Netns, more: &[&str]) -> Result<Vec<Value>> {
    let pid = netns.pid().to_string();
    list(&[&["--netns", &pid], more].concat())
}

/// The row of this listener, by its cookie.
fn row_of(rows: &[Value], listener: &Listener) -> Result<Value> {
    let cookie = format!("{:#x}", listener.cookie());
    let row = rows.iter().find(|row| row["cookie"] == cookie);
    row.cloned()
        .with_context(|| format!("no row of {cookie} in {rows:?}"))
}

fn has_note(row: &Value, note: &str) -> bool {
    let mut notes = row["notes"].as_array().into_iter().flatten();
    notes.any(|one| one == note)
}

/// Connections that stay in the queue of a listener until it has so many.
fn fill(netns: &Netns, listener: &Listener, connections: u32) -> Result<Vec<Client>> {
    let to = SocketAddr::new(LOOPBACK, listener.port());
    let clients: Result<Vec<Client>> = (0..connections)
        .map(|_| Client::connect(netns, to))
        .collect();
    wait_until("the queue to fill", soon(), || {
        Ok(listener.queued()? == connections)
    })?;
    clients
}

#[test]
fn queue_and_limit() -> Result<()> {
    let netns = Netns::new()?;
    let full = Listener::new(&netns, ANY, 3)?;
    let half = Listener::new(&netns, ANY, 19)?;
    let idle = Listener::new(&netns, ANY, 100)?;
    let _clients = [fill(&netns, &full, 4)?, fill(&netns, &half, 10)?];
    let rows = list_in(&netns, &[])?;
    let order: Vec<Value> = rows.iter().map(|row| row["cookie"].clone()).collect();
    let expected = [&full, &half, &idle].map(|one| json!(format!("{:#x}", one.cookie())));
    ensure!(order == expected, "not the worst first: {rows:?}");
    for (listener, len, limit, note) in [
        (&full, 4, 3, "queue-full"),
        (&half, 10, 19, "queue-filling"),
        (&idle, 0, 100, ""),
    ] {
        let row = row_of(&rows, listener)?;
        ensure!(row["type"] == "listener", "{row}");
        ensure!(row["addr"] == listener.address().to_string(), "{row}");
        ensure!(row["netns"] == netns.inum(), "{row}");
        ensure!(row["inode"] == listener.inode()?, "{row}");
        ensure!(row["accept_queue_len"] == len, "{row}");
        ensure!(row["accept_queue_limit"] == limit, "{row}");
        ensure!(row["drops"] == listener.drops()?, "{row}");
        ensure!(row["limit_from"] == "listen", "{row}");
        ensure!(row["group"].is_null(), "{row}");
        ensure!(note.is_empty() || has_note(&row, note), "no {note}: {row}");
    }
    Ok(())
}

#[test]
fn limit_clamped_and_somaxconn_lowered() -> Result<()> {
    let netns = Netns::new()?;
    netns.sysctl("net/core/somaxconn", "100")?;
    let before = Listener::new(&netns, ANY, 90)?;
    netns.sysctl("net/core/somaxconn", "77")?;
    let clamped = Listener::new(&netns, ANY, 4096)?;
    let asked = Listener::new(&netns, ANY, 76)?;
    netns.sysctl("net/ipv4/tcp_syncookies", "0")?;
    netns.sysctl("net/ipv4/tcp_abort_on_overflow", "1")?;
    let rows = list_in(&netns, &[])?;
    for (listener, limit, from) in [
        (&before, 90, "before-somaxconn"),
        (&clamped, 77, "somaxconn"),
        (&asked, 76, "listen"),
    ] {
        let row = row_of(&rows, listener)?;
        ensure!(row["accept_queue_limit"] == limit, "{row}");
        ensure!(row["limit_from"] == from, "{row}");
        let sysctls = json!({"somaxconn": 77, "tcp_syncookies": 0, "tcp_abort_on_overflow": 1});
        ensure!(row["sysctls"] == sysctls, "{row}");
        ensure!(has_note(&row, "syncookies-off"), "{row}");
        ensure!(has_note(&row, "abort-on-overflow"), "{row}");
        let lowered = has_note(&row, "somaxconn-lowered");
        ensure!(lowered == (limit > 77), "{row}");
    }
    Ok(())
}

#[test]
fn reuseport_group() -> Result<()> {
    let netns = Netns::new()?;
    let options = Options {
        listen_backlog: 64,
        reuse_port: true,
        ..Options::default()
    };
    let first = Listener::with(&netns, ANY, options)?;
    let port = first.port();
    let member = || Listener::with(&netns, ANY, Options { port, ..options });
    let members = [member()?, member()?, first];
    let alone = Listener::new(&netns, ANY, 64)?;
    // A filter does not make a group smaller.
    let rows = list_in(&netns, &[&format!(":{port}")])?;
    ensure!(rows.len() == 3, "not the three: {rows:?}");
    let mut numbers = Vec::new();
    for member in &members {
        let row = row_of(&rows, member)?;
        ensure!(row["group"]["members"] == 3, "{row}");
        numbers.extend(row["group"]["number"].as_u64());
    }
    numbers.sort_unstable();
    ensure!(numbers == [1, 2, 3], "{numbers:?}");
    let rows = list_in(&netns, &[&format!(":{}", alone.port())])?;
    ensure!(rows.len() == 1 && rows[0]["group"].is_null(), "{rows:?}");
    Ok(())
}

#[test]
fn loopback_and_drops() -> Result<()> {
    let netns = Netns::new()?;
    let listener = Listener::new(&netns, LOOPBACK, 0)?;
    let outward = Listener::new(&netns, ANY, 64)?;
    let mut clients = fill(&netns, &listener, 1)?;
    clients.push(Client::connect(&netns, listener.address())?);
    wait_until("a drop", soon(), || Ok(listener.drops()? > 0))?;
    let rows = list_in(&netns, &[])?;
    let row = row_of(&rows, &listener)?;
    for note in ["queue-full", "has-dropped", "limit-zero", "loopback-only"] {
        ensure!(has_note(&row, note), "no {note}: {row}");
    }
    let row = row_of(&rows, &outward)?;
    ensure!(row["notes"] == json!([]), "{row}");
    Ok(())
}

#[test]
fn owners_and_filters() -> Result<()> {
    let netns = Netns::new()?;
    let listeners = [
        Listener::new(&netns, ANY, 64)?,
        Listener::new(&netns, ANY, 64)?,
    ];
    let held = |listener, comm| {
        let birth = Birth {
            comm: Some(comm),
            ..Birth::default()
        };
        Holder::born(listener, birth)
    };
    let first = held(&listeners[0], c"asked-for")?;
    let _second = held(&listeners[1], c"another")?;
    let cookie = format!("{:#x}", listeners[0].cookie());
    drop(listeners);
    let pid = first.pid().to_string();
    for filter in [["--comm", "asked-for"], ["--pid", &pid]] {
        let rows = list_in(&netns, &filter)?;
        ensure!(rows.len() == 1, "not one alone: {rows:?}");
        ensure!(rows[0]["cookie"] == cookie, "{rows:?}");
        ensure!(rows[0]["owner"][0]["pid"] == first.pid(), "{rows:?}");
        ensure!(rows[0]["owner"][0]["comm"] == "asked-for", "{rows:?}");
    }
    let rows = list_in(&netns, &["--comm", "nobody"])?;
    ensure!(rows.is_empty(), "{rows:?}");
    Ok(())
}

/// All namespaces are listed, those of others among them, each with its own sysctls.
#[test]
fn two_namespaces() -> Result<()> {
    let netns = [Netns::new()?, Netns::new()?];
    netns[0].sysctl("net/core/somaxconn", "50")?;
    netns[1].sysctl("net/core/somaxconn", "60")?;
    let first = Listener::new(&netns[0], ANY, 4096)?;
    let options = Options {
        port: first.port(),
        listen_backlog: 4096,
        ..Options::default()
    };
    let second = Listener::with(&netns[1], ANY, options)?;
    let port = format!(":{}", first.port());
    let rows = list(&[&port])?;
    for (listener, netns, limit) in [(&first, &netns[0], 50), (&second, &netns[1], 60)] {
        let row = row_of(&rows, listener)?;
        ensure!(row["netns"] == netns.inum(), "{row}");
        ensure!(row["netns_pid"] == netns.pid(), "{row}");
        ensure!(row["accept_queue_limit"] == limit, "{row}");
        ensure!(row["limit_from"] == "somaxconn", "{row}");
    }
    Ok(())
}

#[test]
fn text_is_aligned() -> Result<()> {
    let netns = Netns::new()?;
    let listener = Listener::new(&netns, LOOPBACK, 4)?;
    let _clients = fill(&netns, &listener, 5)?;
    let text = run_text(&["list", "--netns", &netns.pid().to_string()])?;
    let mut lines = text.lines();
    let titles = lines.next().context("no titles")?;
    ensure!(titles.contains("NETNS"), "not its own: {text}");
    let row = lines.next().context("no row")?;
    for (title, cell) in [
        ("LISTENER", listener.address().to_string()),
        ("LIMIT FROM", "listen()".into()),
        ("NOTES", "queue full, ".into()),
    ] {
        let at = titles
            .find(title)
            .with_context(|| format!("no {title}: {text}"))?;
        ensure!(
            row.get(at..).is_some_and(|rest| rest.starts_with(&cell)),
            "{cell} is not below {title}:\n{text}"
        );
    }
    ensure!(row.contains(" 5/4 "), "{text}");
    Ok(())
}

fn run_text(arguments: &[&str]) -> Result<String> {
    let output = std::process::Command::new(whydrop_tests::whydrop::binary()?)
        .args(arguments)
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn explain_needs_no_kernel() -> Result<()> {
    let text = run_text(&["explain", "accept-queue-full"])?;
    ensure!(text.contains("ListenOverflows 1"), "{text}");
    let all = run_text(&["explain"])?;
    ensure!(all.contains("ghost-connection"), "{all}");
    let unknown = run(&["explain", "accept-queue-ful"])?;
    ensure!(unknown.code == Some(2), "{:?}", unknown.code);
    ensure!(
        unknown.stderr.contains("accept-queue-full"),
        "{}",
        unknown.stderr
    );
    Ok(())
}
