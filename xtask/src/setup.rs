//! Makes the machine able to build and test whydrop.
//!
//! On Debian, as root, missing packages are installed with apt-get; when nothing is missing nothing is touched and
//! nothing is printed. Elsewhere it only looks, and says in one sentence per missing piece what to do.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::{bpf_linker, proc};

/// How much of the machine a command is about to use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Build,
    BuildAndVms,
    Lab,
}

/// rustc-web with its BPF core compiles the kernel side, and rust-web-clippy, which is of the same version, looks at it; LLVM
/// and friends build bpf-linker; gcc links the user side; valgrind counts its instructions.
const BUILD_PACKAGES: &[&str] = &[
    "rustc-web",
    "libstd-rust-web-dev-bpf",
    "rust-web-clippy",
    "llvm-22-dev",
    "libpolly-22-dev",
    "zlib1g-dev",
    "libzstd-dev",
    "libxml2-dev",
    "gcc",
    "libc6-dev",
    "valgrind",
];

/// QEMU and its firmware run the VMs; xz unpacks the modules of newer kernels; the keyring vouches for the kernels.
const VM_PACKAGES: &[&str] = &[
    "qemu-system-x86",
    "seabios",
    "xz-utils",
    "debian-archive-keyring",
];

/// Those servers of the laboratory that start nothing when they are installed; lab/servers.rs unpacks the others.
const LAB_PACKAGES: &[&str] = &["nodejs", "openjdk-17-jdk-headless", "python3"];

pub(crate) fn run(needs: Needs) -> Result<()> {
    rustup_components()?;
    let packages: Vec<&str> = match needs {
        Needs::Build => BUILD_PACKAGES.to_vec(),
        Needs::BuildAndVms => [BUILD_PACKAGES, VM_PACKAGES].concat(),
        Needs::Lab => [BUILD_PACKAGES, LAB_PACKAGES].concat(),
    };
    if !is_debian() {
        return elsewhere(needs);
    }
    let missing = missing(&packages)?;
    if !missing.is_empty() {
        if !proc::is_root() {
            bail!(
                "these packages are missing: {list}. Run this as root, or once: apt-get update && apt-get install {list}",
                list = missing.join(" ")
            );
        }
        install(&missing)?;
    }
    bpf_linker::ensure()
}

fn rustup_components() -> Result<()> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if proc::capture(proc::cargo([subcommand, "--version"])).is_err() {
            bail!("`cargo {subcommand}` is missing: run `rustup component add {component}`");
        }
    }
    Ok(())
}

fn is_debian() -> bool {
    let os_release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    os_release
        .lines()
        .any(|line| matches!(line, "ID=debian" | "ID=\"debian\""))
        && proc::find("apt-get").is_some()
}

fn missing<'a>(packages: &[&'a str]) -> Result<Vec<&'a str>> {
    let mut query = proc::command(
        "dpkg-query",
        ["-W", "-f", "${db:Status-Status} ${Package}\n"],
    );
    // dpkg-query exits with 1 when it does not know one of the names, which is just what is asked here.
    let output = query
        .args(packages)
        .output()
        .context("cannot start dpkg-query")?;
    let known = String::from_utf8_lossy(&output.stdout);
    let installed = |name: &str| {
        known
            .lines()
            .any(|line| line.strip_prefix("installed ") == Some(name))
    };
    Ok(packages
        .iter()
        .copied()
        .filter(|name| !installed(name))
        .collect())
}

fn install(packages: &[&str]) -> Result<()> {
    println!("setup: installing {}", packages.join(" "));
    let apt = |args: &[&str]| {
        let mut command = proc::command("apt-get", ["-qq", "-o", "DPkg::Lock::Timeout=300"]);
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
        proc::capture(command)
    };
    // A broken third-party source makes the update fail although Debian's own lists arrived; the installation decides.
    let updated = apt(&["update"]);
    let mut args = vec!["install", "--yes", "--no-install-recommends"];
    args.extend(packages);
    if let Err(error) = apt(&args) {
        if let Err(update_error) = updated {
            eprintln!("xtask: {update_error:#}");
        }
        return Err(error.context(
            "installing packages failed. rustc-web and LLVM 22 come from Debian 12's main and security archives; \
             check that both are among the machine's apt sources",
        ));
    }
    Ok(())
}

/// Without apt there is nothing we could install, but a machine prepared by hand is welcome.
fn elsewhere(needs: Needs) -> Result<()> {
    let mut advice = Vec::new();
    if !bpf_linker::is_there() {
        advice.push(format!(
            "bpf-linker {version} is missing: install LLVM 22 with its headers, then run `{install}` with LLVM_PREFIX \
             set to LLVM's directory.",
            version = bpf_linker::VERSION,
            install = bpf_linker::INSTALL_COMMAND,
        ));
    }
    // The variables by which probe-user/build.rs is told to use something else.
    let told = ["WHYDROP_BPF_OBJECT", "WHYDROP_BPF_RUSTC"]
        .iter()
        .any(|name| std::env::var_os(name).is_some());
    if !told
        && !nightly_has_rust_src()
        && !Path::new("/usr/lib/rustlib/bpfel-unknown-none").exists()
    {
        advice.push(
            "A compiler for BPF is missing: run `rustup toolchain install nightly --component rust-src`.".to_owned(),
        );
    }
    if needs == Needs::BuildAndVms {
        for (program, what) in [
            ("qemu-system-x86_64", "QEMU for x86-64 with SeaBIOS"),
            ("xz", "xz"),
            ("dpkg-deb", "dpkg"),
            (
                "apt-get",
                "apt with Debian's archive keyring and sources (the VM kernels come through it)",
            ),
        ] {
            if proc::find(program).is_none() {
                advice.push(format!("`{program}` is missing: install {what}."));
            }
        }
    }
    if advice.is_empty() {
        return Ok(());
    }
    bail!(
        "this is not Debian, so set-up installs nothing itself.\n{}",
        advice.join("\n")
    )
}

fn nightly_has_rust_src() -> bool {
    proc::capture(proc::command(
        "rustup",
        ["run", "nightly", "rustc", "--print", "sysroot"],
    ))
    .is_ok_and(|sysroot| {
        Path::new(sysroot.trim())
            .join("lib/rustlib/src/rust/library/core")
            .exists()
    })
}
