//! Other tracers, as Debian packages them, with what they need to run in a VM that has nothing else: their own linker and
//! libraries. They are unpacked below the build directory, once; delete the directory to get the newest.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::vm::Apt;
use crate::{artifacts, proc};

/// The newest of them are here.
const SUITE: &str = "sid";
const PACKAGES: [&str; 2] = ["bpftrace", "libbpf-tools"];
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
const LINKER: &str = "ld-linux-x86-64.so.2";
/// Programs, which name their libraries, and scripts.
const PROGRAMS: [&str; 2] = ["usr/bin/bpftrace", "usr/sbin/tcpsynbl-libbpf"];
const SCRIPTS: [&str; 3] = [
    "usr/sbin/tcpsynbl.bt",
    "usr/sbin/tcpdrop.bt",
    "usr/sbin/tcpretrans.bt",
];
/// Ours, in the repository.
const OWN_SCRIPTS: [&str; 2] = ["drops-fentry.bt", "drops-kprobe.bt"];

#[derive(Default)]
pub(super) struct Peers {
    /// (place inside, file here)
    pub files: Vec<(String, PathBuf)>,
    /// Name and version.
    pub versions: Vec<String>,
}

pub(super) fn get() -> Result<Peers> {
    let dir = artifacts::target_dir()?.join("vm").join("peers");
    if !dir.exists() {
        fetch(&dir)?;
    }
    let hint = || format!("delete {} to fetch other tracers again", dir.display());
    let versions = std::fs::read_to_string(dir.join("versions")).with_context(hint)?;
    Ok(Peers {
        files: files(&dir).with_context(hint)?,
        versions: versions.lines().map(str::to_owned).collect(),
    })
}

fn fetch(dir: &Path) -> Result<()> {
    println!("fetching {} of {SUITE}", PACKAGES.join(" and "));
    let apt = Apt::of_this_machine(dir.with_file_name("apt").join("peers"), SUITE)?;
    let packages = apt.with_dependencies(&PACKAGES)?;
    let partial = dir.with_extension("partial");
    if partial.exists() {
        std::fs::remove_dir_all(&partial)?;
    }
    std::fs::create_dir_all(&partial)?;
    let names: Vec<String> = packages.iter().map(|(name, _)| name.clone()).collect();
    apt.unpack(&names, &partial)?;
    let versions = packages
        .iter()
        .filter(|(name, _)| PACKAGES.contains(&name.as_str()))
        .map(|(name, version)| format!("{name} {version}\n"));
    std::fs::write(partial.join("versions"), versions.collect::<String>())?;
    std::fs::rename(&partial, dir).with_context(|| format!("cannot make {}", dir.display()))
}

fn files(root: &Path) -> Result<Vec<(String, PathBuf)>> {
    let libraries = root.join(LIBRARIES);
    let linker = libraries.join(LINKER);
    let mut files = vec![linker.clone()];
    for program in PROGRAMS {
        let mut list = proc::command(&linker.display().to_string(), ["--library-path"]);
        list.arg(&libraries).arg("--list").arg(root.join(program));
        for library in libraries_of(&proc::capture(list)?) {
            if !files.contains(&library) {
                files.push(library);
            }
        }
    }
    files.extend(PROGRAMS.iter().chain(&SCRIPTS).map(|name| root.join(name)));
    let mut places = Vec::new();
    for file in files {
        let inside = file.strip_prefix(root).with_context(|| {
            format!("{} is not of the packages: one is missing", file.display())
        })?;
        places.push((format!("peers/{}", inside.display()), file.clone()));
    }
    let own = proc::root().join("xtask/src/bench");
    places.extend(OWN_SCRIPTS.map(|name| (format!("peers/{name}"), own.join(name))));
    Ok(places)
}

/// The linker's `NAME => FILE (ADDRESS)`.
fn libraries_of(list: &str) -> Vec<PathBuf> {
    list.lines()
        .filter_map(|line| line.split_once(" => "))
        .filter_map(|(_, rest)| rest.split_whitespace().next())
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_what_an_arrow_points_at() {
        let list = "\tlinux-vdso.so.1 (0x00007ffc)\n\tlibbpf.so.1 => /r/lib/libbpf.so.1 (0x00007f)\n\
                    \t/r/lib/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert_eq!(libraries_of(list), [PathBuf::from("/r/lib/libbpf.so.1")]);
    }
}
