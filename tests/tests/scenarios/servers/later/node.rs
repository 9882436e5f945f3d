//! Node, whose one thread waits for another thread.

use super::*;

#[test]
#[ignore = "needs nodejs; `cargo xtask lab` runs it"]
fn node_that_waits_for_another_thread() -> Result<()> {
    let netns = Netns::new()?;
    let Some(node) = installed("nodejs", "usr/bin/node")? else {
        return Ok(());
    };
    let directory = Directory::new("node-waits")?;
    let script = format!(
        "require('http').createServer((request, response) => {{\n\
           if (request.url === '/wait')\n\
             Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60000);\n\
           response.end('ok');\n\
         }}).listen({}, '{}');\n",
        TO.port(),
        TO.ip()
    );
    let path = directory.write("server.js", &script)?;
    let path = path.display().to_string();
    let _node = Server::start(&netns, TO, directory, &node, &[&path])?;
    let _waits = request(&netns, "GET /wait HTTP/1.0\r\n\r\n")?;
    expect(&pressed(&netns, MANY_CLIENTS)?, &["acceptor-blocked"])
}
