//! Lints of the kernel side, which compiles for the BPF target only.
//!
//! The compiler that has a core library for it is the distribution's (probe-user/build.rs), and clippy must be of the same
//! version as the compiler: rustup's reads no core that another one has made.

use std::path::Path;

use anyhow::Result;

use crate::{artifacts, proc};

const TARGET: &str = "bpfel-unknown-none";
const RUSTC: &str = "/usr/bin/rustc";
const CLIPPY: &str = "/usr/bin/cargo-clippy";

pub(crate) fn lint() -> Result<()> {
    if [RUSTC, CLIPPY].iter().any(|path| !Path::new(path).exists()) {
        println!("left out: {CLIPPY} is not here (on Debian `cargo xtask setup` installs it)");
        return Ok(());
    }
    let mut clippy = proc::command(
        CLIPPY,
        ["clippy", "--quiet", "--release", "--package", "probe-ebpf"],
    );
    clippy
        .args(["--bin", "probe-ebpf", "--target", TARGET, "--target-dir"])
        .arg(artifacts::target_dir()?.join("clippy"))
        .args(["--", "-D", "warnings"])
        // As probe-user/build.rs has it, but for what only the linker needs.
        .env("RUSTC", RUSTC)
        .env("RUSTC_BOOTSTRAP", "aya_ebpf,probe_ebpf")
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            format!("--cfg=bpf_target_arch=\"{}\"", std::env::consts::ARCH),
        )
        .env_remove("RUSTC_WRAPPER")
        .env_remove("CARGO_BUILD_TARGET");
    proc::run(clippy)
}
