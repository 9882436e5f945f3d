//! Python: http.server with a backlog of 5, and gunicorn with an arbiter and workers that do one thing at a time.

use anyhow::Result;
use whydrop_tests::deadline::{soon, wait_until};
use whydrop_tests::netns::Netns;
use whydrop_tests::server::{Directory, Server, file_of};

use super::{CLIENTS, TO, expect, pressed, request};

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

#[test]
#[ignore = "needs python3-gunicorn; `cargo xtask lab` runs it"]
fn gunicorn_worker_in_a_slow_request() -> Result<()> {
    let netns = Netns::new()?;
    let directory = Directory::new("gunicorn")?;
    let entered = directory.path().join("entered");
    let application = format!(
        "import time\n\
         def application(environment, start):\n\
        \x20   open('{}', 'w').close()\n\
        \x20   time.sleep(60)\n",
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
    let _gunicorn = Server::start(&netns, TO, directory, &python, &arguments)?;
    let _slow = request(&netns, "GET / HTTP/1.0\r\n\r\n")?;
    wait_until("a worker in its request", soon(), || Ok(entered.exists()))?;
    expect(&pressed(&netns, CLIENTS)?, &["acceptor-blocked"])
}
