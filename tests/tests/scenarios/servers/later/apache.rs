//! Apache with processes (mpm_prefork): each serves one client from the beginning to the end.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use anyhow::Context;

use super::*;

const WORKERS: usize = 3;

/// It has a file that is longer than what sockets hold.
fn apache(netns: &Netns, name: &str) -> Result<Option<Server>> {
    let package = "apache2-bin";
    let Some(program) = installed(package, "usr/sbin/apache2")? else {
        return Ok(None);
    };
    let modules = file_of(package, "usr/lib/apache2/modules")?;
    let directory = Directory::new(name)?;
    let (at, modules) = (directory.path().display(), modules.display());
    let configuration = format!(
        "ServerRoot {at}\nDefaultRuntimeDir {at}\nPidFile {at}/pid\nErrorLog {at}/error\nServerName here\n\
         LoadModule mpm_prefork_module {modules}/mod_mpm_prefork.so\n\
         LoadModule authz_core_module {modules}/mod_authz_core.so\n\
         Listen {TO}\nListenBacklog 8\nAcceptFilter http none\nUser nobody\nGroup nogroup\nTimeout 300\n\
         StartServers {WORKERS}\nMinSpareServers 1\nServerLimit {WORKERS}\nMaxRequestWorkers {WORKERS}\n\
         DocumentRoot {at}\n<Directory {at}>\nRequire all granted\n</Directory>\n"
    );
    let path = directory.write("apache.conf", &configuration)?;
    directory.write("index.html", "ok")?;
    let large = fs::File::create(directory.path().join("large"))?;
    large.set_len(64 << 20).context("a large file")?;
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755))?;
    let path = path.display().to_string();
    let arguments = ["-f", &path, "-DFOREGROUND"];
    Server::start(netns, TO, directory, &program, &arguments).map(Some)
}

/// Clients that ask for much and do not read it.
fn do_not_read(netns: &Netns, clients: usize) -> Result<Vec<TcpStream>> {
    let ask = |_| sent(netns, b"GET /large HTTP/1.0\r\n\r\n");
    let streams = (0..clients).map(ask).collect::<Result<Vec<_>>>()?;
    wait_for_beginnings(&streams)?;
    Ok(streams)
}

#[test]
#[ignore = "needs apache2-bin; `cargo xtask lab` runs it"]
fn apache_whose_clients_do_not_read() -> Result<()> {
    let netns = Netns::new()?;
    let Some(_apache) = apache(&netns, "apache-stuck")? else {
        return Ok(());
    };
    let _clients = do_not_read(&netns, WORKERS)?;
    expect(&pressed(&netns, CLIENTS)?, &["acceptor-blocked"])
}

#[test]
#[ignore = "needs apache2-bin; `cargo xtask lab` runs it"]
fn apache_with_one_process_left() -> Result<()> {
    let netns = Netns::new()?;
    let Some(_apache) = apache(&netns, "apache-left")? else {
        return Ok(());
    };
    let _clients = do_not_read(&netns, WORKERS - 1)?;
    let answer = why(&netns, || (0..5).try_for_each(|_| get(&netns)))?;
    expect(&answer, &[])
}
