//! Whether this process has a controlling terminal: the kernel takes it from every process of the session before it tells of a
//! hangup (drivers/tty/tty_jobctrl.c:tty_signal_session_leader, 5.10 to 7.2).
//!
//! In: nothing. Out: yes or no, or that it cannot be read. It opens no terminal, which might wait.

use rustix::fs::CWD;

use super::procfs::{number, read_small};

/// `None` where that cannot be read.
pub fn has_terminal() -> Option<bool> {
    let mut text = Vec::with_capacity(1024);
    read_small(CWD, "/proc/self/stat", &mut text).ok()?;
    terminal_of(&text).map(|device| device != 0)
}

/// Field 7 of /proc/PID/stat; 0 is none (fs/proc/array.c:do_task_stat, 5.10 to 7.2).
fn terminal_of(stat: &[u8]) -> Option<u32> {
    let close = stat.iter().rposition(|b| *b == b')')?;
    let mut fields = stat.get(close + 2..)?.split(u8::is_ascii_whitespace);
    number(fields.nth(4)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_line_of_stat() {
        assert_eq!(terminal_of(b"7 (a) b) S 12 7 7 34816 7 0"), Some(34816));
        assert_eq!(terminal_of(b"1 (init) S 0 1 1 0 -1 0"), Some(0));
        assert_eq!(terminal_of(b"7 (a) S 1 7"), None);
    }

    #[test]
    fn of_this_process() {
        let opened = std::fs::File::open("/dev/tty").is_ok();
        assert_eq!(has_terminal(), Some(opened));
    }
}
