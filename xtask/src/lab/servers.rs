//! The servers of the laboratory, what loads them and a firewall, unpacked below the build directory: installing them
//! would start them, and change the machine.

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
    fn upgrades_are_left_alone() {
        let plan = "Reading package lists...\nInst liblzf1 (3.6-3 Debian:12.15 [amd64])\n\
                    Inst libpq5 [15.18-0] (15.20-0 Debian-Security:12 [amd64])\nInst nginx (1.22.1-9 Debian [amd64])\n\
                    Conf liblzf1 (3.6-3 Debian:12.15 [amd64])\n";
        assert_eq!(to_install(plan), ["liblzf1", "nginx"]);
    }
}
