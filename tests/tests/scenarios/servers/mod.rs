//! `whydrop why` where the field meets it: real servers from Debian packages, each in a namespace of its own.
//! `cargo xtask lab` gets the servers and runs these; CI leaves them out.

mod firewall;
mod go;
mod haproxy;
mod java;
mod later;
mod load;
mod nginx;
mod node;
mod postgres;
mod python;
mod redis;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::Value;
use whydrop_tests::answer::{ask, expect};
use whydrop_tests::client::{Client, connect_here};
use whydrop_tests::deadline::soon;
use whydrop_tests::every::Every;
use whydrop_tests::netns::Netns;
use whydrop_tests::server::Server;

/// Where every server here listens: no other test is in its namespace.
const TO: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const WATCHED: &str = "2s";
/// Clients that wait at once: more than fit into the short queues here.
const CLIENTS: usize = 80;
/// More than fit into a queue of 511, which is the default of many.
const MANY_CLIENTS: usize = 600;
/// Between two bursts.
const PAUSE: Duration = Duration::from_millis(250);

/// Asks while `traffic` is called again and again, until there is an answer.
fn why(netns: &Netns, traffic: impl FnMut() -> Result<()>) -> Result<Value> {
    ask(netns, &[&TO.to_string(), "--for", WATCHED], traffic)
}

/// Asks about a queue that stays full: clients come all the time, and one that is not in the queue gives up for each.
fn pressed(netns: &Netns, clients_at_most: usize) -> Result<Value> {
    let mut clients = netns.run(|| crowd(clients_at_most))??;
    why(netns, || {
        clients.remove(clients.len() - 2);
        clients.push(Client::connect(netns, TO)?);
        Ok(())
    })
}

fn crowd(clients: usize) -> Result<Vec<Client>> {
    (0..clients).map(|_| connect_here(TO)).collect()
}

/// A server so fast that it keeps up with its clients is to share their CPU.
fn slow_down(server: &Server) -> Result<()> {
    server.be_as_others()?;
    for pid in server.workers()?.into_iter().chain([server.main()]) {
        sched_setaffinity(Some(pid), &first_cpu())?;
    }
    Ok(())
}

fn first_cpu() -> CpuSet {
    let mut cpus = CpuSet::new();
    cpus.set(0);
    cpus
}

/// Bursts of clients that leave at once.
fn bursts(netns: &Netns) -> Result<Value> {
    let mut every = Every::new(PAUSE);
    why(netns, || {
        if every.is_due() {
            netns.run(|| {
                sched_setaffinity(None, &first_cpu())?;
                crowd(CLIENTS * 3).map(drop)
            })??;
        }
        Ok(())
    })
}

/// A request that is not waited for.
fn request(netns: &Netns, text: &str) -> Result<std::net::TcpStream> {
    let mut stream = Client::connect(netns, TO)?.into_stream()?;
    stream.write_all(text.as_bytes())?;
    Ok(stream)
}

/// A request that is answered.
fn get(netns: &Netns) -> Result<()> {
    let mut stream = request(netns, "GET / HTTP/1.0\r\n\r\n")?;
    stream.set_read_timeout(Some(soon()))?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).context("read the answer")?;
    ensure!(
        answer.starts_with(b"HTTP/1"),
        "{:?} is no answer",
        String::from_utf8_lossy(&answer)
    );
    Ok(())
}

fn signal(pid: Pid, signal: Signal) -> Result<()> {
    kill_process(pid, signal).with_context(|| format!("{signal:?} to {pid:?}"))
}
