//! Loads and attaches one program or one pair of them; the kernel's answer is
//! a sentence.
//!
//! The half that ends a measurement is attached before the half that begins
//! it, so that no packet is measured half.

use std::{collections::HashMap, thread};

use aya::{
    Btf, Ebpf,
    programs::{
        BtfTracePoint, CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, FEntry, FExit, KProbe,
        Program, ProgramError, RawTracePoint,
    },
};

use super::{
    answer::{in_short, short},
    attach::Attach,
    names::{COPY, KPROBE, TRAMPOLINE},
    preload::{Preload, unload},
    skips,
};
use crate::{host::cgroup, model::PART_OF_THE_HOST};

/// The object on its way into the kernel.
pub(super) struct Attacher<'scope, 'a> {
    preload: Preload<'scope, 'a>,
    /// Programs that were asked for, whatever became of them.
    tried: HashMap<String, &'a mut Program>,
    /// Whether this kernel counts how often it skips a program; known once one is loaded.
    counts_skips: Option<bool>,
    /// Second copies of programs that are expected, until that is known.
    copies: Vec<(String, &'static str)>,
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

/// Hands out the object's programs.
pub(super) fn with_attacher<T>(
    ebpf: &mut Ebpf,
    btf: &Result<Btf, String>,
    attach: impl FnOnce(&mut Attacher<'_, '_>) -> T,
) -> T {
    thread::scope(|scope| {
        let mut attacher = Attacher {
            preload: Preload::new(scope, ebpf, btf),
            tried: HashMap::new(),
            counts_skips: None,
            copies: Vec::new(),
        };
        let attached = attach(&mut attacher);
        attacher.preload.give_up();
        attached
    })
}

impl Attach for Attacher<'_, '_> {
    fn trampoline(&mut self, function: &'static str) -> Result<(), String> {
        let [exit, entry] = TRAMPOLINE.map(|half| format!("{half}_{function}"));
        let exit_link = short(self.load::<FExit>(&exit, function)?.attach())?;
        let attached = self
            .load::<FEntry>(&entry, function)
            .and_then(|entry| short(entry.attach()));
        if let Err(error) = attached {
            short(self.tried::<FExit>(&exit)?.detach(exit_link))?;
            return Err(error);
        }
        Ok(())
    }

    fn kprobe(&mut self, function: &'static str) -> Result<(), String> {
        let [exit, entry] = KPROBE.map(|half| format!("{half}_{function}"));
        let exit_link = short(self.load::<KProbe>(&exit, function)?.attach(function, 0))?;
        let attached = self
            .load::<KProbe>(&entry, function)
            .and_then(|entry| short(entry.attach(function, 0)));
        if let Err(error) = attached {
            short(self.tried::<KProbe>(&exit)?.detach(exit_link))?;
            return Err(error);
        }
        Ok(())
    }

    fn ingress(&mut self) -> Result<Option<String>, String> {
        let tracepoints = ["consume_skb", "kfree_skb"];
        for tracepoint in tracepoints {
            self.preload_next("raw", tracepoint, tracepoint);
        }
        self.preload_next("listener", "ingress", "");
        for tracepoint in tracepoints {
            self.raw(tracepoint, tracepoint)?;
        }
        let root = cgroup::root()
            .map_err(|error| format!("cannot open or mount a cgroup2 hierarchy: {error}"))?;
        let ingress: &mut CgroupSkb = self.load("listener_ingress", "")?;
        short(ingress.attach(
            root.fd,
            CgroupSkbAttachType::Ingress,
            CgroupAttachMode::Single,
        ))?;
        Ok((!root.whole)
            .then(|| format!("{PART_OF_THE_HOST}: listeners outside of it are out of sight")))
    }

    fn raw(&mut self, name: &str, tracepoint: &'static str) -> Result<(), String> {
        self.with_copy(&format!("raw_{name}"), |this, name| {
            let raw: &mut RawTracePoint = this.load(name, tracepoint)?;
            short(raw.attach(tracepoint)).map(drop)
        })
    }

    fn typed(&mut self, name: &str, tracepoint: &'static str) -> Result<(), String> {
        self.with_copy(&format!("typed_{name}"), |this, name| {
            let typed: &mut BtfTracePoint = this.load(name, tracepoint)?;
            short(typed.attach()).map(drop)
        })
    }

    fn fentry(&mut self, function: &'static str) -> Result<(), String> {
        let entry: &mut FEntry = self.load(&format!("fentry_{function}"), function)?;
        short(entry.attach()).map(drop)
    }

    fn fexit(&mut self, function: &'static str) -> Result<(), String> {
        self.with_copy(&format!("fexit_{function}"), |this, name| {
            let exit: &mut FExit = this.load(name, function)?;
            short(exit.attach()).map(drop)
        })
    }

    fn kprobe_entry(&mut self, function: &'static str) -> Result<(), String> {
        let entry: &mut KProbe = self.load(&format!("kprobe_{function}"), function)?;
        short(entry.attach(function, 0)).map(drop)
    }

    fn detach(&mut self, functions: &[&'static str]) {
        for function in functions {
            for half in TRAMPOLINE.iter().chain(&KPROBE) {
                let name = format!("{half}_{function}");
                self.preload.give_up_on(&name);
                if let Some(program) = self.tried.get_mut(&name) {
                    unload(program);
                }
            }
        }
    }

    fn preload_next(&mut self, kind: &str, hook: &str, target: &'static str) {
        self.preload
            .preload(&format!("{kind}_{hook}"), target, true);
    }

    fn preload(&mut self, kind: &str, hook: &str, target: &'static str) {
        let name = format!("{kind}_{hook}");
        self.preload.preload(&name, target, false);
        let copy = name + COPY;
        if self.preload.has(&copy) {
            match self.counts_skips {
                Some(true) => self.preload.preload(&copy, target, false),
                Some(false) => {}
                None => self.copies.push((copy, target)),
            }
        }
    }
}

impl Attacher<'_, '_> {
    fn load<P>(&mut self, name: &str, target: &'static str) -> Result<&mut P, String>
    where
        for<'p> &'p mut P: TryFrom<&'p mut Program, Error = ProgramError>,
    {
        let (program, answer) = self.preload.take(name, target)?;
        if self.counts_skips.is_none()
            && let Ok(fd) = program.fd()
        {
            let counted = skips::are_counted(fd);
            self.counts_skips =
                Some(counted.map_err(|error| format!("what the kernel says of it: {error}"))?);
            for (copy, target) in std::mem::take(&mut self.copies) {
                if self.counts_skips == Some(true) {
                    self.preload.preload(&copy, target, false);
                }
            }
        }
        self.tried.insert(name.to_owned(), program);
        answer?;
        self.tried(name)
    }

    /// A program that was asked for.
    fn tried<P>(&mut self, name: &str) -> Result<&mut P, String>
    where
        for<'p> &'p mut P: TryFrom<&'p mut Program, Error = ProgramError>,
    {
        let program = self.tried.get_mut(name);
        let program: &mut Program =
            program.ok_or_else(|| format!("the object has no program {name}"))?;
        program
            .try_into()
            .map_err(|error: ProgramError| in_short(&error))
    }

    /// Attaches a program and, where the object has one and this kernel skips
    /// programs at all, its second copy, which sees what the first one is skipped
    /// for: both or none.
    fn with_copy(
        &mut self,
        name: &str,
        attach: impl Fn(&mut Self, &str) -> Result<(), String>,
    ) -> Result<(), String> {
        attach(self, name)?;
        let copy = format!("{name}{COPY}");
        if !self.preload.has(&copy) || self.counts_skips != Some(true) {
            return Ok(());
        }
        let attached = attach(self, &copy);
        if attached.is_err()
            && let Some(first) = self.tried.get_mut(name)
        {
            unload(first);
        }
        attached
    }
}
