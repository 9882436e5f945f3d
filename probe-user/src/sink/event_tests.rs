//! Events of every kind, and the lines that are written of them.

use std::{net::SocketAddr, sync::Arc};

use probe_common::{flag, hook, state};

use super::{Clock, Format, Reporter};
use crate::{
    cause,
    model::{
        Line, Origin,
        cause::{Cause, Reasons},
        cgroup::Cgroup,
        event::{Episode, Event, ListenerAt, Refused, Segment, Task, What},
        evidence::Evidence,
        kind::{Kind, Stage},
        netns_name::NetnsName,
        observation::{Observation, Snapshot},
        owner::Owner,
        refusal::{Closed, Elsewhere, Refusal},
        socket::{ConnectionSnapshot, ListenerSnapshot},
        tier::Tier,
    },
    source::replay::Recorded,
};

pub(super) const AT_NS: u64 = 5_000_123_456_789;
pub(super) const OWN_NETNS: u32 = 4_026_532_177;

pub(super) fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn listener(bound: &str) -> ListenerAt {
    ListenerAt {
        cookie: 0x1f,
        addr: addr(bound),
        accept_queue_len: 129,
        accept_queue_limit: 128,
        syn_queue_len: 0,
        syncookies: 1,
        max_syn_backlog: 2048,
    }
}

pub(super) fn snapshot(bound: &str) -> Snapshot {
    Snapshot::Listener(ListenerSnapshot {
        cookie: 0x1f,
        addr: addr(bound),
        v6only: None,
        ifindex: 0,
        inode: 8_123_456,
        uid: 1000,
        accept_queue_len: 129,
        accept_queue_limit: 128,
        drops: Some(u32::MAX),
        cgroup_id: Some(u64::MAX),
        taken_mono_ns: AT_NS - 77_000,
    })
}

fn connection() -> Snapshot {
    Snapshot::Connection(ConnectionSnapshot {
        cookie: 0xabc,
        state: "SYN_SENT",
        inode: Some(7),
        uid: None,
        rtt_us: Some(12),
        rttvar_us: None,
        cwnd: Some(10),
        retransmits: Some(2),
        total_retrans: None,
        unacked: Some(0),
        drops: Some(0),
        cgroup_id: None,
        taken_mono_ns: AT_NS + 1_234_567,
    })
}

pub(super) fn owner(pid: u32, comm: &str, exe: Option<&str>) -> Owner {
    Owner {
        pid,
        comm: comm.into(),
        exe: exe.map(Into::into),
    }
}

fn retried(retransmits: u8) -> What {
    What::Segment(Segment {
        seq: 1,
        ack_seq: 0,
        retransmits,
    })
}

fn seen(kind: Kind, stage: Option<Stage>, hook: u8) -> Observation {
    let evidence = Evidence {
        hook,
        flags: flag::SYN,
        sock_state: state::LISTEN,
        reason: 0,
        moved: 3,
    };
    Observation {
        event: Event {
            mono_ns: AT_NS,
            kind,
            stage,
            client: Some(addr("10.0.0.7:51234")),
            local: Some(addr("192.168.100.200:8080")),
            remote: Some(addr("10.0.0.7:51234")),
            netns: OWN_NETNS,
            cpu: 3,
            listener: Some(listener("0.0.0.0:8080")),
            sock: 0xffff_8880_0000_0000,
            cookie: 0x1f,
            evidence,
            moved: [1, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            late: false,
            what: retried(0),
        },
        cause: cause::of(kind, stage, &evidence, &Reasons::default()),
        reset_reason: None,
        refusal: Refusal::default(),
        snapshot: Ok(snapshot("0.0.0.0:8080")),
        shared: false,
        owner: Arc::from([owner(4321, "nginx", Some("/usr/sbin/nginx (deleted)"))]),
        cgroup: Some(Arc::new(Cgroup::of("/".into()))),
        netns_name: None,
    }
}

fn decisions() -> Vec<Observation> {
    let syn = Some(Stage::Syn);
    let plain = || seen(Kind::Overflow, syn, hook::INGRESS);
    let mut all = vec![plain()];
    let mut of_ipv6 = plain();
    of_ipv6.event.client = Some(addr("[2001:db8::1:0:0:7]:65535"));
    of_ipv6.event.remote = of_ipv6.event.client;
    of_ipv6.event.local = Some(addr("[fe80::1]:1"));
    of_ipv6.event.listener = Some(listener("[::]:8080"));
    of_ipv6.snapshot = Ok(snapshot("[::]:8080"));
    of_ipv6.shared = true;
    of_ipv6.cgroup = Some(Arc::new(Cgroup::of("/system.slice/nginx.service".into())));
    all.push(of_ipv6);
    let mut of_another = plain();
    of_another.event.netns = 4_026_532_999;
    of_another.netns_name = Some(NetnsName::Given("bl\u{1b}ue\"".into()).into());
    let id = "0123456789abcdef".repeat(4);
    let path = format!("/system.slice/docker-{id}.scope");
    of_another.cgroup = Some(Arc::new(Cgroup::of(path)));
    of_another.owner = Arc::from([
        owner(1, "n\u{1b}é\"\\x", None),
        owner(4_294_967_295, "", Some("/bin/\u{202e}x")),
    ]);
    all.push(of_another);
    let mut of_a_process = plain();
    of_a_process.event.netns = 7;
    of_a_process.netns_name = Some(
        NetnsName::Process {
            pid: 99,
            comm: "sh\n".into(),
        }
        .into(),
    );
    of_a_process.owner = Arc::from([]);
    of_a_process.cgroup = None;
    of_a_process.snapshot = Err("the listener was closed before it could be asked for".into());
    all.push(of_a_process);
    let mut with_requests = seen(Kind::ListenDrop, syn, hook::CONN_REQUEST);
    if let Some(listener) = &mut with_requests.event.listener {
        listener.syn_queue_len = 12;
        listener.cookie = u64::MAX;
    }
    all.push(with_requests);
    let mut late = seen(Kind::Overflow, None, hook::INGRESS);
    late.event.late = true;
    late.event.client = None;
    late.event.local = None;
    late.event.remote = None;
    late.event.listener = None;
    late.snapshot = Err("the event has no socket".into());
    all.push(late);
    for (kind, stage) in [
        (Kind::RequestDrop, Stage::Syn),
        (Kind::Overflow, Stage::Ack),
        (Kind::Overflow, Stage::CookieAck),
        (Kind::ListenDrop, Stage::Icmp),
        (Kind::CookieSent, Stage::Syn),
        (Kind::FastOpenFull, Stage::Syn),
        (Kind::DeferredAccept, Stage::Ack),
        (Kind::RequestExpired, Stage::SynAck),
    ] {
        all.push(seen(kind, Some(stage), hook::INGRESS));
    }
    all
}

fn notices() -> Vec<Observation> {
    let mut all = Vec::new();
    let mut again = seen(Kind::Retransmit, None, hook::RETRANSMIT_SKB);
    again.event.client = again.event.local;
    again.event.listener = None;
    again.event.what = retried(0);
    again.snapshot = Ok(connection());
    all.push(again.clone());
    again.event.kind = Kind::SynackRetransmit;
    again.event.what = retried(255);
    again.event.client = again.event.remote;
    all.push(again);
    let mut reset = seen(Kind::ResetSent, None, hook::SEND_RESET);
    reset.event.client = None;
    reset.event.listener = None;
    reset.event.evidence.reason = 5;
    reset.snapshot = Ok(connection());
    reset.cause = None;
    all.push(reset.clone());
    reset.event.evidence.reason = 6;
    all.push(reset.clone());
    reset.snapshot = Err("the socket was closed".into());
    reset.event.local = None;
    all.push(reset.clone());
    reset.event.kind = Kind::ResetReceived;
    reset.cause = Some(Cause::among("reset-by-client", &["a", "b"]));
    all.push(reset);
    let mut drop = seen(Kind::PacketDrop, Some(Stage::Ack), hook::PACKET_DROP);
    drop.cause = Some(Cause::certain("netfilter-drop"));
    drop.shared = true;
    drop.event.listener = None;
    all.push(drop.clone());
    drop.cause = None;
    all.push(drop);
    let mut closed = seen(Kind::ListenerClosed, None, hook::LISTENER_CLOSED);
    closed.event.client = None;
    closed.event.what = What::Closed(Some(Task {
        pid: 12,
        comm: "a\tb".into(),
        signal: Some(9),
        exit_status: None,
    }));
    all.push(closed.clone());
    closed.event.what = What::Closed(Some(Task {
        pid: 12,
        comm: "nginx".into(),
        signal: None,
        exit_status: Some(1),
    }));
    all.push(closed.clone());
    closed.event.what = What::Closed(None);
    all.push(closed);
    let mut near = seen(Kind::NearLimit, None, hook::PRESSURE);
    near.event.client = None;
    near.event.what = What::NearLimit;
    all.push(near.clone());
    near.cause = Some(Cause::certain("syn-queue"));
    all.push(near.clone());
    near.event.kind = Kind::Eased;
    near.event.what = What::Eased(Episode {
        peak: 130,
        lasted_ns: 12_345_678,
    });
    all.push(near);
    let mut connected = seen(Kind::Connected, None, hook::CONNECTED);
    connected.event.what = What::Connected(Refused {
        first_ns: AT_NS - 2_050_000_000,
        isn: 1,
        times: 2,
    });
    all.push(connected);
    all
}

fn refusals() -> Vec<Observation> {
    let refused = |refusal: Refusal| {
        let mut one = seen(Kind::Refused, Some(Stage::Syn), hook::SEND_RESET);
        one.event.listener = None;
        one.snapshot = Err("there is no socket".into());
        one.owner = Arc::from([]);
        one.cgroup = None;
        one.cause = refusal.cause.clone();
        one.refusal = refusal;
        one
    };
    let near = |netns, at: &str| Elsewhere {
        netns,
        netns_name: (netns == 5).then(|| NetnsName::Given("blue".into()).into()),
        addr: addr(at),
        cookie: 5,
        inode: 9,
        owner: Arc::from([owner(8, "other", Some("/bin/other"))]),
    };
    let mut one = Refusal::nowhere(true, true);
    one.cause = Some(Cause::certain("listener-on-other-address"));
    one.elsewhere = vec![near(OWN_NETNS, "127.0.0.1:8080")];
    let mut two = Refusal::nowhere(true, true);
    two.elsewhere = vec![near(5, "127.0.0.1:8080"), near(6, "[::1]:8080")];
    let closed = |by| {
        Refusal::closed(Closed {
            mono_ns: AT_NS - 3_210_000_000,
            netns: OWN_NETNS,
            addr: addr("0.0.0.0:8080"),
            cookie: 0,
            by,
            owner: Arc::from([owner(8, "other", None)]),
        })
    };
    let task = Task {
        pid: 8,
        comm: "other\u{7f}".into(),
        signal: None,
        exit_status: Some(1),
    };
    let all = [
        Refusal::nowhere(true, true),
        Refusal::nowhere(false, false),
        one,
        two,
        closed(None),
        closed(Some(task)),
        Refusal::default(),
    ];
    all.map(refused).into()
}

/// Each kind of event, with its reset's reason.
pub(super) fn every_kind() -> Vec<Observation> {
    let reasons = Reasons {
        reset: [(5, "tcp-abort-on-data".into())].into(),
        ..Reasons::default()
    };
    let mut all = [decisions(), notices(), refusals()].concat();
    for seen in &mut all {
        seen.reset_reason = reasons.of_reset(&seen.event.evidence);
    }
    all
}

pub(super) fn reporter(format: Format) -> Reporter {
    let clock = Clock::ahead(1_795_000_000_000_000_000);
    let origin = Origin {
        host: "a.example".into(),
        boot_id: Some("12345678-1234-4234-8234-123456789abc".into()),
        kernel: "6.18.0".into(),
        command: ["whydrop", "run", "--", "sh", "-c", "a b"]
            .map(str::to_owned)
            .into(),
    };
    Reporter::new(format, Tier::Cgroup, OWN_NETNS, clock, origin)
}

#[test]
fn every_kind_of_event_comes_back_from_a_recording() {
    let mut whole = Reporter {
        is_whole: true,
        ..reporter(Format::Json)
    };
    for seen in every_kind() {
        let mut line = String::new();
        whole.write(0, &Line::Event(&seen), &mut line);
        let back = crate::source::replay::parse(line.as_bytes());
        let Ok(Some(Recorded::Event(back))) = back else {
            panic!("{line} is {back:?}");
        };
        assert_eq!(format!("{back:?}"), format!("{seen:?}"), "{line}");
    }
}

/// Variants of an event that differ in one fact each.
fn alike(seen: &Observation) -> Vec<Observation> {
    let change = |change: &dyn Fn(&mut Observation)| {
        let mut other = seen.clone();
        change(&mut other);
        other
    };
    let name = |name: &str| Some(Arc::new(NetnsName::Given(name.into())));
    let owner = Owner {
        pid: 99,
        comm: "other".into(),
        exe: None,
    };
    let other_cgroup = Cgroup::of("/system.slice/other.service".into());
    vec![
        seen.clone(),
        change(&|seen| seen.event.mono_ns += 1_500_000_000),
        change(&|seen| seen.event.kind = Kind::CookieSent),
        change(&|seen| seen.event.stage = Some(Stage::CookieAck)),
        change(&|seen| seen.cause = Some(Cause::among("a-cause", &["b"]))),
        change(&|seen| seen.cause = Some(Cause::among("a-cause", &["c"]))),
        change(&|seen| seen.event.local = Some(([192, 0, 2, 7], 7).into())),
        change(&|seen| seen.event.remote = Some(([192, 0, 2, 7], 7).into())),
        change(&|seen| seen.event.client = None),
        change(&|seen| seen.event.netns += 1),
        change(&|seen| seen.netns_name = name("one")),
        change(&|seen| seen.netns_name = name("two")),
        change(&|seen| seen.owner = Arc::from([owner.clone()])),
        change(&|seen| seen.cgroup = Some(Arc::new(other_cgroup.clone()))),
        change(&|seen| seen.shared = !seen.shared),
        change(&|seen| {
            if let Some(listener) = &mut seen.event.listener {
                listener.syn_queue_len += 7;
            }
        }),
        change(&|seen| {
            if let Ok(Snapshot::Listener(found)) = &mut seen.snapshot {
                found.accept_queue_len += 7;
            }
        }),
    ]
}

#[test]
fn a_line_is_the_same_whatever_was_before_it() {
    let whole = || Reporter {
        is_whole: true,
        ..reporter(Format::Json)
    };
    let makers: [&dyn Fn() -> Reporter; 3] = [
        &|| reporter(Format::Text),
        &|| reporter(Format::Json),
        &whole,
    ];
    let kinds = every_kind();
    let beside = kinds.iter().zip(kinds.iter().skip(1));
    for make in makers {
        let check = |before: &Observation, seen: &Observation| {
            let (mut used, mut fresh) = (make(), make());
            let (mut got, mut expect) = (String::new(), String::new());
            used.write(0, &Line::Event(before), &mut got);
            got.clear();
            used.write(0, &Line::Event(seen), &mut got);
            fresh.write(0, &Line::Event(seen), &mut expect);
            assert_eq!(got, expect);
        };
        for (before, seen) in beside.clone() {
            check(before, seen);
        }
        for seen in &kinds {
            let alike = alike(seen);
            for one in &alike {
                check(&alike[0], one);
                check(one, &alike[0]);
            }
        }
    }
}
