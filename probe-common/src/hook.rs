//! Which hook produced a record.

/// Numbers and the list of them, which leaves none out.
macro_rules! hooks {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)+) => {
        $($(#[$doc])* pub const $name: u8 = $number;)+

        /// All of them.
        pub const ALL: &[u8] = &[$($name),+];
    };
}

hooks! {
    /// Around `tcp_conn_request`: a SYN at a listener.
    CONN_REQUEST = 1;
    /// Around `tcp_check_req`: a segment for a request.
    CHECK_REQ = 2;
    /// Around `tcp_get_cookie_sock`: the ACK of a SYN-cookie handshake.
    COOKIE_SOCK = 3;
    /// Around `tcp_req_err`: an ICMP error for a request.
    REQ_ERR = 4;
    /// From `cgroup_skb/ingress` of a listener to the free of the same skb.
    INGRESS = 5;
    /// Around `reqsk_timer_handler`: a request whose SYN-ACK nobody answered.
    REQUEST_TIMER = 6;
    /// Tracepoint `tcp:tcp_retransmit_skb`.
    RETRANSMIT_SKB = 16;
    /// Tracepoint `tcp:tcp_retransmit_synack`.
    RETRANSMIT_SYNACK = 17;
    /// Tracepoint `tcp:tcp_send_reset`.
    SEND_RESET = 18;
    /// Tracepoint `tcp:tcp_receive_reset`.
    RECEIVE_RESET = 19;
    /// Tracepoint `sock:inet_sock_set_state`, LISTEN to CLOSE.
    LISTENER_CLOSED = 20;
    /// Tracepoint `skb:kfree_skb`, with a reason that is asked for.
    PACKET_DROP = 21;
    /// A queue of a listener passed the share of its limit that is warned of, or is well below again.
    PRESSURE = 22;
    /// A connection entered the accept queue whose attempt had been refused before.
    CONNECTED = 23;
}
