//! What a cgroup holds its processes up with: from a path to throttling, freezing and memory stalls.
//!
//! In: where cgroup2 is mounted and a path in it. Out: the counters of that cgroup and of those above it, as the kernel
//! has them now. A file that is not there (controller off, no PSI) is `None`.

use std::fs;
use std::path::Path;

use crate::model::stall::Stall;

/// What a cgroup's files say of processes that had to wait (cpu.stat, memory.pressure, memory.events, cgroup.events).
pub fn stall(mount: &Path, path: &str) -> Stall {
    let directory = mount.join(path.trim_start_matches('/'));
    let read = |name: &str| fs::read_to_string(directory.join(name)).ok();
    let above = directory
        .ancestors()
        .take_while(|above| above.starts_with(mount));
    let throttled = above
        .filter_map(|above| {
            let text = fs::read_to_string(above.join("cpu.stat")).ok()?;
            Some((word(&text, "throttled_usec")?, word(&text, "nr_throttled")?))
        })
        .max();
    Stall {
        throttled,
        is_frozen: read("cgroup.events").and_then(|text| Some(word(&text, "frozen")? == 1)),
        memory_stalled_us: read("memory.pressure").and_then(|text| some_total(&text)),
        memory_high: read("memory.events").and_then(|text| word(&text, "high")),
    }
}

/// The number after a name at the beginning of a line.
fn word(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (known, value) = line.split_once(' ')?;
        (known == name).then(|| value.trim().parse().ok())?
    })
}

fn some_total(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    let total = line
        .split(' ')
        .find_map(|word| word.strip_prefix("total="))?;
    total.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files() {
        let cpu = "usage_usec 5\nnr_periods 3\nnr_throttled 2\nthrottled_usec 150\n";
        assert_eq!(word(cpu, "throttled_usec"), Some(150));
        assert_eq!(word(cpu, "nr_bursts"), None);
        let psi = "some avg10=0.00 avg60=0.00 avg300=0.00 total=42\nfull avg10=0.00 total=1\n";
        assert_eq!(some_total(psi), Some(42));
        assert_eq!(some_total("full total=1\n"), None);
        assert_eq!(word("frozen\n", "frozen"), None);
    }

    #[test]
    fn a_cgroup_that_is_not_there_says_nothing() {
        let found = stall(Path::new("/nowhere"), "/a/b");
        assert_eq!(found, Stall::default());
    }
}
