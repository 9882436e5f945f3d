//! When a scenario may pass without having proven anything: on a kernel that is older than what it needs, and where a tier has
//! no hook for it. It says so in a line that xtask counts. Whatever else is missing is a failure, or nobody would notice.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::log::say;

/// The scenario passes, and says that it has proven nothing.
pub fn skip(why: &str) -> Result<()> {
    say(format_args!("SKIPPED: {why}"))
}

/// The same of one part of a scenario, which proves the others.
pub fn skip_part(part: &str, why: &str) -> Result<()> {
    say(format_args!("SKIPPED in part: {part}: {why}"))
}

/// Whether the running kernel is older than this one.
pub fn is_before(major: u32, minor: u32) -> Result<bool> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(version(&release)? < (major, minor))
}

/// Why a scenario may be skipped that needs what this kernel turns out not to have, which others have from this version on. Of
/// one that is not older it is an error.
pub fn lacks(what: &str, (major, minor): (u32, u32)) -> Result<String> {
    ensure!(
        is_before(major, minor)?,
        "this kernel has no {what}, which scenarios need and kernels have from {major}.{minor} on: it may be built without"
    );
    Ok(format!("this kernel has no {what}"))
}

/// Whether a readiness line or an answer says that it tells nothing of what only a hook inside of the kernel's functions sees.
/// The tier `cgroup` alone has no such hook: no other may say so.
pub fn is_hidden(line: &Value, list: &str, what: &str) -> Result<bool> {
    let named = line[list]
        .as_array()
        .with_context(|| format!("no {list} in {line}"))?;
    let is_hidden = named.iter().any(|name| name == what);
    ensure!(
        !is_hidden || line["tier"] == "cgroup",
        "{what} is hidden on the tier {}, which has a hook for it",
        line["tier"]
    );
    Ok(is_hidden)
}

/// `(6, 18)` of `6.18.44-cloud`, `(7, 2)` of `7.2-rc1`.
fn version(release: &str) -> Result<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut number = || {
        numbers
            .next()
            .and_then(|digits| digits.parse().ok())
            .with_context(|| format!("{release:?} is no release of a kernel"))
    };
    Ok((number()?, number()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_version_is_the_first_two_numbers_of_a_release() {
        assert_eq!(version("6.18.44-cloud\n").unwrap(), (6, 18));
        assert_eq!(version("7.2-rc1").unwrap(), (7, 2));
        assert!(version("next-20260101").is_err());
        assert!(version("7").is_err());
    }

    #[test]
    fn only_an_older_kernel_may_lack_something() {
        assert!(lacks("TCP", (1, 0)).is_err());
        assert!(lacks("carrier pigeons", (u32::MAX, 0)).is_ok());
    }

    #[test]
    fn only_the_cgroup_tier_may_hide_something() {
        let line = |tier: &str| json!({"tier": tier, "blind": ["accept-wait"]});
        assert!(is_hidden(&line("cgroup"), "blind", "accept-wait").unwrap());
        assert!(!is_hidden(&line("kprobe"), "blind", "icmp-error").unwrap());
        assert!(is_hidden(&line("kprobe"), "blind", "accept-wait").is_err());
        assert!(is_hidden(&json!({"tier": "cgroup"}), "blind", "accept-wait").is_err());
    }
}
