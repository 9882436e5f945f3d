//! Who has started a process, or has taken it over: from a pid to its parent.
//!
//! In: a pid. Out: the number and the name of its parent. It remembers nothing.

use rustix::fs::CWD;

use super::procfs::{number, read_small};
use crate::model::owner::Parent;

/// `None` where there is none in this PID namespace, or it cannot be read.
pub fn parent(pid: u32) -> Option<Parent> {
    let mut text = Vec::with_capacity(1024);
    read_small(CWD, format!("/proc/{pid}/stat"), &mut text).ok()?;
    let its = parent_of(&text)?;
    read_small(CWD, format!("/proc/{its}/comm"), &mut text).ok()?;
    Some(Parent {
        of: pid,
        pid: its,
        comm: String::from_utf8_lossy(text.trim_ascii_end()).into_owned(),
    })
}

/// Field 4 of /proc/PID/stat; 0 is nobody (fs/proc/array.c:do_task_stat, 5.10 to 7.2).
fn parent_of(stat: &[u8]) -> Option<u32> {
    let close = stat.iter().rposition(|b| *b == b')')?;
    let mut fields = stat.get(close + 2..)?.split(u8::is_ascii_whitespace);
    number(fields.nth(1)?).filter(|pid| *pid > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_line_of_stat() {
        assert_eq!(parent_of(b"7 (a) b) S 12 7 7 0"), Some(12));
        assert_eq!(parent_of(b"1 (init) S 0 1 1 0"), None);
        assert_eq!(parent_of(b"7 (a"), None);
    }

    #[test]
    fn of_this_process() {
        let its = parent(std::process::id()).expect("somebody started it");
        assert_eq!(its.pid, std::os::unix::process::parent_id());
        assert!(!its.comm.is_empty());
        // PIDs end at 2^22 (include/linux/threads.h:PID_MAX_LIMIT, 5.10 to 7.2).
        assert_eq!(parent(1 << 23), None);
    }
}
