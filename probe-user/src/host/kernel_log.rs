//! What the kernel's log says about SYN floods at a port: from /dev/kmsg to the newest lines.
//!
//! Needs CAP_SYSLOG where kernel.dmesg_restrict is set; without, there are none.

use crate::model::flood::{Said, is_one};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

/// Room for one record (kernel/printk/printk.c:PRINTK_MESSAGE_MAX, 5.10 to 7.2).
const RECORD_BYTES: usize = 8192;

/// Every line there is about a SYN flood; none where the log may not be read.
pub fn syn_floods() -> Vec<Said> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/kmsg");
    let Ok(mut log) = opened else {
        return Vec::new();
    };
    let mut record = [0; RECORD_BYTES];
    let mut found = Vec::new();
    loop {
        match log.read(&mut record) {
            Ok(0) => break,
            Ok(length) => found.extend(flood(&record[..length])),
            // A record that was overwritten while it was looked for.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    found
}

/// The log from now on.
pub struct News(File);

impl News {
    /// Opens /dev/kmsg at its end.
    ///
    /// # Errors
    /// It cannot be opened: without CAP_SYSLOG, for example.
    pub fn begin() -> io::Result<Self> {
        let mut log = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg")?;
        log.seek(SeekFrom::End(0))?;
        Ok(Self(log))
    }

    /// What was said of SYN floods at any port since this was last asked.
    pub fn syn_floods(&mut self) -> io::Result<Vec<String>> {
        let mut record = [0; RECORD_BYTES];
        let mut found = Vec::new();
        loop {
            match self.0.read(&mut record) {
                Ok(0) => return Ok(found),
                Ok(length) => found.extend(flood(&record[..length]).map(|said| said.says)),
                // A record that was overwritten before it was read.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(found),
                Err(error) => return Err(error),
            }
        }
    }
}

/// `4,321,98765,-;TCP: request_sock_TCP: Possible SYN flooding on port 0.0.0.0:8080. Sending cookies.`: the third number is
/// microseconds of a clock that goes with the monotonic one (Documentation/ABI/testing/dev-kmsg).
fn flood(record: &[u8]) -> Option<Said> {
    let text = String::from_utf8_lossy(record);
    let (head, message) = text.lines().next()?.split_once(';')?;
    let micros: u64 = head.split(',').nth(2)?.parse().ok()?;
    is_one(message).then(|| Said {
        mono_ns: micros.saturating_mul(1000),
        says: message.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_time() {
        let message =
            "TCP: request_sock_TCP: Possible SYN flooding on port [::]:8080. Sending cookies.";
        let record = format!("4,321,98765,-;{message}\n SUBSYSTEM=x\n");
        let said = Said {
            mono_ns: 98_765_000,
            says: message.to_owned(),
        };
        assert_eq!(flood(record.as_bytes()), Some(said));
        assert_eq!(flood(b"4,1,1,-;other"), None);
        assert_eq!(flood(b"\xff"), None);
    }
}
