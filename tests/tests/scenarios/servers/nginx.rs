//! nginx: a master that holds the listeners, and workers that accept.

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal};
use serde_json::Value;
use whydrop_tests::deadline::{soon, wait_until};
use whydrop_tests::netns::Netns;
use whydrop_tests::server::{Directory, Server, file_of};

use super::{CLIENTS, TO, bursts, expect, get, pressed, signal, slow_down, why};

pub(super) fn nginx(netns: &Netns, name: &str, workers: usize, listen: &str) -> Result<Server> {
    let directory = Directory::new(name)?;
    let at = directory.path().display();
    let configuration = format!(
        "daemon off; pid {at}/pid; error_log stderr; worker_processes {workers}; user root;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n\
           access_log off; client_body_temp_path {at}/1; proxy_temp_path {at}/2; fastcgi_temp_path {at}/3;\n\
           uwsgi_temp_path {at}/4; scgi_temp_path {at}/5;\n\
           server {{ listen {TO} {listen}; location / {{ return 200 ok; }} }}\n\
         }}\n"
    );
    let path = directory.write("nginx.conf", &configuration)?;
    let path = path.display().to_string();
    let program = file_of("nginx", "usr/sbin/nginx")?;
    let arguments = ["-e", "stderr", "-c", &path];
    let server = Server::start(netns, TO, directory, &program, &arguments)?;
    // One that is stopped before has not asked for connections yet.
    wait_until("all workers in epoll_wait", soon(), || {
        let ready = server
            .workers()?
            .into_iter()
            .filter(|pid| is_in_epoll_wait(*pid));
        Ok(ready.count() == workers)
    })?;
    Ok(server)
}

fn is_in_epoll_wait(pid: Pid) -> bool {
    let syscall = std::fs::read_to_string(format!("/proc/{}/syscall", pid.as_raw_nonzero()));
    let number = libc::SYS_epoll_wait.to_string();
    syscall.is_ok_and(|text| text.split(' ').next() == Some(&number))
}

pub(super) fn worker(nginx: &Server) -> Result<Pid> {
    nginx.workers()?.first().copied().context("no worker")
}

#[test]
#[ignore = "needs nginx; `cargo xtask lab` runs it"]
fn worker_that_is_stopped() -> Result<()> {
    let netns = Netns::new()?;
    let nginx = nginx(&netns, "nginx-stopped", 1, "backlog=8")?;
    signal(worker(&nginx)?, Signal::STOP)?;
    expect(&pressed(&netns, CLIENTS)?, &["acceptor-stopped"])
}

#[test]
#[ignore = "needs nginx; `cargo xtask lab` runs it"]
fn all_of_it_stopped() -> Result<()> {
    let netns = Netns::new()?;
    let nginx = nginx(&netns, "nginx-all-stopped", 1, "backlog=8")?;
    signal(worker(&nginx)?, Signal::STOP)?;
    signal(nginx.main(), Signal::STOP)?;
    expect(&pressed(&netns, CLIENTS)?, &["acceptor-stopped"])
}

#[test]
#[ignore = "needs nginx; `cargo xtask lab` runs it"]
fn burst_longer_than_its_backlog() -> Result<()> {
    let netns = Netns::new()?;
    let nginx = nginx(&netns, "nginx-burst", 1, "backlog=8")?;
    slow_down(&nginx)?;
    // It may drain its queue faster than a burst fills it: then nothing was made.
    let was_made = |answer: &Value| {
        answer["causes"]
            .as_object()
            .is_some_and(|all| !all.is_empty())
    };
    for _ in 0..5 {
        let answer = bursts(&netns)?;
        if was_made(&answer) {
            return expect(&answer, &["backlog-too-small"]);
        }
    }
    bail!("nginx kept up with every burst")
}

/// Its queue is full, and clients wait in it although the other worker has time.
#[test]
#[ignore = "needs nginx; `cargo xtask lab` runs it"]
fn one_of_two_reuseport_workers_stopped() -> Result<()> {
    let netns = Netns::new()?;
    // Cookies that come back to a full queue would be a verdict of their own.
    netns.sysctl("net/ipv4/tcp_syncookies", "0")?;
    let nginx = nginx(&netns, "nginx-reuseport", 2, "backlog=8 reuseport")?;
    signal(worker(&nginx)?, Signal::STOP)?;
    expect(&pressed(&netns, CLIENTS)?, &["acceptor-stopped"])
}

#[test]
#[ignore = "needs nginx; `cargo xtask lab` runs it"]
fn reload_under_load() -> Result<()> {
    let netns = Netns::new()?;
    let nginx = nginx(&netns, "nginx-reload", 1, "")?;
    let first = worker(&nginx)?;
    let mut served = 0_u32;
    let answer = why(&netns, || {
        if served.is_multiple_of(100) {
            signal(nginx.main(), Signal::HUP)?;
        }
        served += 1;
        get(&netns)
    })?;
    ensure!(!nginx.workers()?.contains(&first), "nothing was reloaded");
    expect(&answer, &[])
}

#[test]
#[ignore = "needs nginx; `cargo xtask lab` runs it"]
fn busy_and_sound() -> Result<()> {
    let netns = Netns::new()?;
    let _nginx = nginx(&netns, "nginx-sound", 1, "")?;
    let answer = why(&netns, || (0..20).try_for_each(|_| get(&netns)))?;
    expect(&answer, &[])
}
