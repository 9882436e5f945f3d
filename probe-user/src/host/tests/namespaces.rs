//! Ways into namespaces, and that asking about one does not keep it.

use super::*;

#[test]
fn a_namespace_ends_although_it_was_asked() {
    let Some(ns) = private() else { return };
    let inum = ns.inum();
    assert_ne!(inum, netns::current().unwrap());
    assert_eq!(ns.inside(netns::current).unwrap().unwrap(), inum);
    let mut registry = Registry::new();
    let mut pool = DiagPool::new();
    let now = Instant::now();
    assert_eq!(
        netns::inum_of_fd(registry.open(inum).unwrap().as_fd()).unwrap(),
        inum
    );
    pool.get(|inum| registry.open(inum), inum, now).unwrap();
    drop(ns);
    pool.expire(now + IDLE / 2);
    assert_eq!(pool.len(), 1);
    pool.expire(now + IDLE);
    assert!(pool.is_empty());

    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match registry.open(inum) {
            Err(NetnsError::NoWay { .. }) => break,
            // Another test may have been given the same number meanwhile, for as long as it runs.
            Ok(_) | Err(NetnsError::NotYet { .. }) if Instant::now() < deadline => {
                std::thread::yield_now();
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn ways_in_through_a_process() {
    let Some(ns) = private() else { return };
    let child = ns
        .inside(|| Command::new("sleep").arg("60").spawn().unwrap())
        .unwrap();
    let child = Killed(child);
    let (pid, inum) = (child.0.id(), ns.inum());
    drop(ns);
    let mut registry = Registry::new();
    registry.refresh();
    assert_eq!(registry.pids(inum), [pid]);
    assert_eq!(registry.name(inum), None);
    let comm = "sleep".to_owned();
    assert_eq!(
        registry.called(inum),
        Some(NetnsName::Process { pid, comm })
    );
    assert!(registry.iter().any(|known| known == inum));
    assert_eq!(registry.resolve(&pid.to_string()).unwrap(), inum);
    assert_eq!(registry.resolve(&inum.to_string()).unwrap(), inum);
    assert_eq!(
        registry.resolve(&format!("/proc/{pid}/ns/net")).unwrap(),
        inum
    );
    assert!(
        netstat::read(&mut registry, inum)
            .unwrap()
            .get("ListenDrops")
            .is_some()
    );
    assert!(registry.open(inum).is_ok());
    assert!(registry.knows(inum));
    drop(child);
    assert!(registry.may_have_lost_one());
    assert_eq!(registry.called(inum), None, "{pid} has ended");
}

#[test]
fn specs_that_mean_nothing() {
    let mut registry = Registry::new();
    let current = netns::current().unwrap();
    assert_eq!(
        registry.resolve(&std::process::id().to_string()).unwrap(),
        current
    );
    assert_eq!(registry.resolve("/proc/self/ns/net").unwrap(), current);
    for spec in [
        "",
        "no-such-netns",
        "../../proc/self/ns/net",
        "4294967295",
        "99999999999999",
        "/etc/passwd",
        "/no/such/file",
        "/proc/self/ns/mnt",
        "-1",
        "a\0b",
    ] {
        let error = registry.resolve(spec).unwrap_err();
        assert!(error.to_string().len() > 30, "{spec}: {error}");
    }
    assert!(
        netstat::read(&mut registry, current)
            .unwrap()
            .get("ListenOverflows")
            .is_some()
    );
    assert!(matches!(
        registry.open(1),
        Err(NetnsError::NoWay { inum: 1 } | NetnsError::NotYet { inum: 1 })
    ));
}
