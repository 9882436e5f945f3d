//! Java: a selector that is not asked for connections any more, and a heap that is nearly full.

use super::*;

fn java(netns: &Netns, name: &str, options: &[&str], program: &str) -> Result<Option<Server>> {
    let Some(java) = installed("openjdk-17-jdk-headless", "usr/bin/java")? else {
        return Ok(None);
    };
    let directory = Directory::new(name)?;
    let path = directory.write("Main.java", program)?;
    let path = path.display().to_string();
    let arguments = [options, &[&path]].concat();
    Server::start(netns, TO, directory, &java, &arguments).map(Some)
}

const SELECTOR: &str = "import java.net.*; import java.nio.channels.*; import java.util.*;
class Main {
  public static void main(String[] arguments) throws Exception {
    var selector = Selector.open();
    var server = ServerSocketChannel.open();
    server.bind(new InetSocketAddress(\"127.0.0.1\", 8080), 8);
    server.configureBlocking(false);
    var key = server.register(selector, SelectionKey.OP_ACCEPT);
    var held = new ArrayList<SocketChannel>();
    while (true) {
      selector.select();
      selector.selectedKeys().clear();
      var client = server.accept();
      if (client != null) held.add(client);
      if (held.size() == 4) key.interestOps(0);
    }
  }
}
";

#[test]
#[ignore = "needs openjdk-17-jdk-headless; `cargo xtask lab` runs it"]
fn java_selector_that_is_not_asked_any_more() -> Result<()> {
    let netns = Netns::new()?;
    let Some(_java) = java(&netns, "java-selector", &[], SELECTOR)? else {
        return Ok(());
    };
    expect(
        &pressed(&netns, CLIENTS)?,
        &["accept-paused-by-application"],
    )
}

/// What lives leaves so little room that each collection is followed by the next.
const FULL_HEAP: &str = "import java.net.*; import java.util.*;
class Main {
  static volatile Object junk;
  record Node(Node next) {}
  static Node kept;
  public static void main(String[] arguments) throws Exception {
    var server = new ServerSocket(8080, 8);
    var runtime = Runtime.getRuntime();
    var acceptor = new Thread(() -> {
      try { while (true) server.accept().close(); } catch (Exception gone) { System.exit(1); }
    });
    acceptor.start();
    while (runtime.totalMemory() - runtime.freeMemory() < runtime.maxMemory() * 94 / 100)
      for (int n = 0; n < 1000; n++) kept = new Node(kept);
    new java.io.File(\"full\").createNewFile();
    while (true) junk = new byte[64];
  }
}
";

#[test]
#[ignore = "needs openjdk-17-jdk-headless; `cargo xtask lab` runs it"]
fn java_whose_heap_is_nearly_full() -> Result<()> {
    let netns = Netns::new()?;
    let options = ["-Xms512m", "-Xmx512m", "-XX:+UseSerialGC"];
    let Some(java) = java(&netns, "java-heap", &options, FULL_HEAP)? else {
        return Ok(());
    };
    wait_for_file(&java, "full")?;
    expect(&pressed(&netns, CLIENTS)?, &["garbage-collection"])
}
