//! Counters of `net->mib.net_statistics` that are read when a packet enters a
//! listener and again when it leaves; a slot is a position in [`Record::moved`](crate::Record::moved).

/// Number of slots.
pub const SLOTS: usize = 10;
/// `LINUX_MIB_LISTENOVERFLOWS`, ListenOverflows in nstat.
pub const LISTEN_OVERFLOWS: usize = 0;
/// `LINUX_MIB_LISTENDROPS`, ListenDrops.
pub const LISTEN_DROPS: usize = 1;
/// `LINUX_MIB_TCPREQQFULLDROP`, TCPReqQFullDrop.
pub const REQQ_FULL_DROP: usize = 2;
/// `LINUX_MIB_TCPREQQFULLDOCOOKIES`, TCPReqQFullDoCookies.
pub const REQQ_FULL_DO_COOKIES: usize = 3;
/// `LINUX_MIB_EMBRYONICRSTS`, EmbryonicRsts: a request was reset, by its client or on overflow.
pub const EMBRYONIC_RSTS: usize = 4;
/// `LINUX_MIB_TCPDEFERACCEPTDROP`, TCPDeferAcceptDrop: a bare ACK was not enough.
pub const DEFER_ACCEPT_DROP: usize = 5;
/// `LINUX_MIB_TCPFASTOPENLISTENOVERFLOW`, TCPFastOpenListenOverflow.
pub const FASTOPEN_LISTEN_OVERFLOW: usize = 6;
/// `LINUX_MIB_SYNCOOKIESRECV`, SyncookiesRecv: tells a cookie ACK from the ACK of a request.
pub const SYNCOOKIES_RECV: usize = 7;
/// `LINUX_MIB_TCPMIGRATEREQFAILURE`, TCPMigrateReqFailure: a migrated request was refused.
pub const MIGRATE_REQ_FAILURE: usize = 8;
/// `LINUX_MIB_TCPFASTOPENPASSIVEFAIL`, TCPFastOpenPassiveFail: a fast-open child was refused.
pub const FASTOPEN_PASSIVE_FAIL: usize = 9;

/// How many of the leading slots are events when they move, and are
/// reconciled; the rest are evidence only.
pub const DECISIVE: usize = 7;

/// Of these, the ones every summary shows; the others only where they moved.
pub const ALWAYS_SHOWN: usize = 4;

/// Words that are read, at most: counters that lie near each other are read together, with what lies
/// between them.
pub const WORDS: usize = 16;

/// Numbers that tell of one reading: its byte offset into `struct linux_mib`, how many bytes it
/// takes, 0 after the last, and its byte offset into what is read.
pub const READING: usize = 3;

/// Slot, name in the kernel's BTF, name in /proc/net/netstat.
pub const NAMES: [(&str, &str); SLOTS] = [
    ("LINUX_MIB_LISTENOVERFLOWS", "ListenOverflows"),
    ("LINUX_MIB_LISTENDROPS", "ListenDrops"),
    ("LINUX_MIB_TCPREQQFULLDROP", "TCPReqQFullDrop"),
    ("LINUX_MIB_TCPREQQFULLDOCOOKIES", "TCPReqQFullDoCookies"),
    ("LINUX_MIB_EMBRYONICRSTS", "EmbryonicRsts"),
    ("LINUX_MIB_TCPDEFERACCEPTDROP", "TCPDeferAcceptDrop"),
    (
        "LINUX_MIB_TCPFASTOPENLISTENOVERFLOW",
        "TCPFastOpenListenOverflow",
    ),
    ("LINUX_MIB_SYNCOOKIESRECV", "SyncookiesRecv"),
    ("LINUX_MIB_TCPMIGRATEREQFAILURE", "TCPMigrateReqFailure"),
    ("LINUX_MIB_TCPFASTOPENPASSIVEFAIL", "TCPFastOpenPassiveFail"),
];
