//! The table in docs/kernels.md: what whydrop can tell, by cause, kernel and tier. The scenarios find it out, nobody
//! types it.
//!
//! A run of all scenarios leaves its findings below the build directory, a file for each kernel. `cargo xtask table`
//! makes columns of them and puts them into the document; `cargo xtask test` fails where the document differs. A column
//! of a kernel that did not run, such as that of another machine, is left alone by both.

mod column;
pub(crate) mod finding;
mod markdown;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use crate::vm::series;
use crate::{artifacts, proc};
use column::Column;
use finding::Findings;
use markdown::Table;

const DOCUMENT: &str = "docs/kernels.md";

/// Where scenarios ran.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    Here,
    /// A kernel of the VM matrix.
    Vm(&'static str),
}

/// What one kernel came to, here and in a VM taken together.
#[derive(Debug, Default)]
struct Found {
    findings: Findings,
    in_vm: bool,
}

/// `cargo xtask table`: puts the columns of the last whole runs into the document.
pub(crate) fn update() -> Result<()> {
    say_what_is_missing()?;
    let found = found()?;
    let (path, document) = document()?;
    let read = || format!("cannot read the table in {DOCUMENT}");
    let mut table = Table::of_document(&document).with_context(read)?;
    for (kernel, found) in &found {
        if found.in_vm {
            table.remove_kernel(kernel);
        }
        table.put(Column::of(kernel, &found.findings));
    }
    let changed = table.placed_in(&document).with_context(read)?;
    if changed == document {
        println!("{DOCUMENT} is up to date");
    } else {
        std::fs::write(&path, changed).with_context(|| format!("cannot write {DOCUMENT}"))?;
        println!("{DOCUMENT} is changed");
    }
    Ok(())
}

fn say_what_is_missing() -> Result<()> {
    for series in series::names() {
        if !path(Place::Vm(series))?.exists() {
            println!(
                "{series}: no findings, its column stays as it is; `cargo xtask vm {series}` makes them"
            );
        }
    }
    if !path(Place::Here)?.exists() {
        println!("this kernel: no findings; `cargo xtask test --quick` makes them");
    }
    Ok(())
}

/// Fails where the document says something else than the last whole runs.
pub(crate) fn check() -> Result<()> {
    let (_, document) = document()?;
    let table = Table::of_document(&document)
        .with_context(|| format!("cannot read the table in {DOCUMENT}"))?;
    let mut differences = Vec::new();
    for (kernel, found) in found()? {
        let column = Column::of(&kernel, &found.findings);
        if table.has(&column.header) {
            differences.extend(table.differences(&column));
        } else {
            println!("{DOCUMENT} has no column {}: not compared", column.header);
        }
    }
    if !differences.is_empty() {
        bail!(
            "{DOCUMENT} differs from what the scenarios found; run `cargo xtask table` and commit it, if this is \
             what you want:\n  {}",
            differences.join("\n  ")
        );
    }
    Ok(())
}

/// Before a run that is to make them all anew.
pub(crate) fn forget() -> Result<()> {
    let dir = dir()?;
    if dir.exists() {
        std::fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))
    } else {
        Ok(())
    }
}

/// Keeps what all scenarios found at one place; `None`, of a run that failed, leaves nothing there.
pub(crate) fn keep(place: Place, findings: Option<&Findings>) -> Result<()> {
    let path = path(place)?;
    let Some(findings) = findings else {
        let _ = std::fs::remove_file(&path);
        return Ok(());
    };
    std::fs::create_dir_all(dir()?)
        .and_then(|()| std::fs::write(&path, findings.to_string()))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// What is kept, by kernel. Both places count where this kernel is one of the VM matrix.
fn found() -> Result<BTreeMap<String, Found>> {
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    for place in series::names().map(Place::Vm).chain([Place::Here]) {
        let path = path(place)?;
        if !path.exists() {
            continue;
        }
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let mut findings = Findings::read(&text)?;
        let in_vm = matches!(place, Place::Vm(_));
        if !in_vm {
            findings = of_main_tier(findings);
        }
        let kernel = found.entry(place.kernel()?).or_default();
        kernel.findings.merge(findings);
        kernel.in_vm |= in_vm;
    }
    ensure!(
        !found.is_empty(),
        "no run of all scenarios has left its findings; `cargo xtask test` does"
    );
    Ok(found)
}

/// Here whydrop chooses its tier; a few scenarios force another, which makes no column.
fn of_main_tier(findings: Findings) -> Findings {
    let tiers = findings.tiers().into_iter();
    match tiers.max_by_key(|(_, rows)| *rows) {
        Some((tier, _)) => findings.only(tier),
        None => findings,
    }
}

impl Place {
    fn kernel(self) -> Result<String> {
        match self {
            Self::Vm(series) => Ok(series.to_owned()),
            Self::Here => {
                let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")
                    .context("cannot read the release of this kernel")?;
                Ok(series_of(&release))
            }
        }
    }
}

/// `6.18` of `6.18.44-cloud`, `7.2` of `7.2-rc1`.
fn series_of(release: &str) -> String {
    let mut numbers = release.trim().split(|c: char| !c.is_ascii_digit());
    let [major, minor] = [numbers.next(), numbers.next()].map(Option::unwrap_or_default);
    format!("{major}.{minor}")
}

fn path(place: Place) -> Result<PathBuf> {
    let kernel = place.kernel()?;
    Ok(dir()?.join(match place {
        Place::Here => format!("here-{kernel}.log"),
        Place::Vm(_) => format!("vm-{kernel}.log"),
    }))
}

fn dir() -> Result<PathBuf> {
    Ok(artifacts::target_dir()?.join("table"))
}

fn document() -> Result<(PathBuf, String)> {
    let path = proc::root().join(DOCUMENT);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {DOCUMENT}"))?;
    Ok((path, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_the_first_two_numbers_of_a_release() {
        assert_eq!(series_of("6.18.44-cloud\n"), "6.18");
        assert_eq!(series_of("7.2-rc1"), "7.2");
    }

    #[test]
    fn here_only_the_tier_with_most_rows_counts() {
        let lines = "TABLE cgroup overflow ack a exact\nTABLE trampoline overflow ack a exact\n\
                     TABLE trampoline overflow syn a exact\n";
        let kept = of_main_tier(Findings::read(lines).unwrap()).to_string();
        assert!(
            !kept.contains("cgroup") && kept.lines().count() == 2,
            "{kept}"
        );
    }
}
