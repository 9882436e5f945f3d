//! Attaches programs that do nothing, one of each kind this kernel takes, where
//! every SYN to a listener comes by: what a benchmark takes off.

use aya::{
    Btf, Ebpf, Endianness,
    programs::{
        BtfTracePoint, CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, FEntry, FExit, KProbe,
        RawTracePoint,
    },
};

use super::{
    LoadError, OBJECT,
    answer::{in_short, short},
    attach, object_error,
    programs::program,
    rootless,
};
use crate::{btf, host::cgroup};

const FUNCTION: &str = "tcp_conn_request";
const TRACEPOINT: &str = "consume_skb";

/// They stay attached as long as this lives.
pub struct Empty {
    _ebpf: Ebpf,
    /// Kinds that this kernel took.
    pub kinds: Vec<&'static str>,
}

type Attach = fn(&mut Ebpf) -> Result<(), String>;

const KINDS: [(&str, Attach); 7] = [
    ("cgroup_skb", |ebpf| {
        let root = cgroup::root().map_err(|error| error.to_string())?;
        let empty: &mut CgroupSkb = program(ebpf, "empty_cgroup_skb")?;
        short(empty.load())?;
        let ingress = CgroupSkbAttachType::Ingress;
        short(empty.attach(root.fd, ingress, CgroupAttachMode::Single)).map(drop)
    }),
    ("typed", |ebpf| {
        let empty: &mut BtfTracePoint = program(ebpf, "empty_typed")?;
        short(empty.load(TRACEPOINT, &kernel_btf()?))?;
        short(empty.attach()).map(drop)
    }),
    ("raw", |ebpf| {
        let empty: &mut RawTracePoint = program(ebpf, "empty_raw")?;
        short(empty.load())?;
        short(empty.attach(TRACEPOINT)).map(drop)
    }),
    ("fentry", |ebpf| {
        let empty: &mut FEntry = program(ebpf, "empty_fentry")?;
        short(empty.load(FUNCTION, &kernel_btf()?))?;
        short(empty.attach()).map(drop)
    }),
    ("fexit", |ebpf| {
        let empty: &mut FExit = program(ebpf, "empty_fexit")?;
        short(empty.load(FUNCTION, &kernel_btf()?))?;
        short(empty.attach()).map(drop)
    }),
    ("kprobe", |ebpf| {
        let empty: &mut KProbe = program(ebpf, "empty_kprobe")?;
        short(empty.load())?;
        short(empty.attach(FUNCTION, 0)).map(drop)
    }),
    ("kretprobe", |ebpf| {
        let empty: &mut KProbe = program(ebpf, "empty_kretprobe")?;
        short(empty.load())?;
        short(empty.attach(FUNCTION, 0)).map(drop)
    }),
];

impl Empty {
    /// Attaches empty programs of the same kinds.
    ///
    /// # Errors
    /// As with whydrop's own.
    pub fn attach() -> Result<Self, LoadError> {
        let mut ebpf = rootless::loader().load(OBJECT).map_err(object_error)?;
        let taken = KINDS.iter().filter(|(_, attach)| attach(&mut ebpf).is_ok());
        Ok(Self {
            kinds: taken.map(|(kind, _)| *kind).collect(),
            _ebpf: ebpf,
        })
    }
}

fn kernel_btf() -> Result<Btf, String> {
    let btf = btf::Btf::of_kernel().map_err(|error| in_short(&error))?;
    Btf::parse(&btf.outline(attach::is_looked_up), Endianness::default())
        .map_err(|error| in_short(&error))
}
