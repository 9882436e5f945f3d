//! An apt of our own: other suites, other directories, the machine's mirror and Debian's signatures.
//!
//! The machine's apt configuration is read for what concerns the network (a proxy, say) and nothing under its
//! directories is written. One such apt serves one Debian release, so that a release that has left the mirror takes no
//! other down with it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::mirror::{self, Mirror};
use crate::proc;

pub(crate) struct Apt {
    dir: PathBuf,
}

impl Apt {
    /// Prepares the directories and fetches the package lists of `suite` (and its security updates).
    pub(crate) fn for_suite(dir: PathBuf, mirror: &Mirror, suite: &str) -> Result<Self> {
        for sub in ["lists/partial", "cache/archives/partial"] {
            std::fs::create_dir_all(dir.join(sub))
                .with_context(|| format!("cannot make {}", dir.display()))?;
        }
        let keyring = keyring()?;
        let mut sources = format!(
            "deb [signed-by={keyring}] {} {suite} main\n",
            mirror.archive
        );
        if let Some(security) = mirror.security.as_ref().filter(|_| suite != "sid") {
            sources += &format!("deb [signed-by={keyring}] {security} {suite}-security main\n");
        }
        std::fs::write(dir.join("sources.list"), sources)?;
        std::fs::write(dir.join("status"), "")?;
        let apt = Self { dir };
        apt.write_configuration()?;
        if let Err(error) = proc::capture(apt.command("apt-get", &["-qq", "update"])) {
            // One of two archives may have arrived all the same; whether the kernel is in it is asked next.
            eprintln!("xtask: {error:#}");
            if format!("{error:#}").contains("NO_PUBKEY") {
                eprintln!(
                    "xtask: this machine's keyring is too old for {suite}: upgrade debian-archive-keyring"
                );
            }
        }
        Ok(apt)
    }

    /// As [`Self::for_suite`], from where this machine gets its packages.
    pub(crate) fn of_this_machine(dir: PathBuf, suite: &str) -> Result<Self> {
        Self::for_suite(dir, &mirror::of_this_machine()?, suite)
    }

    /// These packages and all that they need on a machine that has none, each with its version.
    pub(crate) fn with_dependencies(&self, packages: &[&str]) -> Result<Vec<(String, String)>> {
        let simulate = ["--simulate", "--no-install-recommends", "install"];
        let plan = proc::capture(self.command("apt-get", &[&simulate, packages].concat()))?;
        Ok(planned(&plan))
    }

    /// The packages that make up the newest cloud kernel.
    ///
    /// They are found from the meta-package: it depends on the image, which since 7.x depends in turn on the packages
    /// that hold the image's and the modules' files.
    pub(crate) fn newest_kernel(&self) -> Result<Vec<String>> {
        let mut found: Vec<String> = Vec::new();
        let mut queue = vec!["linux-image-cloud-amd64".to_owned()];
        while let Some(package) = queue.pop() {
            let show =
                proc::capture(self.command("apt-cache", &["show", "--no-all-versions", &package]));
            let show = show.with_context(|| format!("no {package} in this suite"))?;
            for name in kernel_dependencies(&show) {
                if !found.contains(&name) {
                    queue.push(name.clone());
                    found.push(name);
                }
            }
        }
        if found.is_empty() {
            bail!("linux-image-cloud-amd64 depends on no kernel");
        }
        Ok(found)
    }

    /// Downloads packages into `into`.
    pub(crate) fn download(&self, packages: &[String], into: &Path) -> Result<()> {
        let mut args = vec!["-qq", "download"];
        args.extend(packages.iter().map(String::as_str));
        let mut command = self.command("apt-get", &args);
        command.current_dir(into);
        proc::capture(command).map(drop)
    }

    /// Downloads packages, and leaves what is in them in `into`.
    pub(crate) fn unpack(&self, packages: &[String], into: &Path) -> Result<()> {
        self.download(packages, into)?;
        for entry in std::fs::read_dir(into)? {
            let package = entry?.path();
            if package.extension().is_some_and(|ext| ext == "deb") {
                let mut unpack = proc::command("dpkg-deb", ["-x"]);
                unpack.arg(&package).arg(into);
                proc::capture(unpack)?;
                std::fs::remove_file(package)?;
            }
        }
        Ok(())
    }

    /// Written as a file, so that a person can repeat a failed command from its error message.
    fn write_configuration(&self) -> Result<()> {
        let dir = |sub: &str| self.dir.join(sub).display().to_string();
        let settings = [
            ("Dir::Etc::sourcelist", dir("sources.list")),
            ("Dir::Etc::sourceparts", "/dev/null".into()),
            ("Dir::Etc::preferences", "/dev/null".into()),
            ("Dir::Etc::preferencesparts", "/dev/null".into()),
            ("Dir::State", dir("")),
            ("Dir::State::lists", dir("lists")),
            ("Dir::State::status", dir("status")),
            ("Dir::Cache", dir("cache")),
            ("APT::Architecture", "amd64".into()),
            // apt's download user cannot reach a build directory below a private home.
            ("APT::Sandbox::User", "root".into()),
            ("Acquire::Retries", "2".into()),
            ("Acquire::Languages", "none".into()),
            (
                "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled",
                "false".into(),
            ),
        ];
        let lines = settings.map(|(name, value)| format!("{name} \"{value}\";\n"));
        Ok(std::fs::write(self.configuration(), lines.concat())?)
    }

    fn configuration(&self) -> PathBuf {
        self.dir.join("apt.conf")
    }

    /// `-c` is read after the machine's own configuration, so ours has the last word.
    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = proc::command(program, ["-c"]);
        command.arg(self.configuration()).args(args);
        command
    }
}

fn keyring() -> Result<&'static str> {
    [
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "/usr/share/keyrings/debian-archive-keyring.pgp",
    ]
    .into_iter()
    .find(|path| Path::new(path).exists())
    .context("Debian's archive keyring is missing: install the package debian-archive-keyring")
}

/// Names from `Depends:` that are parts of one kernel: `linux-image-`, `-binary-`, `-modules-` and `-base-` followed
/// by a version, not the meta-packages.
fn kernel_dependencies(show: &str) -> Vec<String> {
    let depends = show
        .lines()
        .find_map(|line| line.strip_prefix("Depends: "))
        .unwrap_or_default();
    let part = |name: &&str| {
        [
            "linux-image-",
            "linux-binary-",
            "linux-modules-",
            "linux-base-",
        ]
        .iter()
        .any(|prefix| {
            name.strip_prefix(prefix)
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        })
    };
    depends
        .split(',')
        .filter_map(|item| item.split_whitespace().next())
        .filter(part)
        .map(str::to_owned)
        .collect()
}

/// `Inst NAME (VERSION …)` is what apt would install.
fn planned(plan: &str) -> Vec<(String, String)> {
    let lines = plan.lines().filter_map(|line| line.strip_prefix("Inst "));
    lines
        .filter_map(|line| {
            let (name, rest) = line.split_once(" (")?;
            let version = rest.split_whitespace().next()?;
            Some((name.to_owned(), version.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_names_packages_and_versions() {
        let plan = "Reading package lists...\nInst libc6 (2.43-7 Debian:unstable [amd64]) []\nConf libc6 (2.43-7)\n";
        assert_eq!(planned(plan), [("libc6".to_owned(), "2.43-7".to_owned())]);
    }

    #[test]
    fn only_the_parts_of_one_kernel_are_followed() {
        let show = "Package: linux-image-7.2.13+deb14-cloud-amd64\nDepends: dracut | linux-initramfs-tool, kmod, \
                    linux-base (>= 4.3~), linux-base-7.2.13+deb14-cloud-amd64 (= 7.2.13-1), \
                    linux-base-cloud-amd64 (= 7.2.13-1), linux-modules-7.2.13+deb14-cloud-amd64 (= 7.2.13-1)\n";
        let expected = [
            "linux-base-7.2.13+deb14-cloud-amd64",
            "linux-modules-7.2.13+deb14-cloud-amd64",
        ];
        assert_eq!(kernel_dependencies(show), expected);
    }
}
