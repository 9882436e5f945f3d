//! How each kernel of the matrix comes to lie unpacked under the build directory.
//!
//! A kernel is fetched once; as long as its directory exists no network is needed. Delete that directory to get the
//! newest of its series again.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::apt::Apt;
use super::series::Series;

/// An unpacked kernel.
#[derive(Clone)]
pub(crate) struct Kernel {
    pub series: &'static Series,
    pub image: PathBuf,
    /// `…/lib/modules/RELEASE`
    pub modules_dir: PathBuf,
}

impl Series {
    pub(crate) fn get(&'static self, vm_dir: &Path) -> Result<Kernel> {
        let dir = vm_dir.join("kernels").join(self.name);
        if !dir.exists() {
            self.fetch(vm_dir, &dir)?;
        }
        self.locate(&dir)
            .with_context(|| format!("delete {} to fetch this kernel again", dir.display()))
    }

    fn fetch(&self, vm_dir: &Path, dir: &Path) -> Result<()> {
        println!(
            "{:<5} fetching the newest cloud kernel of {}",
            self.name, self.suite
        );
        let apt = Apt::of_this_machine(vm_dir.join("apt").join(self.name), self.suite)?;
        let packages = apt.newest_kernel()?;
        // Only a complete directory gets the final name, so an interrupted download is not taken for a kernel.
        let partial = dir.with_extension("partial");
        if partial.exists() {
            std::fs::remove_dir_all(&partial)?;
        }
        std::fs::create_dir_all(&partial)?;
        apt.unpack(&packages, &partial)?;
        std::fs::rename(&partial, dir).with_context(|| format!("cannot make {}", dir.display()))
    }

    /// The image is in `boot` up to 6.x and beside the modules since 7.x; modules moved from `lib` to `usr/lib`.
    fn locate(&'static self, dir: &Path) -> Result<Kernel> {
        let modules_dir = ["lib/modules", "usr/lib/modules"]
            .iter()
            .find_map(|sub| entries(&dir.join(sub)).ok()?.into_iter().next())
            .with_context(|| format!("no modules under {}", dir.display()))?;
        let is_image = |path: &PathBuf| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz"))
        };
        let boot = entries(&dir.join("boot")).unwrap_or_default();
        let Some(image) = boot
            .into_iter()
            .chain(entries(&modules_dir)?)
            .find(is_image)
        else {
            bail!("no kernel image under {}", dir.display());
        };
        Ok(Kernel {
            series: self,
            image,
            modules_dir,
        })
    }
}

impl Kernel {
    pub(crate) fn release(&self) -> String {
        self.modules_dir
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let read = std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut paths = read
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}
