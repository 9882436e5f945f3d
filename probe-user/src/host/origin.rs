//! Which host this is, which boot of it, and which kernel it runs.

use crate::model::Origin;

/// This host.
pub fn origin() -> Origin {
    Origin {
        host: host_name(),
        boot_id: boot_id(),
        kernel: kernel_release(),
        command: std::env::args().collect(),
    }
}

/// What this host is called.
pub fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// Which boot of this host it is; `None` where that cannot be read.
pub fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

/// The running kernel's release, such as `6.12.0`.
pub fn kernel_release() -> String {
    rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned()
}
