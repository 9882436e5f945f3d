//! Java: a `ServerSocket` has a backlog of 50 unless told otherwise, and its process many threads.

use anyhow::Result;
use whydrop_tests::netns::Netns;
use whydrop_tests::server::{Directory, Server, file_of};

use super::{CLIENTS, TO, expect, pressed, request};

#[test]
#[ignore = "needs openjdk-17-jdk-headless; `cargo xtask lab` runs it"]
fn one_client_at_a_time() -> Result<()> {
    let netns = Netns::new()?;
    let directory = Directory::new("java-blocked")?;
    let program = format!(
        "class Main {{\n\
           public static void main(String[] arguments) throws Exception {{\n\
             var server = new java.net.ServerSocket({});\n\
             while (true) try (var client = server.accept()) {{ while (client.getInputStream().read() > 0); }}\n\
             catch (java.io.IOException gone) {{}}\n\
           }}\n\
         }}\n",
        TO.port()
    );
    let path = directory.write("Main.java", &program)?;
    let path = path.display().to_string();
    let java = file_of("openjdk-17-jdk-headless", "usr/bin/java")?;
    let _java = Server::start(&netns, TO, directory, &java, &[&path])?;
    let _slow = request(&netns, "not yet")?;
    expect(&pressed(&netns, CLIENTS)?, &["acceptor-blocked"])
}
