//! uwsgi: processes with threads, all of which want the lock that one of them has.

use super::*;

#[test]
#[ignore = "needs uwsgi-plugin-python3; `cargo xtask lab` runs it"]
fn uwsgi_threads_that_wait_for_a_lock() -> Result<()> {
    let netns = Netns::new()?;
    let package = "uwsgi-plugin-python3";
    let plugin = installed(package, "usr/lib/uwsgi/plugins/python3_plugin.so")?;
    let (Some(plugin), Some(uwsgi)) = (plugin, installed("uwsgi-core", "usr/bin/uwsgi-core")?)
    else {
        return Ok(());
    };
    let directory = Directory::new("uwsgi")?;
    let application = "import threading, time\n\
         lock = threading.Lock()\n\
         def application(environment, start):\n\
        \x20   start('200 OK', [])\n\
        \x20   yield b'begun'\n\
        \x20   with lock:\n\
        \x20       time.sleep(60)\n";
    let path = directory.write("application.py", application)?;
    let (path, plugin) = (path.display().to_string(), plugin.display().to_string());
    let to = TO.to_string();
    let arguments = [
        ["--plugin", &plugin],
        ["--http-socket", &to],
        ["--listen", "8"],
        ["--processes", "2"],
        ["--threads", "2"],
        ["--wsgi-file", &path],
    ];
    let arguments = [&["--master"], arguments.as_flattened()].concat();
    let _uwsgi = Server::start(&netns, TO, directory, &uwsgi, &arguments)?;
    let asked = (0..4).map(|_| request(&netns, "GET / HTTP/1.0\r\n\r\n"));
    let asked = asked.collect::<Result<Vec<_>>>()?;
    wait_for_beginnings(&asked)?;
    expect(&pressed(&netns, CLIENTS)?, &["acceptor-blocked"])
}
