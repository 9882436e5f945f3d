//! Loads and attaches one program or one pair of them; the kernel's answer is
//! a sentence.
//!
//! The half that ends a measurement is attached before the half that begins
//! it, so that no packet is measured half.

use std::{cell::OnceCell, error::Error};

use aya::{
    Btf, Ebpf, Endianness,
    programs::{
        BtfTracePoint, CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, FEntry, FExit, KProbe,
        Program, ProgramError, RawTracePoint,
    },
};

use super::skips;
use crate::inspect::cgroup;

/// What the name of a program's second copy ends with.
pub(super) const COPY: &str = "_again";

/// The object on its way into the kernel, with as much of the kernel's BTF as
/// aya looks up: parsed when a typed program is first tried, and gone with this value.
pub(super) struct Attacher<'a> {
    ebpf: &'a mut Ebpf,
    outline: &'a [u8],
    btf: OnceCell<Result<Btf, String>>,
}

/// An error and its causes in one line: the verifier's last words instead of its whole log.
pub(super) fn in_short(error: &dyn Error) -> String {
    let mut text = error.to_string();
    if let Some((head, log)) = text.split_once(". Verifier output:") {
        let last = log
            .lines()
            .rev()
            .map(str::trim)
            .find(|line| {
                !line.is_empty()
                    && !["processed ", "stack depth ", "verification time "]
                        .iter()
                        .any(|trailer| line.starts_with(trailer))
            })
            .unwrap_or_default();
        text = if last.is_empty() {
            head.to_owned()
        } else {
            format!("{head}: {last}")
        };
    }
    let mut cause = error.source();
    while let Some(this) = cause {
        let more = this.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = this.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(super) fn program<'a, P>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut P, String>
where
    &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
{
    ebpf.program_mut(name)
        .ok_or_else(|| format!("the object has no program {name}"))?
        .try_into()
        .map_err(|error: ProgramError| in_short(&error))
}

pub(super) fn short<T>(result: Result<T, ProgramError>) -> Result<T, String> {
    result.map_err(|error| in_short(&error))
}

impl<'a> Attacher<'a> {
    pub(super) fn new(ebpf: &'a mut Ebpf, outline: &'a [u8]) -> Self {
        Self {
            ebpf,
            outline,
            btf: OnceCell::new(),
        }
    }

    /// fentry and fexit around a function.
    pub(super) fn trampoline(&mut self, function: &str) -> Result<(), String> {
        let btf = parsed(&self.btf, self.outline)?;
        let exit: &mut FExit = program(self.ebpf, &format!("fexit_{function}"))?;
        short(exit.load(function, btf))?;
        let exit_link = short(exit.attach())?;
        let entry: &mut FEntry = program(self.ebpf, &format!("fentry_{function}"))?;
        let attached = short(entry.load(function, btf)).and_then(|()| short(entry.attach()));
        if let Err(error) = attached {
            let exit: &mut FExit = program(self.ebpf, &format!("fexit_{function}"))?;
            short(exit.detach(exit_link))?;
            return Err(error);
        }
        Ok(())
    }

    /// kprobe and kretprobe at a function.
    pub(super) fn kprobe(&mut self, function: &str) -> Result<(), String> {
        let exit: &mut KProbe = program(self.ebpf, &format!("kretprobe_{function}"))?;
        short(exit.load())?;
        let exit_link = short(exit.attach(function, 0))?;
        let entry: &mut KProbe = program(self.ebpf, &format!("kprobe_{function}"))?;
        let attached = short(entry.load()).and_then(|()| short(entry.attach(function, 0)));
        if let Err(error) = attached {
            let exit: &mut KProbe = program(self.ebpf, &format!("kretprobe_{function}"))?;
            short(exit.detach(exit_link))?;
            return Err(error);
        }
        Ok(())
    }

    /// `cgroup_skb/ingress` at the cgroup2 root and the two tracepoints where packets end.
    /// `Ok(Some(…))` names what part of the host is out of sight.
    pub(super) fn ingress(&mut self) -> Result<Option<String>, String> {
        for tracepoint in ["consume_skb", "kfree_skb"] {
            self.raw(tracepoint, tracepoint)?;
        }
        let root = cgroup::root()
            .map_err(|error| format!("cannot open or mount a cgroup2 hierarchy: {error}"))?;
        let ingress: &mut CgroupSkb = program(self.ebpf, "listener_ingress")?;
        short(ingress.load())?;
        short(ingress.attach(
            root.fd,
            CgroupSkbAttachType::Ingress,
            CgroupAttachMode::Single,
        ))?;
        Ok((!root.whole).then(|| {
            "this cgroup namespace shows only a part of the host: listeners outside of it are out of sight".into()
        }))
    }

    pub(super) fn raw(&mut self, name: &str, tracepoint: &str) -> Result<(), String> {
        with_copy(self.ebpf, &format!("raw_{name}"), |ebpf, name| {
            let raw: &mut RawTracePoint = program(ebpf, name)?;
            short(raw.load())?;
            short(raw.attach(tracepoint)).map(drop)
        })
    }

    pub(super) fn typed(&mut self, name: &str, tracepoint: &str) -> Result<(), String> {
        let btf = parsed(&self.btf, self.outline)?;
        let attach = |ebpf: &mut Ebpf, name: &str| {
            let typed: &mut BtfTracePoint = program(ebpf, name)?;
            short(typed.load(tracepoint, btf))?;
            short(typed.attach()).map(drop)
        };
        with_copy(self.ebpf, &format!("typed_{name}"), attach)
    }

    /// fentry at a function.
    pub(super) fn fentry(&mut self, function: &str) -> Result<(), String> {
        let btf = parsed(&self.btf, self.outline)?;
        let entry: &mut FEntry = program(self.ebpf, &format!("fentry_{function}"))?;
        short(entry.load(function, btf))?;
        short(entry.attach()).map(drop)
    }

    /// fexit of a function.
    pub(super) fn fexit(&mut self, function: &str) -> Result<(), String> {
        let btf = parsed(&self.btf, self.outline)?;
        let attach = |ebpf: &mut Ebpf, name: &str| {
            let exit: &mut FExit = program(ebpf, name)?;
            short(exit.load(function, btf))?;
            short(exit.attach()).map(drop)
        };
        with_copy(self.ebpf, &format!("fexit_{function}"), attach)
    }

    /// kprobe at a function.
    pub(super) fn kprobe_entry(&mut self, function: &str) -> Result<(), String> {
        let entry: &mut KProbe = program(self.ebpf, &format!("kprobe_{function}"))?;
        short(entry.load())?;
        short(entry.attach(function, 0)).map(drop)
    }

    /// Takes back what was attached around these functions.
    pub(super) fn detach(&mut self, functions: impl IntoIterator<Item = &'static str>) {
        for name in functions {
            if let Ok(entry) = program::<FEntry>(self.ebpf, &format!("fentry_{name}")) {
                let _ = entry.unload();
            }
            if let Ok(exit) = program::<FExit>(self.ebpf, &format!("fexit_{name}")) {
                let _ = exit.unload();
            }
            for half in ["kprobe", "kretprobe"] {
                if let Ok(probe) = program::<KProbe>(self.ebpf, &format!("{half}_{name}")) {
                    let _ = probe.unload();
                }
            }
        }
    }
}

/// Attaches a program and, where the object has one and this kernel skips
/// programs at all, its second copy, which sees what the first one is skipped
/// for: both or none.
fn with_copy(
    ebpf: &mut Ebpf,
    name: &str,
    attach: impl Fn(&mut Ebpf, &str) -> Result<(), String>,
) -> Result<(), String> {
    attach(ebpf, name)?;
    let copy = format!("{name}{COPY}");
    let first = ebpf.program(name).and_then(|first| first.fd().ok());
    if ebpf.program(&copy).is_none() || !first.is_some_and(skips::are_counted) {
        return Ok(());
    }
    let attached = attach(ebpf, &copy);
    if attached.is_err() {
        let _ = match ebpf.program_mut(name) {
            Some(Program::BtfTracePoint(first)) => first.unload(),
            Some(Program::RawTracePoint(first)) => first.unload(),
            Some(Program::FExit(first)) => first.unload(),
            _ => Ok(()),
        };
    }
    attached
}

fn parsed<'a>(cell: &'a OnceCell<Result<Btf, String>>, outline: &[u8]) -> Result<&'a Btf, String> {
    let parse = || Btf::parse(outline, Endianness::default()).map_err(|error| in_short(&error));
    cell.get_or_init(parse).as_ref().map_err(Clone::clone)
}
