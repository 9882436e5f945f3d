//! Owners of sockets and paths of cgroups.

use std::io::ErrorKind;

use super::*;

#[test]
fn one_search_finds_sockets_and_namespaces() {
    let server = TcpListener::bind(v4(0)).unwrap();
    let inode = inode_of(&server);
    let namespace = std::fs::File::open("/proc/self/ns/net").unwrap();
    let own = std::process::id();
    let held = format!("/proc/{own}/fd/{}", namespace.as_raw_fd());
    let mut found = OpenFiles::search(&HashSet::from([inode]));
    let way = (netns::current().unwrap(), held.into());
    assert!(found.namespaces.contains(&way), "{:?}", found.namespaces);
    let mut registry = Registry::new();
    registry.meet(&mut found);
    assert!(registry.iter().any(|inum| inum == way.0));
    let mut owners = Owners::new();
    owners.meet(&HashSet::from([inode, 0]), found);
    assert!(owners.known(inode).iter().any(|owner| owner.pid == own));
    assert!(owners.known(0).is_empty());
}

#[test]
fn every_holder_of_a_socket_is_its_owner() {
    let server = TcpListener::bind(v4(0)).unwrap();
    let again = server.try_clone().unwrap();
    let inode = inode_of(&server);
    let own = std::process::id();
    let pids = |owners: &[crate::model::owner::Owner]| {
        owners.iter().map(|o| o.pid).collect::<HashSet<u32>>()
    };
    let mut owners = Owners::new();
    owners.prime(&HashSet::from([inode, 0]));
    // Other tests start processes, and between fork and exec such a child holds everything.
    assert!(pids(&owners.find(inode)).contains(&own));

    let child = Killed(
        Command::new("sleep")
            .arg("60")
            .stdin(Stdio::from(OwnedFd::from(again)))
            .spawn()
            .unwrap(),
    );
    owners.prime(&HashSet::from([inode]));
    let found = owners.find(inode);
    assert!(
        pids(&found).is_superset(&HashSet::from([own, child.0.id()])),
        "{found:?}"
    );
    let of_child = found.iter().find(|o| o.pid == child.0.id()).unwrap();
    assert_eq!(of_child.comm, "sleep");
    let exe = std::fs::read_link(format!("/proc/{}/exe", of_child.pid)).unwrap();
    assert_eq!(of_child.exe.as_deref(), exe.to_str());

    // The cached answer is checked: who has ended is no owner any more.
    let ended = child.0.id();
    drop(child);
    assert!(!pids(&owners.find(inode)).contains(&ended));
    assert!(pids(&owners.find(inode)).contains(&own));
    drop(server);
    assert!(!pids(&owners.find(inode)).contains(&own));
    assert!(owners.find(0).is_empty());
}

#[test]
fn a_program_that_was_replaced_is_told_of() {
    let server = TcpListener::bind(v4(0)).unwrap();
    let inode = inode_of(&server);
    let which = ["/bin/sleep", "/usr/bin/sleep"];
    let sleep = which
        .iter()
        .find(|path| std::fs::exists(path).unwrap())
        .unwrap();
    let copy = std::env::temp_dir().join(format!("whydrop-test-{}", std::process::id()));
    std::fs::copy(sleep, &copy).unwrap();
    let start = || {
        let socket = OwnedFd::from(server.try_clone().unwrap());
        Command::new(&copy)
            .arg("60")
            .stdin(Stdio::from(socket))
            .spawn()
    };
    // A process that another test starts may have inherited the copy while it was written.
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut child = start();
    while Instant::now() < deadline
        && child
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::ExecutableFileBusy)
    {
        child = start();
    }
    std::fs::remove_file(&copy).unwrap();
    let child = Killed(child.unwrap());
    let mut owners = Owners::new();
    owners.prime(&HashSet::from([inode]));
    let found = owners.find(inode);
    let of_child = found.iter().find(|o| o.pid == child.0.id()).unwrap();
    let expect = format!("{} (deleted)", copy.display());
    assert_eq!(of_child.exe.as_deref(), Some(expect.as_str()));
}

#[test]
fn a_new_socket_is_found_although_scans_are_rare() {
    let mut owners = Owners::new();
    assert!(owners.find(u32::MAX).is_empty());
    let server = TcpListener::bind(v4(0)).unwrap();
    let inode = inode_of(&server);
    let deadline = Instant::now() + Duration::from_secs(10);
    while owners.find(inode).is_empty() {
        assert!(Instant::now() < deadline);
    }
}

#[test]
fn cgroups_by_id_and_by_process() {
    let mut cgroups = Cgroups::new();
    assert!(cgroups.find(1).is_some_and(|root| root.path == "/"));
    assert_eq!(cgroups.find(0), None);
    assert_eq!(cgroups.find(u64::MAX), None);
    assert!(
        cgroups
            .of_process(std::process::id())
            .is_none_or(|cgroup| cgroup.path.starts_with('/'))
    );
    assert_eq!(cgroups.of_process(u32::MAX), None);

    let Some(mount) = cgroups.mount_point() else {
        return eprintln!("SKIPPED: no cgroup2 mount");
    };
    let name = format!("whydrop-test-{}", std::process::id());
    let dir = mount.join(&name);
    if std::fs::create_dir(&dir).is_err() {
        return eprintln!("SKIPPED: no permission to make a cgroup");
    }
    let made = std::fs::create_dir(dir.join("below"))
        .and_then(|()| Ok(rustix::fs::stat(dir.join("below"))?.st_ino));
    let found = made.as_ref().ok().and_then(|id| Cgroups::new().find(*id));
    let _ = std::fs::remove_dir(dir.join("below"));
    let _ = std::fs::remove_dir(&dir);
    let path = &found.unwrap().path;
    assert!(path.ends_with(&format!("/{name}/below")), "{path}");
}

#[test]
fn the_cgroup_root_can_be_opened() {
    match cgroup::root() {
        Ok(root) => {
            assert!(
                rustix::fs::fstat(&root.fd).is_ok_and(|found| !root.whole || found.st_ino == 1)
            );
        }
        Err(error) => assert!(error.to_string().contains("CAP_SYS_ADMIN"), "{error}"),
    }
}

#[test]
fn a_socket_tells_its_cgroup() {
    let server = TcpListener::bind(v4(0)).unwrap();
    let found = Diag::open()
        .unwrap()
        .listeners(Some(server.local_addr().unwrap().port()))
        .unwrap()
        .remove(0);
    assert_eq!(found.cookie, socket_cookie(&server).unwrap());
    let mut cgroups = Cgroups::new();
    if let Some(id) = found.cgroup_id {
        assert_eq!(cgroups.find(id), cgroups.of_process(std::process::id()));
    }
}
