//! php-fpm: each of its processes serves one request at a time, and speaks FastCGI with the web server before it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use super::*;

const CHILDREN: usize = 3;
// Types of records (FastCGI specification 1.0, section 8).
const BEGIN: u8 = 1;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let [high, low] = (body.len() as u16).to_be_bytes();
    let mut record = vec![1, kind, 0, 1, high, low, 0, 0];
    record.extend(body);
    record
}

/// A request for this script, whose name is short.
fn request_for(script: &str) -> Vec<u8> {
    let mut parameters = Vec::new();
    for (name, value) in [("REQUEST_METHOD", "GET"), ("SCRIPT_FILENAME", script)] {
        parameters.extend([name.len() as u8, value.len() as u8]);
        parameters.extend(name.bytes().chain(value.bytes()));
    }
    [
        record(BEGIN, &[0, 1, 0, 0, 0, 0, 0, 0]),
        record(PARAMS, &parameters),
        record(PARAMS, &[]),
        record(STDIN, &[]),
    ]
    .concat()
}

#[test]
#[ignore = "needs php8.2-fpm; `cargo xtask lab` runs it"]
fn php_whose_children_all_sleep() -> Result<()> {
    let netns = Netns::new()?;
    let Some(program) = installed("php8.2-fpm", "usr/sbin/php-fpm8.2")? else {
        return Ok(());
    };
    let directory = Directory::new("php")?;
    let at = directory.path().display();
    let configuration = format!(
        "[global]\nerror_log = {at}/error\ndaemonize = no\n\
         [pool]\nuser = nobody\ngroup = nogroup\nlisten = {TO}\nlisten.backlog = 8\n\
         pm = static\npm.max_children = {CHILDREN}\n"
    );
    let path = directory.write("fpm.conf", &configuration)?;
    let script = directory.write(
        "sleep.php",
        "<?php echo str_repeat('x', 9000); flush(); sleep(60);\n",
    )?;
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755))?;
    let (path, script) = (path.display().to_string(), script.display().to_string());
    let arguments = ["--nodaemonize", "-n", "-y", &path];
    let _php = Server::start(&netns, TO, directory, &program, &arguments)?;
    // A connection that is as old as they are they may have inherited.
    let began = Instant::now();
    wait_until("children of some age", soon(), || {
        Ok(began.elapsed() > Duration::from_millis(100))
    })?;
    let asked = (0..CHILDREN).map(|_| sent(&netns, &request_for(&script)));
    let asked = asked.collect::<Result<Vec<_>>>()?;
    wait_for_beginnings(&asked)?;
    expect(&pressed(&netns, CLIENTS)?, &["acceptor-blocked"])
}
