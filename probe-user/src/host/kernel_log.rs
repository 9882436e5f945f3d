//! What the kernel's log says about SYN floods at a port: from /dev/kmsg to the newest lines.
//!
//! Needs CAP_SYSLOG where kernel.dmesg_restrict is set; without, there are none.

use crate::model::flood::port_of;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

/// Room for one record (kernel/printk/printk.c:PRINTK_MESSAGE_MAX, 5.10 to 7.2).
const RECORD_BYTES: usize = 8192;

/// The newest lines that name the port, at most so many.
pub fn syn_floods(port: u16, at_most: usize) -> Vec<String> {
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
            Ok(length) => found.extend(flood_at(&record[..length], port)),
            // A record that was overwritten while it was looked for.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    found.split_off(found.len().saturating_sub(at_most))
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
                Ok(length) => found.extend(flood(&record[..length]).map(|(message, _)| message)),
                // A record that was overwritten before it was read.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(found),
                Err(error) => return Err(error),
            }
        }
    }
}

/// `4,321,98765,-;TCP: request_sock_TCP: Possible SYN flooding on port 0.0.0.0:8080. Sending cookies.`, with the
/// address since 6.2 (net/ipv4/tcp_input.c:tcp_syn_flood_action).
fn flood(record: &[u8]) -> Option<(String, u16)> {
    let text = String::from_utf8_lossy(record);
    let (_, message) = text.lines().next()?.split_once(';')?;
    Some((message.to_owned(), port_of(message)?))
}

fn flood_at(record: &[u8], port: u16) -> Option<String> {
    let (message, named) = flood(record)?;
    (named == port).then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_port() {
        let line = |message: &str| format!("4,321,98765,-;{message}\n SUBSYSTEM=x\n").into_bytes();
        let with_address = line(
            "TCP: request_sock_TCP: Possible SYN flooding on port [::]:8080. Sending cookies.",
        );
        let without = line(
            "TCP: request_sock_TCP: Possible SYN flooding on port 8080. Dropping request.  Check SNMP counters.",
        );
        for record in [&with_address, &without] {
            assert!(flood_at(record, 8080).is_some());
            assert_eq!(flood_at(record, 80), None);
        }
        assert_eq!(flood_at(b"4,1,1,-;other", 8080), None);
        assert_eq!(flood_at(b"\xff", 8080), None);
    }
}
