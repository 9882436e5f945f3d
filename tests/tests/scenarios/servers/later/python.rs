//! Python, with processes that accept and then wait for a file that another one has locked.

use super::*;

#[test]
#[ignore = "needs python3; `cargo xtask lab` runs it"]
fn python_processes_that_wait_for_a_locked_file() -> Result<()> {
    let netns = Netns::new()?;
    let Some(python) = installed("python3", "usr/bin/python3")? else {
        return Ok(());
    };
    let directory = Directory::new("python-lock")?;
    let script = format!(
        "import fcntl, os, signal, socket\n\
         server = socket.create_server(('{}', {}), backlog=8)\n\
         lock = open('lock', 'w')\n\
         fcntl.flock(lock, fcntl.LOCK_EX)\n\
         for _ in range(4):\n\
        \x20   if os.fork() == 0:\n\
        \x20       mine = open('lock', 'w')\n\
        \x20       while True:\n\
        \x20           client, _ = server.accept()\n\
        \x20           fcntl.flock(mine, fcntl.LOCK_EX)\n\
        \x20           client.close()\n\
         signal.pause()\n",
        TO.ip(),
        TO.port()
    );
    let path = directory.write("server.py", &script)?;
    let path = path.display().to_string();
    let _server = Server::start(&netns, TO, directory, &python, &[&path])?;
    expect(&pressed(&netns, CLIENTS)?, &["acceptor-blocked"])
}
