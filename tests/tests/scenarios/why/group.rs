//! Groups of listeners that share a port (SO_REUSEPORT).

use whydrop_tests::listener::Options;

use super::*;

/// Two members.
fn group(netns: &Netns) -> Result<[Listener; 2]> {
    let options = Options {
        listen_backlog: BACKLOG,
        reuse_port: true,
        ..Options::default()
    };
    let first = Listener::with(netns, Ipv4Addr::LOCALHOST.into(), options)?;
    let port = first.port();
    let second = Listener::with(
        netns,
        Ipv4Addr::LOCALHOST.into(),
        Options { port, ..options },
    )?;
    Ok([first, second])
}

/// Holds each by one of these.
fn hold_both(group: [Listener; 2], works: [Work; 2]) -> Result<(SocketAddr, Vec<Holder>)> {
    let to = group[0].address();
    let holders: Result<Vec<Holder>> = group
        .iter()
        .zip(works)
        .map(|(listener, work)| hold(listener, work))
        .collect();
    Ok((to, holders?))
}

#[test]
fn member_that_gets_everything() -> Result<()> {
    let netns = Netns::new()?;
    let group = group(&netns)?;
    group[0].prefer_first()?;
    let (to, _holders) = hold_both(group, [Work::Serve { rest_us: 300 }; 2])?;
    expect(&bursts(&netns, to)?, &["reuseport-imbalance"])
}

#[test]
fn member_that_nobody_serves() -> Result<()> {
    let netns = Netns::new()?;
    let works = [Work::EpollElsewhere, Work::Serve { rest_us: 0 }];
    let (to, _holders) = hold_both(group(&netns)?, works)?;
    expect(&pressed(&netns, to)?, &["reuseport-orphan"])
}

/// Its worker does not get to it; that the other one does makes it no matter of balance.
#[test]
fn member_whose_worker_sleeps() -> Result<()> {
    let netns = Netns::new()?;
    let works = [Work::Sleep, Work::Serve { rest_us: 0 }];
    let (to, _holders) = hold_both(group(&netns)?, works)?;
    expect(&pressed(&netns, to)?, &["acceptor-blocked"])
}
