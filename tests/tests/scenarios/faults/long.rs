//! What a watch of weeks goes through, in seconds: thousands of listeners and hundreds of namespaces, one after the other.
//! Nothing fills up: whoever comes after all of them is counted and told as the first, and the sums are the kernel's own.

use std::{net::SocketAddr, thread};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use whydrop_tests::{
    client::connect_here,
    interface::set_up,
    listener::Listener,
    netns::Netns,
    netstat::Counters,
    truth::{Row, find_row, row},
    whydrop::{Watch, forced_tier},
};

/// Refusals of the listener that comes last.
const LAST: u64 = 100;

/// More than the kernel side has room for at once; in a virtual machine just enough to begin another generation.
fn listeners() -> usize {
    match forced_tier() {
        None => 10_000,
        Some(_) => 2_300,
    }
}

fn loopback(netns: &Netns) -> Result<Listener> {
    Listener::new(netns, [127, 0, 0, 1].into(), 0)
}

/// A full queue, and so many SYNs that find it full.
fn refuses_here(to: SocketAddr, times: u64) -> Result<()> {
    let filling = connect_here(to)?;
    // While it is still being made, the queue has room for one more.
    ensure!(filling.outcome()?.is_ok(), "no connection fills the queue");
    for _ in 0..times {
        drop(connect_here(to)?);
    }
    drop(filling);
    Ok(())
}

fn overflows(of: &Value) -> u64 {
    of["events"]["overflow"].as_u64().unwrap_or(0)
}

#[test]
fn listeners_one_after_the_other() -> Result<()> {
    let netns = Netns::new()?;
    let whydrop = Watch::new()
        .args(["--netns", &netns.pid().to_string()])
        .keeping(&["kind"])
        .start()?;
    let before = netns.counters()?;
    let one_by_one = |n: usize| -> Result<()> {
        for _ in 0..n {
            let listener = loopback(&netns)?;
            let to = listener.address();
            netns.run(|| refuses_here(to, 1))??;
        }
        Ok(())
    };
    one_by_one(listeners())?;
    let last = loopback(&netns)?;
    let to = last.address();
    netns.run(|| refuses_here(to, LAST))??;
    let counted = netns.counters()?.since(&before).get("ListenOverflows");
    let stopped = whydrop.stop()?;
    let summary = stopped.summary()?;
    // A SYN that comes while the connection before it is still being made is not refused.
    let about = listeners() as u64 * 9 / 10 + LAST;
    ensure!(counted >= about, "the kernel counted {counted}");
    check_row(
        &row(&stopped, &netns, "ListenOverflows")?.context("no row")?,
        counted,
        summary,
    )?;
    let rows = summary["listeners"].as_array().context("no listeners")?;
    let of_rows: u64 = rows.iter().map(overflows).sum();
    let others = overflows(&summary["other_listeners"]);
    let told = (overflows(summary), of_rows + others);
    ensure!(
        is_nearly(told.0, counted, summary) && told.0 == told.1,
        "{told:?} of {counted}"
    );
    let of_last = rows
        .iter()
        .find(|row| row["port"] == to.port() && overflows(row) >= LAST);
    ensure!(of_last.is_some(), "nothing of {to}");
    Ok(())
}

/// Where looks into maps keep kprobes from running, the kernel counts what they missed.
fn skipped(summary: &Value) -> u64 {
    let skipped = summary["skipped"].as_object();
    let numbers = skipped
        .into_iter()
        .flatten()
        .filter_map(|(_, n)| n.as_u64());
    numbers.sum()
}

fn is_nearly(told: u64, counted: u64, summary: &Value) -> bool {
    told <= counted && counted - told <= skipped(summary)
}

fn check_row(row: &Row, counted: u64, summary: &Value) -> Result<()> {
    ensure!(row.kernel == counted, "{counted}: {row:?}");
    let missed = row.unattributed;
    ensure!((0..=skipped(summary) as i64).contains(&missed), "{row:?}");
    let told = row.seen + row.sampled + row.lost;
    ensure!(told as i64 + missed == counted as i64, "{row:?}");
    Ok(())
}

/// More than there is room for at once.
const NAMESPACES: usize = 1_100;

/// How many the kernel counted there.
fn a_namespace_refuses_and_ends() -> Result<u64> {
    let ends = thread::Builder::new().spawn(|| -> Result<u64> {
        // SAFETY: it moves this thread alone, which ends here.
        let moved = unsafe { libc::unshare(libc::CLONE_NEWNET) };
        ensure!(moved == 0, "no namespace of its own");
        set_up("lo")?;
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        rustix::net::listen(&listener, 0)?;
        refuses_here(listener.local_addr()?, 1)?;
        Ok(Counters::read()?.get("ListenOverflows"))
    })?;
    ends.join().ok().context("the thread panicked")?
}

#[test]
fn namespaces_one_after_the_other() -> Result<()> {
    // Quiet until all others have come and gone.
    let netns = Netns::new()?;
    let whydrop = Watch::new().keeping(&["kind"]).start()?;
    let mut counted = 0;
    for _ in 0..NAMESPACES {
        counted += a_namespace_refuses_and_ends()?;
    }
    ensure!(
        counted >= NAMESPACES as u64 * 9 / 10,
        "the kernel counted {counted}"
    );
    let last = loopback(&netns)?;
    let to = last.address();
    netns.run(|| refuses_here(to, LAST))??;
    let stopped = whydrop.stop()?;
    let summary = stopped.summary()?;
    let row = find_row(summary, netns.inum(), "ListenOverflows").context("no row")?;
    let told = ["seen", "sampled", "lost"].map(|name| row[name].as_u64().unwrap_or(0));
    let is_whole = row["kernel"] == told.iter().sum::<u64>() && row["unattributed"] == 0;
    ensure!(is_whole && told[0] > 0, "{row}");
    let rows = summary["reconciliation"].as_array().context("no rows")?;
    let of_overflows = rows
        .iter()
        .filter(|row| row["counter"] == "ListenOverflows");
    let sum = |name: &str| {
        of_overflows
            .clone()
            .filter_map(|row| row[name].as_u64())
            .sum::<u64>()
    };
    let told = sum("seen") + sum("sampled") + sum("lost");
    let wanted = counted + row["kernel"].as_u64().unwrap_or(LAST);
    ensure!(
        told >= wanted && overflows(summary) >= wanted,
        "{told} of {wanted}"
    );
    ensure!(summary["loss"]["sums_full"] == 0, "{}", summary["loss"]);
    Ok(())
}
