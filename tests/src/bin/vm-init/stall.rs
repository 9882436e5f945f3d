//! A processor that never gets on. The kernel notices, and goes on saying so until the VM is killed; where each processor
//! stands it tells its log, which a quiet console leaves out. So this waits for the first such message, has it told aloud,
//! and ends the VM.

use std::fs::File;
use std::io::{ErrorKind, Read, Result, Seek, SeekFrom};

/// Longer than any record: it has up to 1024 characters, escaped, and its fields (kernel/printk/printk.c:devkmsg_read).
const RECORD: usize = 8192;

/// Returns only with an error.
pub(crate) fn watch() -> Result<()> {
    let mut log = File::open("/dev/kmsg")?;
    log.seek(SeekFrom::End(0))?;
    let mut record = [0; RECORD];
    loop {
        match log.read(&mut record) {
            Ok(size) if is_stall(&String::from_utf8_lossy(&record[..size])) => tell()?,
            Ok(_) => {}
            // The log was written around us: the next read goes on with what is left of it.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(error) => return Err(error),
        }
    }
}

/// kernel/rcu/tree_stall.h and tree_exp.h, 5.10 to 7.2: "rcu: INFO: rcu_sched self-detected stall on CPU", "… detected stalls
/// on CPUs/tasks", "… detected expedited stalls on CPUs/tasks".
fn is_stall(record: &str) -> bool {
    record.contains("rcu: INFO: ") && record.contains(" stall")
}

/// The stack of each processor, and a panic.
fn tell() -> Result<()> {
    std::fs::write("/proc/sys/kernel/printk", "8")?;
    std::fs::write("/proc/sysrq-trigger", "l")?;
    std::fs::write("/proc/sysrq-trigger", "c")
}
