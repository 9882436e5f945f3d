//! Rows of the laboratory that were written after the rules that judge them, so that no rule was made to fit them.
//! Where the machine lacks a server its row says so, and counts as nothing.

mod apache;
mod erlang;
mod go;
mod haproxy;
mod java;
mod memcached;
mod nginx;
mod node;
mod php;
mod postgres;
mod python;
mod uwsgi;

use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;

use anyhow::Result;
use whydrop_tests::client::Client;
use whydrop_tests::deadline::{soon, wait_until};
use whydrop_tests::log::say;
use whydrop_tests::netns::Netns;
use whydrop_tests::server::{Directory, Server, file_of};

use super::{CLIENTS, MANY_CLIENTS, TO, expect, get, pressed, request, signal, why};

/// A file of a package, where the machine has it; the laboratory counts the row as absent otherwise.
fn installed(package: &str, file: &str) -> Result<Option<PathBuf>> {
    if let Ok(path) = file_of(package, file) {
        return Ok(Some(path));
    }
    say(format_args!("ABSENT {package}"))?;
    Ok(None)
}

/// One that has sent these bytes and has not read.
fn sent(netns: &Netns, bytes: &[u8]) -> Result<TcpStream> {
    let mut stream = Client::connect(netns, TO)?.into_stream()?;
    stream.write_all(bytes)?;
    Ok(stream)
}

/// The beginning of an answer is there for each, so somebody is at work on it.
fn wait_for_beginnings(streams: &[TcpStream]) -> Result<()> {
    for stream in streams {
        stream.set_read_timeout(Some(soon()))?;
        stream.peek(&mut [0])?;
    }
    Ok(())
}

/// A file that the server makes when it has come so far.
fn wait_for_file(server: &Server, name: &str) -> Result<()> {
    let path = server.directory().path().join(name);
    wait_until(name, soon() * 6, || Ok(path.exists()))
}
