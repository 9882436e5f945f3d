//! The root of the cgroup v2 tree: where it is mounted, and a descriptor to attach programs to.
//!
//! In: /proc/self/mountinfo. Out: the mount, or a descriptor of the root, from a mount of our own where the host has none.
//! It never leaves a mount behind: ours has no mount point and ends with its descriptor.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{CWD, fstat, fstatfs};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

use super::ROOT_ID;
use crate::host::mountinfo::mounts;
use crate::host::procfs::{open_dir, read_small};

/// CGROUP2_SUPER_MAGIC of include/uapi/linux/magic.h.
const CGROUP2_MAGIC: u32 = 0x6367_7270;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cgroup2Mount {
    pub point: PathBuf,
    /// The cgroup that is visible at `point`, as this process's cgroup namespace names it.
    pub root: String,
}

impl Cgroup2Mount {
    /// What paths below the mount point begin with.
    pub(super) fn prefix(&self) -> String {
        self.root.trim_end_matches('/').to_owned()
    }

    /// `None` when something else has been mounted over it.
    pub(super) fn open(&self) -> Option<OwnedFd> {
        let found = open_dir(CWD, &self.point).ok()?;
        let magic = fstatfs(&found).ok()?.f_type as u32;
        (magic == CGROUP2_MAGIC).then_some(found)
    }
}

/// The cgroup2 mount that shows most: one of the whole tree before one of a part.
pub(super) fn mounted() -> Option<Cgroup2Mount> {
    candidates()
        .into_iter()
        .find(|mount| mount.open().is_some())
}

fn candidates() -> Vec<Cgroup2Mount> {
    let mut text = Vec::new();
    match read_small(CWD, c"/proc/self/mountinfo", &mut text) {
        Ok(()) => candidates_in(&text),
        Err(_) => Vec::new(),
    }
}

fn candidates_in(mountinfo: &[u8]) -> Vec<Cgroup2Mount> {
    let of_cgroup2 = mounts(mountinfo).filter(|mount| mount.fs_type == b"cgroup2");
    let mut found: Vec<Cgroup2Mount> = of_cgroup2
        .map(|mount| Cgroup2Mount {
            point: mount.point().to_path_buf(),
            root: String::from_utf8_lossy(&mount.root).into_owned(),
        })
        .collect();
    found.sort_by_key(|mount| mount.root != "/");
    found
}

/// Where a [`Root`] came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// It was mounted here already.
    Mounted(PathBuf),
    /// The host has cgroup2 nowhere in reach; this mount is ours and ends with the descriptor.
    Private,
}

/// The root of cgroup2, open.
#[derive(Debug)]
pub struct Root {
    /// The directory.
    pub fd: OwnedFd,
    /// Where it comes from.
    pub origin: Origin,
    /// Whether this is the root of the host's tree. If not (in a container), sockets of cgroups outside are not below it.
    pub whole: bool,
}

/// The root of the cgroup2 tree: an existing mount of the whole tree, else a private one, else the largest part that is mounted.
pub fn root() -> io::Result<Root> {
    let mut part = None;
    for mount in candidates() {
        let Some(fd) = mount.open() else { continue };
        let whole = is_whole(&fd);
        let root = Root {
            fd,
            origin: Origin::Mounted(mount.point),
            whole,
        };
        if whole {
            return Ok(root);
        }
        part.get_or_insert(root);
    }
    match (private(), part) {
        (Ok(root), None) => Ok(root),
        // Inside a cgroup namespace our own mount shows no more than the host's (kernel/cgroup/cgroup.c:cgroup_do_get_tree).
        (Ok(root), Some(part)) => Ok(if root.whole { root } else { part }),
        (Err(_), Some(part)) => Ok(part),
        (Err(error), None) => {
            let text = format!(
                "no cgroup2 file system is mounted and a private one could not be made: {error}; it needs CAP_SYS_ADMIN and CONFIG_CGROUPS"
            );
            Err(io::Error::new(error.kind(), text))
        }
    }
}

/// Just the descriptor of [`root`].
pub fn root_fd() -> io::Result<OwnedFd> {
    root().map(|root| root.fd)
}

fn is_whole(fd: &OwnedFd) -> bool {
    fstat(fd).is_ok_and(|found| found.st_ino == ROOT_ID)
}

fn private() -> io::Result<Root> {
    let context = fsopen(c"cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    let mount = fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )?;
    // fsmount gives an O_PATH descriptor, which cannot be listed. A BPF link takes either (seen on 6.18).
    let fd = open_dir(&mount, c".")?;
    let whole = is_whole(&fd);
    Ok(Root {
        fd,
        origin: Origin::Private,
        whole,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_whole_tree_comes_first() {
        let text = "1 1 0:1 /docker/x /a rw - cgroup2 c rw\n2 1 0:1 / /b rw - cgroup2 c rw\n3 1 0:2 / /c rw - cgroup c rw\n";
        let found = candidates_in(text.as_bytes());
        let points: Vec<_> = found
            .iter()
            .map(|mount| (mount.point.to_str().unwrap(), mount.prefix()))
            .collect();
        assert_eq!(
            points,
            [("/b", String::new()), ("/a", "/docker/x".to_owned())]
        );
    }

    #[test]
    fn a_private_mount_is_the_root_and_leaves_no_trace() {
        let Ok(root) = private() else {
            return eprintln!("SKIPPED: no CAP_SYS_ADMIN");
        };
        assert_eq!(fstatfs(&root.fd).unwrap().f_type as u32, CGROUP2_MAGIC);
        assert!(
            rustix::fs::accessat(
                &root.fd,
                c"cgroup.procs",
                rustix::fs::Access::EXISTS,
                rustix::fs::AtFlags::empty()
            )
            .is_ok()
        );
        let before = candidates();
        drop(root);
        assert_eq!(candidates(), before);
    }
    proptest! {
        #[test]
        fn odd_text_never_panics_and_parts_come_last(text in "(([0-9] ){3}/[a-c]? /[a-z]? rw - (cgroup2?)? c rw\n|[0-9 /\\\\a-c\n-]{0,9}){0,6}") {
            let found = candidates_in(text.as_bytes());
            prop_assert!(found.is_sorted_by_key(|mount| mount.root != "/"));
            prop_assert!(found.len() <= text.matches(" cgroup2 ").count());
        }
    }
}
