//! Nothing is wrong, so nothing is said.

use whydrop_tests::listener::Options;

use super::*;

#[test]
fn sound_server() -> Result<()> {
    let netns = Netns::new()?;
    let (to, _holder) = held(&netns, 128, Work::Serve { rest_us: 0 })?;
    let answer = why(&netns, to, || {
        let client = Client::connect(&netns, to)?;
        ensure!(
            client.ended_within(soon())?,
            "a client of a sound server hangs"
        );
        Ok(())
    })?;
    expect(&answer, &[])
}

/// Half of a CPU's time, in bursts that its queue holds.
#[test]
fn busy_server() -> Result<()> {
    let netns = Netns::new()?;
    let (to, _holder) = held(&netns, 512, Work::Toil { busy_us: 500 })?;
    expect(&bursts(&netns, to)?, &[])?;
    let crowd = Crowd::new(&netns, to);
    expect(&why(&netns, to, || crowd.come())?, &[])
}

/// The new server listens before the old one stops, and nobody is left in the old one's queue.
#[test]
fn restart_done_well() -> Result<()> {
    let netns = Netns::new()?;
    let options = Options {
        listen_backlog: 128,
        reuse_port: true,
        ..Options::default()
    };
    let serve = Work::Serve { rest_us: 0 };
    let mut old = Listener::with(&netns, Ipv4Addr::LOCALHOST.into(), options)?;
    let mut _server = hold(&old, serve)?;
    let to = old.address();
    let mut turn = Every::new(PAUSE);
    let answer = why(&netns, to, || {
        let client = Client::connect(&netns, to)?;
        ensure!(client.ended_within(soon())?, "a client hangs");
        old.wait_queued(0)?;
        if turn.is_due() {
            let port = to.port();
            let new = Listener::with(&netns, to.ip(), Options { port, ..options })?;
            let its_server = hold(&new, serve)?;
            old = new;
            _server = its_server;
        }
        Ok(())
    })?;
    expect(&answer, &[])
}
