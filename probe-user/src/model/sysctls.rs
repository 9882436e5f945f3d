//! The sysctls that shape what a listener does.

use serde::{Deserialize, Serialize};

/// Of one namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenSysctls {
    pub somaxconn: Option<u32>,
    pub syncookies: Option<u32>,
    pub abort_on_overflow: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sysctls {
    pub somaxconn: Option<u32>,
    pub syncookies: Option<u32>,
    pub abort_on_overflow: Option<u32>,
    pub max_syn_backlog: Option<u32>,
}
