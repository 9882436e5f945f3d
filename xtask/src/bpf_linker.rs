//! The linker of the kernel side: is the right one there, and if not, build it.
//!
//! bpf-linker must understand the LLVM bitcode of the compiler that feeds it, so version and LLVM are pinned together:
//! 0.13 with LLVM 22, which is what rustc 1.96 writes.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::proc;

pub(crate) const VERSION: &str = "0.13.0";
pub(crate) const INSTALL_COMMAND: &str =
    "cargo install bpf-linker --version 0.13.0 --locked --no-default-features --features llvm-22";
const LLVM_PREFIX: &str = "/usr/lib/llvm-22";

pub(crate) fn is_there() -> bool {
    let minor = VERSION.rsplit_once('.').map_or(VERSION, |(minor, _)| minor);
    proc::capture(proc::command("bpf-linker", ["--version"])).is_ok_and(|line| {
        line.split_whitespace()
            .nth(1)
            .is_some_and(|found| found.starts_with(minor))
    })
}

pub(crate) fn ensure() -> Result<()> {
    if is_there() {
        return Ok(());
    }
    if !Path::new(LLVM_PREFIX).exists() {
        bail!(
            "LLVM 22 is not at {LLVM_PREFIX} although llvm-22-dev is installed; reinstall that package"
        );
    }
    println!("setup: building bpf-linker {VERSION} (about a minute)");
    let mut install = proc::cargo(INSTALL_COMMAND.split(' ').skip(1));
    // --force replaces an older version. Our own target directory and flags must not leak into another project's build.
    install
        .arg("--force")
        .env("LLVM_PREFIX", LLVM_PREFIX)
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("RUSTFLAGS");
    proc::capture(install).context("building bpf-linker failed")?;
    if !is_there() {
        bail!(
            "bpf-linker was installed but is not in PATH; add cargo's bin directory (usually ~/.cargo/bin) to PATH"
        );
    }
    Ok(())
}
