//! Python: http.server with a backlog of 5, and gunicorn with an arbiter and workers that do one thing at a time.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use whydrop_tests::answer::verdicts;
use whydrop_tests::deadline::{soon, wait_until};
use whydrop_tests::netns::Netns;
use whydrop_tests::server::{Directory, Server, file_of};
use whydrop_tests::verdict::say_verdict;

use super::{CLIENTS, TO, expect, get, pressed, request, signal};

#[test]
#[ignore = "needs python3; `cargo xtask lab` runs it"]
fn http_server_with_a_slow_client() -> Result<()> {
    let netns = Netns::new()?;
    let directory = Directory::new("python-http")?;
    let script = format!(
        "from http.server import HTTPServer, SimpleHTTPRequestHandler\n\
         HTTPServer(('{}', {}), SimpleHTTPRequestHandler).serve_forever()\n",
        TO.ip(),
        TO.port()
    );
    let path = directory.write("server.py", &script)?;
    let path = path.display().to_string();
    let python = file_of("python3", "usr/bin/python3")?;
    let _server = Server::start(&netns, TO, directory, &python, &[&path])?;
    let _slow = request(&netns, "GET / HTTP")?;
    expect(&pressed(&netns, CLIENTS)?, &["acceptor-blocked"])
}

/// With one worker, which is in a request that does not end; its arbiter holds the listener too.
fn gunicorn_in_a_slow_request(netns: &Netns, name: &str) -> Result<(Server, TcpStream)> {
    let directory = Directory::new(name)?;
    let entered = directory.path().join("entered");
    let application = format!(
        "import time\n\
         def application(environment, start):\n\
        \x20   if environment['PATH_INFO'] == '/slow':\n\
        \x20       open('{}', 'w').close()\n\
        \x20       time.sleep(60)\n\
        \x20   start('200 OK', [])\n\
        \x20   return []\n",
        entered.display()
    );
    directory.write("slow.py", &application)?;
    file_of(
        "python3-gunicorn",
        "usr/lib/python3/dist-packages/gunicorn/app/wsgiapp.py",
    )?;
    let python = file_of("python3", "usr/bin/python3")?;
    let to = TO.to_string();
    let arguments = ["-m", "gunicorn", "--backlog", "8", "--bind", &to, "slow"];
    let gunicorn = Server::start(netns, TO, directory, &python, &arguments)?;
    get(netns)?;
    // The worker is there by now. A connection that is not clearly younger may be inherited.
    let began = Instant::now();
    wait_until("a worker of some age", soon(), || {
        Ok(began.elapsed() > Duration::from_millis(100))
    })?;
    let slow = request(netns, "GET /slow HTTP/1.0\r\n\r\n")?;
    wait_until("a worker in its request", soon(), || Ok(entered.exists()))?;
    Ok((gunicorn, slow))
}

#[test]
#[ignore = "needs python3-gunicorn; `cargo xtask lab` runs it"]
fn gunicorn_worker_in_a_slow_request() -> Result<()> {
    let netns = Netns::new()?;
    let _running = gunicorn_in_a_slow_request(&netns, "gunicorn")?;
    expect(&pressed(&netns, CLIENTS)?, &["acceptor-blocked"])
}

#[test]
#[ignore = "needs python3-gunicorn; `cargo xtask lab` runs it"]
fn gunicorn_worker_that_is_stopped() -> Result<()> {
    let netns = Netns::new()?;
    let (gunicorn, _slow) = gunicorn_in_a_slow_request(&netns, "gunicorn-stopped")?;
    let worker = gunicorn.workers()?.first().copied().context("no worker")?;
    signal(worker, Signal::STOP)?;
    expect(&pressed(&netns, CLIENTS)?, &["acceptor-stopped"])
}

/// It accepts two connections, starts a process for each, and then waits for something else. Its children hold what they
/// inherited, the listener too, and sleep: they are not who blocks.
#[test]
#[ignore = "needs python3; `cargo xtask lab` runs it"]
fn a_process_for_each_connection() -> Result<()> {
    const TRUTH: &str = "accept-paused-by-application";
    let netns = Netns::new()?;
    let directory = Directory::new("python-fork")?;
    let script = format!(
        "import os, select, socket, time\n\
         server = socket.create_server(('{}', {}), backlog=8)\n\
         for _ in range(2):\n\
        \x20   client, _ = server.accept()\n\
        \x20   if os.fork() == 0:\n\
        \x20       time.sleep(600)\n\
        \x20   client.close()\n\
         open('full', 'w').close()\n\
         select.select([os.pipe()[0]], [], [])\n",
        TO.ip(),
        TO.port()
    );
    let path = directory.write("server.py", &script)?;
    let full = directory.path().join("full");
    let path = path.display().to_string();
    let python = file_of("python3", "usr/bin/python3")?;
    let _server = Server::start(&netns, TO, directory, &python, &[&path])?;
    let _held = request(&netns, "GET / HTTP/1.0\r\n\r\n")?;
    wait_until("two connections", soon(), || Ok(full.exists()))?;
    let answer = pressed(&netns, CLIENTS)?;
    let given = verdicts(&answer)?;
    say_verdict(&[TRUTH], &given)?;
    // Without an epoll instance it is not to be seen that it waits for other files on purpose.
    let may_be = [[TRUTH], ["undetermined"]];
    ensure!(may_be.iter().any(|one| given == one), "{answer:#}");
    Ok(())
}
