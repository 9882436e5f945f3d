//! A cgroup made by hand in the v2 tree, for a socket to be made in. Where the
//! host has not mounted that tree it is mounted for as long.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

pub struct Cgroup {
    tree: Tree,
    /// Below the tree's mount point, with everything between.
    directories: Vec<PathBuf>,
}

/// Where the tree is mounted.
struct Tree {
    point: PathBuf,
    is_ours: bool,
}

impl Cgroup {
    /// `name` may be of several directories, such as `a.slice/b.service`.
    pub fn new(name: &str) -> Result<Self> {
        let mut cgroup = Self::root()?;
        let top = format!("whydrop{}.slice", std::process::id());
        let mut path = cgroup.tree.point.clone();
        for directory in &Path::new(&top).join(name) {
            path.push(directory);
            fs::create_dir(&path).with_context(|| format!("make the cgroup {}", path.display()))?;
            cgroup.directories.push(path.clone());
        }
        Ok(cgroup)
    }

    /// Where everything is that nobody has placed.
    pub fn root() -> Result<Self> {
        Ok(Self {
            tree: Tree::find()?,
            directories: Vec::new(),
        })
    }

    /// Writes to one of its files, such as `cgroup.freeze`.
    pub fn set(&self, file: &str, value: &str) -> Result<()> {
        let here = self.directories.last().unwrap_or(&self.tree.point);
        let path = here.join(file);
        fs::write(&path, value).with_context(|| format!("write {value} to {}", path.display()))
    }

    /// Gives it and all between it and the tree's top a controller; `false` where the tree has none such.
    pub fn enable(&self, controller: &str) -> Result<bool> {
        let has = fs::read_to_string(self.tree.point.join("cgroup.controllers"))?;
        if !has.split_whitespace().any(|it| it == controller) {
            return Ok(false);
        }
        let above = self
            .directories
            .split_last()
            .map_or(&[][..], |(_, above)| above);
        for directory in [&self.tree.point].into_iter().chain(above) {
            fs::write(
                directory.join("cgroup.subtree_control"),
                format!("+{controller}"),
            )?;
        }
        Ok(true)
    }

    /// Does the work with this process in the cgroup, and says by which path
    /// the kernel knows it.
    pub fn run<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<(T, String)> {
        let outside = own_path()?;
        let here = self.directories.last().unwrap_or(&self.tree.point);
        move_to(here)?;
        let done = work().and_then(|done| Ok((done, own_path()?)));
        move_to(&self.tree.point.join(outside.trim_start_matches('/')))?;
        done
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for directory in self.directories.iter().rev() {
            let _ = fs::remove_dir(directory);
        }
    }
}

impl Tree {
    fn find() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let found = mounts.lines().find_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let point = fields.next()?;
            (fields.next()? == "cgroup2").then(|| PathBuf::from(point))
        });
        if let Some(point) = found {
            let is_ours = false;
            return Ok(Self { point, is_ours });
        }
        let point = std::env::temp_dir().join(format!("whydrop-cgroup2-{}", std::process::id()));
        fs::create_dir_all(&point)?;
        mount(c"cgroup2", &point, c"cgroup2", MountFlags::empty(), None)
            .context("mount cgroup2")?;
        let is_ours = true;
        Ok(Self { point, is_ours })
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if self.is_ours {
            let _ = unmount(&self.point, UnmountFlags::DETACH);
            let _ = fs::remove_dir(&self.point);
        }
    }
}

/// The cgroup of this process, as the kernel names it.
fn own_path() -> Result<String> {
    let text = fs::read_to_string("/proc/self/cgroup")?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::"));
    Ok(path.context("this kernel has no cgroup v2")?.to_owned())
}

fn move_to(directory: &Path) -> Result<()> {
    let file = directory.join("cgroup.procs");
    fs::write(&file, "0").with_context(|| format!("move to {}", file.display()))
}
