//! Builds the eBPF object and hands its path to the crate as `WHYDROP_OBJECT`.
//!
//! Where the object comes from, in this order:
//! 1. `WHYDROP_BPF_OBJECT`: a ready object;
//! 2. a distribution's rustc that ships a prebuilt core for BPF (Debian:
//!    `rustc-web` and `libstd-rust-web-dev-bpf`), or the one in `WHYDROP_BPF_RUSTC`;
//! 3. rustup's nightly with `rust-src`, building core itself.
//!
//! What is missing is said in one sentence; `cargo xtask setup` installs it on Debian.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, exit},
};

const TARGET: &str = "bpfel-unknown-none";

fn main() {
    println!("cargo::rerun-if-env-changed=WHYDROP_BPF_OBJECT");
    println!("cargo::rerun-if-env-changed=WHYDROP_BPF_RUSTC");
    let out = PathBuf::from(var("OUT_DIR"));
    let root = PathBuf::from(var("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(
            || fail("probe-user has no parent folder"),
            Path::to_path_buf,
        );
    for path in ["probe-ebpf", "probe-common", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }
    let object = match env::var_os("WHYDROP_BPF_OBJECT") {
        Some(ready) => PathBuf::from(ready),
        None => build(&root, &out),
    };
    // A copy of our own: its path stays valid however the object was made.
    let copy = out.join("whydrop.bpf.o");
    if let Err(error) = fs::copy(&object, &copy) {
        fail(&format!(
            "cannot read the eBPF object {}: {error}",
            object.display()
        ));
    }
    strip(&copy);
    println!("cargo::rustc-env=WHYDROP_OBJECT={}", copy.display());
}

/// Takes out the DWARF, two megabytes that only the linker needed to make BTF, and the lines of the source, which would be in memory
/// for each program: the verifier is quoted without them.
/// Where there is no llvm-strip the object is larger, nothing else.
fn strip(object: &Path) {
    for program in [
        "llvm-strip",
        "llvm-strip-22",
        "/usr/lib/llvm-22/bin/llvm-strip",
    ] {
        let stripped = Command::new(program)
            .args([
                "--strip-debug",
                "--remove-section=.BTF.ext",
                "--remove-section=.rel.BTF.ext",
            ])
            .arg(object)
            .output()
            .is_ok_and(|output| output.status.success());
        if stripped {
            return;
        }
    }
}

enum Toolchain {
    /// A rustc with a prebuilt core for BPF.
    Prebuilt(PathBuf),
    /// rustup's nightly with rust-src.
    Nightly,
}

fn build(root: &Path, out: &Path) -> PathBuf {
    if !runs("bpf-linker", &["--version"]) {
        fail("bpf-linker is missing; run `cargo xtask setup`, or `cargo install bpf-linker`");
    }
    let toolchain = find_toolchain();
    let target_dir = out.join("ebpf");
    let mut cargo;
    match &toolchain {
        Toolchain::Prebuilt(rustc) => {
            cargo = Command::new(var("CARGO"));
            // Both need `asm_experimental_arch`, and nothing else of the unstable language.
            cargo
                .env("RUSTC", rustc)
                .env("RUSTC_BOOTSTRAP", "aya_ebpf,probe_ebpf");
        }
        Toolchain::Nightly => {
            cargo = Command::new("rustup");
            cargo
                .args(["run", "nightly", "cargo"])
                .env_remove("RUSTC")
                .env_remove("RUSTUP_TOOLCHAIN");
        }
    }
    cargo.arg("build");
    if matches!(toolchain, Toolchain::Nightly) {
        cargo.arg("-Zbuild-std=core");
    }
    cargo
        .args([
            "--release",
            "--package",
            "probe-ebpf",
            "--bin",
            "probe-ebpf",
        ])
        .args(["--target", TARGET])
        .arg("--target-dir")
        .arg(&target_dir)
        .arg("--manifest-path")
        .arg(root.join("Cargo.toml"));
    if env::var_os("CARGO_FEATURE_LOG").is_some() {
        cargo.args(["--features", "log"]);
    }
    let arch = var("CARGO_CFG_TARGET_ARCH");
    let flags = [
        &format!("--cfg=bpf_target_arch=\"{arch}\""),
        "-Cdebuginfo=2",
        "-Clink-arg=--btf",
    ];
    cargo
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env_remove("RUSTC_WRAPPER")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("CARGO_BUILD_TARGET");
    match cargo.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => fail(&format!(
            "building the eBPF object failed:\n{}",
            String::from_utf8_lossy(&output.stderr)
        )),
        Err(error) => fail(&format!("cannot run cargo for the eBPF object: {error}")),
    }
    target_dir.join(TARGET).join("release").join("probe-ebpf")
}

fn find_toolchain() -> Toolchain {
    if let Some(rustc) = env::var_os("WHYDROP_BPF_RUSTC") {
        return Toolchain::Prebuilt(rustc.into());
    }
    let distribution = PathBuf::from("/usr/bin/rustc");
    if has_core(&distribution, TARGET) {
        return Toolchain::Prebuilt(distribution);
    }
    let nightly_sources = Command::new("rustup")
        .args(["run", "nightly", "rustc", "--print", "sysroot"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
        .is_some_and(|root| root.join("lib/rustlib/src/rust/library/core").is_dir());
    if nightly_sources {
        return Toolchain::Nightly;
    }
    fail(
        "no Rust toolchain for BPF: run `cargo xtask setup` (on Debian it installs rustc-web and \
         libstd-rust-web-dev-bpf), or `rustup toolchain install nightly --component rust-src`, or \
         name a ready object in WHYDROP_BPF_OBJECT",
    )
}

/// Whether this rustc has a prebuilt core for `target`.
fn has_core(rustc: &Path, target: &str) -> bool {
    let Ok(output) = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", target])
        .output()
    else {
        return false;
    };
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    fs::read_dir(folder).is_ok_and(|entries| {
        entries
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
    })
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .output()
        .is_ok_and(|output| output.status.success())
}

fn var(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| fail(&format!("cargo did not set {name}")))
}

fn fail(message: &str) -> ! {
    for line in message.lines() {
        println!("cargo::error={line}");
    }
    exit(1)
}
