//! Erlang: processes of its own accept, which the kernel does not know.

use super::*;

/// Two accept, and each then waits for its client.
#[test]
#[ignore = "needs erlang-base; `cargo xtask lab` runs it"]
fn erlang_whose_acceptors_wait_for_clients() -> Result<()> {
    let netns = Netns::new()?;
    let Some(escript) = installed("erlang-base", "usr/bin/escript")? else {
        return Ok(());
    };
    let directory = Directory::new("erlang-waits")?;
    let script = format!(
        "#!/usr/bin/env escript\n\
         main(_) ->\n\
        \x20 Options = [binary, {{active, false}}, {{ip, {{127, 0, 0, 1}}}}, {{backlog, 8}}],\n\
        \x20 {{ok, Listener}} = gen_tcp:listen({}, Options),\n\
        \x20 [spawn(fun() -> acceptor(Listener) end) || _ <- [1, 2]],\n\
        \x20 receive nothing -> ok end.\n\
         acceptor(Listener) ->\n\
        \x20 {{ok, Socket}} = gen_tcp:accept(Listener),\n\
        \x20 gen_tcp:recv(Socket, 0),\n\
        \x20 gen_tcp:close(Socket),\n\
        \x20 acceptor(Listener).\n",
        TO.port()
    );
    let path = directory.write("server.escript", &script)?;
    let path = path.display().to_string();
    let _erlang = Server::start(&netns, TO, directory, &escript, &[&path])?;
    let _silent = [request(&netns, "")?, request(&netns, "")?];
    expect(
        &pressed(&netns, CLIENTS)?,
        &["accept-paused-by-application"],
    )
}
