//! The servers of the laboratory, what loads them and a firewall, unpacked below the build directory: installing them
//! would start them, and change the machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{artifacts, proc};

/// A package, and a file by which it is known to be there.
const PACKAGES: [(&str, &str); 9] = [
    ("nginx", "usr/sbin/nginx"),
    ("redis-server", "usr/bin/redis-server"),
    ("haproxy", "usr/sbin/haproxy"),
    ("postgresql-15", "usr/lib/postgresql/15/bin/postgres"),
    (
        "python3-gunicorn",
        "usr/lib/python3/dist-packages/gunicorn/app/wsgiapp.py",
    ),
    (
        "prometheus-node-exporter",
        "usr/bin/prometheus-node-exporter",
    ),
    ("wrk", "usr/bin/wrk"),
    ("apache2-utils", "usr/bin/ab"),
    ("iptables", "usr/sbin/iptables-nft"),
];

/// Those that a VM has, and where the tests look for them there.
const IN_A_VM: [(&str, &str); 5] = [
    ("usr/sbin/nginx", "usr/sbin/nginx"),
    ("usr/sbin/haproxy", "usr/sbin/haproxy"),
    ("usr/bin/redis-server", "usr/bin/redis-server"),
    ("usr/bin/memcached", "usr/bin/memcached"),
    ("usr/bin/unshare", "bin/unshare"),
];

/// Where they are; those that the machine has are not unpacked. Without apt-get nothing is, and the scenarios say what
/// they miss.
pub(super) fn unpacked() -> Result<PathBuf> {
    let lab = artifacts::target_dir()?.join("lab");
    let root = lab.join("root");
    std::fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
    let is_there = |file: &str| root.join(file).exists() || Path::new("/").join(file).exists();
    let missing: Vec<&str> = PACKAGES
        .iter()
        .filter(|(_, file)| !is_there(file))
        .map(|(package, _)| *package)
        .collect();
    if !missing.is_empty() && proc::find("apt-get").is_some() {
        println!("lab: unpacking {}", missing.join(" "));
        unpack(&missing, &lab, &root)?;
    }
    Ok(root)
}

/// What goes into a VM, as (place inside, file here): servers, what starts them, their libraries, and the names of users.
pub(super) fn in_a_vm(root: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut files = BTreeMap::new();
    for (file, place) in IN_A_VM {
        let places = [root.join(file), Path::new("/").join(file)];
        let Some(program) = places.into_iter().find(|path| path.exists()) else {
            println!("lab: the VM lacks {file}, which this machine does not have");
            continue;
        };
        let mut ldd = proc::command("ldd", [&program]);
        ldd.env("LD_LIBRARY_PATH", root.join("usr/lib/x86_64-linux-gnu"));
        for library in libraries(&proc::capture(ldd)?) {
            let name = library.file_name().context("a library has no name")?;
            // The loader is where the program says, the others where the loader looks.
            let place = if library.starts_with("/lib64") {
                Path::new("lib64").join(name)
            } else {
                Path::new("lib/x86_64-linux-gnu").join(name)
            };
            files.insert(place.display().to_string(), library);
        }
        files.insert(place.to_owned(), program);
    }
    for file in ["etc/passwd", "etc/group"] {
        files.insert(file.to_owned(), Path::new("/").join(file));
    }
    Ok(files.into_iter().collect())
}

/// The paths in what ldd prints: `NAME => PATH (ADDRESS)`, or `PATH (ADDRESS)` of the loader.
fn libraries(printed: &str) -> Vec<PathBuf> {
    let words = printed.split_whitespace();
    words
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

/// With what they depend on and the machine lacks.
fn unpack(packages: &[&str], lab: &Path, root: &Path) -> Result<()> {
    // A broken third-party source makes the update fail although Debian's own lists arrived; the download decides.
    if let Err(error) = proc::capture(proc::command("apt-get", ["-qq", "update"])) {
        eprintln!("xtask: {error:#}");
    }
    let simulate = ["--simulate", "--no-install-recommends", "install"];
    let plan = proc::capture(proc::command("apt-get", simulate.iter().chain(packages)))?;
    let archives = lab.join("archives");
    std::fs::create_dir_all(&archives)?;
    // apt's download user cannot reach a build directory below a private home.
    let arguments = ["-qq", "-o", "APT::Sandbox::User=root", "download"];
    let mut download = proc::command("apt-get", arguments);
    download.args(to_install(&plan)).current_dir(&archives);
    proc::capture(download)?;
    for entry in std::fs::read_dir(&archives)? {
        let archive = entry?.path();
        let mut unpack = proc::command("dpkg-deb", ["--extract"]);
        unpack.arg(&archive).arg(root);
        proc::capture(unpack)?;
    }
    std::fs::remove_dir_all(&archives).context("cannot remove the archives")
}

/// `Inst NAME (VERSION …)` is what apt would install, `Inst NAME [OLD] (…)` what it would upgrade.
fn to_install(plan: &str) -> Vec<&str> {
    let lines = plan.lines().filter_map(|line| line.strip_prefix("Inst "));
    lines
        .filter_map(|line| line.split_once(' '))
        .filter(|(_, rest)| rest.starts_with('('))
        .map(|(name, _)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_paths() {
        let printed = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                       \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let expect = [
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(libraries(printed), expect.map(PathBuf::from));
    }

    #[test]
    fn upgrades_are_left_alone() {
        let plan = "Reading package lists...\nInst liblzf1 (3.6-3 Debian:12.15 [amd64])\n\
                    Inst libpq5 [15.18-0] (15.20-0 Debian-Security:12 [amd64])\nInst nginx (1.22.1-9 Debian [amd64])\n\
                    Conf liblzf1 (3.6-3 Debian:12.15 [amd64])\n";
        assert_eq!(to_install(plan), ["liblzf1", "nginx"]);
    }
}
