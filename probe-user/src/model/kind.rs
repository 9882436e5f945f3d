//! What happened, and where in a handshake, in the field's own words.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Kinds with their names, and how many there are.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal,)+) => {
        /// What happened.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(rename_all = "kebab-case")]
        pub enum Kind {
            $($(#[$doc])* $kind,)+
        }

        impl Kind {
            const COUNT: usize = [$(Self::$kind),+].len();

            /// Its name in lines.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }
        }
    };
}

kinds! {
    /// Refused because the accept queue was full (ListenOverflows).
    Overflow = "overflow",
    /// Refused since the SYN queue was full (TCPReqQFullDrop).
    RequestDrop = "request-drop",
    /// Any other refusal at a listener (ListenDrops).
    ListenDrop = "listen-drop",
    /// Answered by a reset, since nobody listens there (OutRsts).
    Refused = "refused",
    /// Dropped before a listener decided, with a reason of the kernel's.
    PacketDrop = "packet-drop",
    /// A listener was closed; what was in its accept queue is reset.
    ListenerClosed = "listener-closed",
    /// A request ended since its SYN-ACK was not acknowledged.
    RequestExpired = "request-expired",
    /// SYN queue full, answered by a SYN cookie (TCPReqQFullDoCookies): no refusal.
    CookieSent = "cookie-sent",
    /// Too many fast-open requests (TCPFastOpenListenOverflow): an ordinary handshake goes on.
    FastOpenFull = "fast-open-full",
    /// A bare ACK where data is waited for (TCPDeferAcceptDrop): no refusal.
    DeferredAccept = "deferred-accept",
    SynackRetransmit = "synack-retransmit",
    Retransmit = "retransmit",
    ResetSent = "reset-sent",
    ResetReceived = "reset-received",
    /// A queue passed the share of its room that is warned of.
    NearLimit = "near-limit",
    /// It is below half of that share again.
    Eased = "eased",
    /// A connection entered the accept queue whose attempt had been refused before.
    Connected = "connected",
}

impl Kind {
    /// In the order in which they are shown. One that is left out does not compile.
    pub const ALL: [Self; Self::COUNT] = [
        Self::NearLimit,
        Self::Eased,
        Self::Connected,
        Self::Overflow,
        Self::RequestDrop,
        Self::ListenDrop,
        Self::Refused,
        Self::PacketDrop,
        Self::ListenerClosed,
        Self::RequestExpired,
        Self::CookieSent,
        Self::FastOpenFull,
        Self::DeferredAccept,
        Self::SynackRetransmit,
        Self::Retransmit,
        Self::ResetSent,
        Self::ResetReceived,
    ];

    /// Whether a listener refused a connection attempt.
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::Overflow | Self::RequestDrop | Self::ListenDrop)
    }

    /// Whether it is no refusal of a listener, and still nothing that a client wants.
    pub const fn is_other_harm(self) -> bool {
        matches!(
            self,
            Self::Refused | Self::PacketDrop | Self::ListenerClosed | Self::RequestExpired
        )
    }

    /// Whether the kernel's own counters say it: all are counted by listener, exactly.
    pub const fn is_decision(self) -> bool {
        self.is_refusal()
            || matches!(
                self,
                Self::CookieSent | Self::FastOpenFull | Self::DeferredAccept
            )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Where in the handshake it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The client's SYN.
    Syn,
    /// The SYN-ACK that nobody acknowledged.
    SynAck,
    /// A segment for a half-open request, usually the final ACK.
    Ack,
    /// The ACK that brings back a SYN cookie.
    CookieAck,
    /// An ICMP error for a half-open request.
    Icmp,
}

impl Stage {
    /// Its name in lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syn => "syn",
            Self::SynAck => "syn-ack",
            Self::Ack => "ack",
            Self::CookieAck => "cookie-ack",
            Self::Icmp => "icmp",
        }
    }
}

/// As many as there are, and each once.
const _: () = {
    let (mut seen, mut at) = (0_u64, 0);
    while at < Kind::COUNT {
        seen |= 1 << Kind::ALL[at] as u64;
        at += 1;
    }
    assert!(seen == (1 << Kind::COUNT) - 1);
};
