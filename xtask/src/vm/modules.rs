//! Chooses the kernel modules a VM needs and orders them so that each finds its dependencies loaded.
//!
//! The packages carry no modules.dep (depmod writes it at installation), so the dependencies are read where depmod
//! reads them: in the module's own `.modinfo`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::kernel::Kernel;
use crate::proc;

/// What the scenarios use: sock_diag, links between namespaces, and a packet filter to lose packets with.
const WANTED: &[&str] = &[
    "inet_diag",
    "tcp_diag",
    "veth",
    "tun",
    "dummy",
    "nf_conntrack",
    "nf_conntrack_netlink",
    "nf_tables",
    "nft_ct",
    "nft_limit",
    "nft_reject_inet",
    "sch_netem",
];

pub(super) struct Module {
    pub name: String,
    pub bytes: Vec<u8>,
}

pub(super) struct Chosen {
    /// In load order.
    pub modules: Vec<Module>,
    /// Wanted, but neither a module of this kernel nor built into it.
    pub absent: Vec<&'static str>,
}

pub(super) fn choose(kernel: &Kernel) -> Result<Chosen> {
    let mut files = BTreeMap::new();
    index(&kernel.modules_dir.join("kernel"), &mut files)?;
    let builtin =
        std::fs::read_to_string(kernel.modules_dir.join("modules.builtin")).unwrap_or_default();
    let builtin: Vec<String> = builtin
        .lines()
        .map(|line| module_name(Path::new(line)))
        .collect();
    let mut chosen = Chosen {
        modules: Vec::new(),
        absent: Vec::new(),
    };
    for &name in WANTED {
        if files.contains_key(name) {
            add(name, &files, &mut chosen.modules)?;
        } else if !builtin.iter().any(|known| known == name) {
            chosen.absent.push(name);
        }
    }
    Ok(chosen)
}

/// Adds a module after everything it depends on. A dependency without a file is built in.
fn add(name: &str, files: &BTreeMap<String, PathBuf>, modules: &mut Vec<Module>) -> Result<()> {
    let Some(path) = files.get(name) else {
        return Ok(());
    };
    if modules.iter().any(|module| module.name == name) {
        return Ok(());
    }
    let bytes = read(path).with_context(|| format!("cannot read the module {}", path.display()))?;
    for dependency in dependencies(&bytes) {
        add(&dependency, files, modules)?;
    }
    modules.push(Module {
        name: name.to_owned(),
        bytes,
    });
    Ok(())
}

fn index(dir: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            index(&entry.path(), files)?;
        } else {
            files.insert(module_name(&entry.path()), entry.path());
        }
    }
    Ok(())
}

/// `…/nf-tables.ko.xz` is the module `nf_tables`.
fn module_name(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    file.split('.').next().unwrap_or_default().replace('-', "_")
}

fn read(path: &Path) -> Result<Vec<u8>> {
    if path.extension().is_some_and(|ext| ext == "xz") {
        let mut xz = proc::command("xz", ["--decompress", "--stdout"]);
        let output = xz
            .arg(path)
            .output()
            .context("cannot start `xz`; install xz-utils")?;
        anyhow::ensure!(
            output.status.success(),
            "xz failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        return Ok(output.stdout);
    }
    Ok(std::fs::read(path)?)
}

/// `.modinfo` is a run of NUL-terminated `key=value` strings; one is `depends=a,b`.
fn dependencies(module: &[u8]) -> Vec<String> {
    let key = b"\0depends=";
    let Some(at) = module.windows(key.len()).position(|window| window == key) else {
        return Vec::new();
    };
    let value = module[at + key.len()..]
        .split(|&byte| byte == 0)
        .next()
        .unwrap_or_default();
    let value = String::from_utf8_lossy(value);
    value
        .split(',')
        .filter(|name| !name.is_empty())
        .map(|name| name.replace('-', "_"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_come_from_modinfo() {
        assert_eq!(
            dependencies(b"x\0license=GPL\0depends=inet_diag,crc32c-intel\0y"),
            ["inet_diag", "crc32c_intel"]
        );
        assert!(dependencies(b"x\0depends=\0retpoline=Y\0").is_empty());
        assert!(dependencies(b"no modinfo").is_empty());
    }

    #[test]
    fn a_modules_name_has_underscores_and_no_suffix() {
        assert_eq!(
            module_name(Path::new("kernel/a/nf-tables.ko.xz")),
            "nf_tables"
        );
    }
}
