//! Puts the kernel side into the kernel: the embedded object and this kernel's
//! BTF come in; a [`Probe`] with its ring, its counts and a report of what is
//! attached goes out. The only room that knows aya; it never interprets a record.
//!
//! Every hook is chosen by trying: what loads and attaches here is used, what
//! does not is kept with the kernel's own words.

mod aged;
mod answer;
mod attach;
mod counts;
#[cfg(feature = "log")]
mod debug;
mod kfunc;
mod preload;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzz {
    //! Door of tests/fuzz.
    use crate::btf::{Btf, BtfError};

    /// Looks up all that the kernel side needs.
    pub fn layout(btf: &Btf) -> Result<(), BtfError> {
        super::Layout::of(btf).map(drop)
    }
}
mod empty;
mod generations;
mod layout;
mod looks;
mod names;
mod privilege;
mod programs;
mod read;
mod readings;
mod rootless;
mod skips;
mod stats;
mod wanted;

use std::{
    borrow::Cow,
    num::NonZeroU32,
    os::fd::{AsRawFd, RawFd},
    thread,
};

use aya::{Ebpf, EbpfLoader, Endianness, include_bytes_aligned, maps::RingBuf};
use probe_common::REFUSED_AT_MOST;
use thiserror::Error;

pub use self::{
    counts::Counts,
    empty::Empty,
    kfunc::loads_anywhere,
    privilege::{missing_capabilities, reads_every_netns},
    read::ReadError,
    stats::Stats,
    wanted::Wanted,
};
use self::{
    generations::{Generations, Turn},
    layout::Layout,
    looks::Looks,
    programs::with_attacher,
    skips::Skips,
};
use crate::{
    btf::{Btf, BtfError},
    model::{
        cause::Reasons,
        counted::Skipped,
        gone::{Gone, Names, TOGETHER},
        hook::HookReport,
        request::Request,
        tier::Tier,
    },
};

/// Why nothing could be attached.
#[derive(Debug, Error)]
pub enum LoadError {
    #[error(
        "watching the kernel needs {}; run whydrop as root or with these capabilities, or use `--tier counters`, which needs none: it names the losing listener from sock_diag and /proc/net/netstat, but no client",
        .0.join(", ")
    )]
    /// These capabilities are missing.
    Privilege(Vec<&'static str>),
    /// The kernel's type information cannot be used.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// This kernel does not allow that tier.
    #[error("this kernel does not allow the {tier} tier: {why}")]
    Unsupported { tier: String, why: String },
    /// The object is not as it should be.
    #[error("the eBPF object does not fit this kernel: {0}")]
    Object(String),
    #[error(
        "the kernel refuses BPF to this process although it has the capabilities ({0}); inside a user namespace or a \
         container they do not count: run whydrop on the host, or use `--tier counters`, which needs none"
    )]
    /// The kernel permits no BPF.
    NotPermitted(String),
    /// A map could not be read.
    #[error("{0}; nothing is watched, because the counts could not be read")]
    Unread(#[from] ReadError),
    #[error(
        "the kernel side was not loaded: too many open files ({0}); let whydrop open more (`ulimit -n 1024`)"
    )]
    /// A limit of this process is in the way.
    Limit(String),
}

impl LoadError {
    /// The same, or that a limit was met: whatever failed then says nothing about this kernel.
    fn or_limit(self) -> Self {
        match &self {
            Self::Unsupported { why, .. } | Self::Object(why) if is_limit(why) => {
                Self::Limit(why.clone())
            }
            _ => self,
        }
    }
}

/// Whether an answer of the kernel is that no more files may be opened, by this process or by this host.
fn is_limit(answer: &str) -> bool {
    let limits = [libc::EMFILE, libc::ENFILE];
    let mut limits = limits.map(std::io::Error::from_raw_os_error).into_iter();
    limits.any(|limit| answer.contains(&limit.to_string()))
}

/// A refusal for want of privilege is told apart from an object that does not fit.
fn object_error(error: aya::EbpfError) -> LoadError {
    let text = answer::in_short(&error);
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(this) = cause {
        let denied = this
            .downcast_ref::<std::io::Error>()
            .is_some_and(|io| io.kind() == std::io::ErrorKind::PermissionDenied);
        if denied {
            return LoadError::NotPermitted(text);
        }
        cause = this.source();
    }
    LoadError::Object(text)
}

static OBJECT: &[u8] = include_bytes_aligned!(env!("WHYDROP_OBJECT"));

/// What loading takes from this kernel's BTF, which is gone by then.
struct Fitted {
    layout: Layout,
    /// For what this kernel lets programs do.
    object: Cow<'static, [u8]>,
    /// What aya looks up.
    outline: Vec<u8>,
}

impl Fitted {
    fn to_this_kernel() -> Result<Self, LoadError> {
        let btf = Btf::of_kernel()?;
        let mut layout = Layout::of(&btf)?;
        let object = match kfunc::cast(&btf) {
            Some(cast) => {
                layout.have_cast();
                kfunc::with_calls(OBJECT, cast).into()
            }
            None => OBJECT.into(),
        };
        Ok(Self {
            layout,
            object,
            outline: btf.outline(attach::is_looked_up),
        })
    }
}

/// Makes the object's maps, and parses the outline meanwhile.
fn load(
    loader: &mut EbpfLoader<'_>,
    object: &[u8],
    outline: &[u8],
) -> Result<(Ebpf, Result<aya::Btf, String>), LoadError> {
    let parse = || {
        let parsed = aya::Btf::parse(outline, Endianness::default());
        parsed.map_err(|error| answer::in_short(&error))
    };
    let (ebpf, btf) = thread::scope(|scope| {
        let parsing = thread::Builder::new().spawn_scoped(scope, parse);
        let ebpf = loader.load(object);
        let parsed = parsing.ok().and_then(|parsing| parsing.join().ok());
        (ebpf, parsed.unwrap_or_else(parse))
    });
    Ok((ebpf.map_err(|error| object_error(error).or_limit())?, btf))
}

/// Has all threads take memory from one place, of which [`give_back_memory`] can give back all. What a thread took elsewhere,
/// this C library may keep (seen on 6.18: 4.6 MB, where a helper had parsed the outline).
fn share_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it has no preconditions.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1)
    };
}

/// Gives the kernel back what loading took and nothing needs any more: this C library keeps most of it (16 MB of the 30 left on 6.18).
fn give_back_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it has no preconditions.
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Counts and figures that are kept of listeners that are not known to have closed.
const FOLDED_AT_MOST: usize = 16_384;

/// What became of the maps of counts and figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    Same,
    /// Programs that begin from here on count in other maps.
    Begun,
    /// What was counted before that has been taken out of them.
    Emptied,
}

/// The attached kernel side. Dropping it detaches everything.
pub struct Probe {
    ring: RingBuf<aya::maps::MapData>,
    counts: Counts,
    generations: Generations,
    /// To whom something came in the generation that was taken out last.
    newest: Names,
    has_kprobes: bool,
    skips: Skips,
    /// What listeners go through.
    pub stats: Stats,
    /// What became of each hook.
    pub hooks: Vec<HookReport>,
    /// The kernel's own names of its reasons.
    pub reasons: Reasons,
    /// Kinds, causes and figures that no hook attached here can see.
    pub blind: Vec<&'static str>,
    /// What this kernel's BTF lacks.
    pub absent: Vec<String>,
    #[cfg(feature = "log")]
    debug_lines: debug::Lines,
    /// Owns the programs and so their links; `None` once detached.
    ebpf: Option<Ebpf>,
}

impl Probe {
    /// Loads the object and attaches what this kernel takes. Records are of this namespace only, where one is named, and
    /// of these listeners only, where there are any.
    pub fn attach(
        request: &Request,
        netns: Option<u32>,
        listeners: &[Wanted],
    ) -> Result<Self, LoadError> {
        let missing = missing_capabilities();
        if !missing.is_empty() {
            return Err(LoadError::Privilege(missing));
        }
        read::learn_cpus()?;
        share_memory();
        let fitted = Fitted::to_this_kernel()?;
        let layout = fitted.layout;
        let all_events = u32::from(request.all_events());
        let mut loader = rootless::loader();
        loader.map_max_entries("EVENTS", request.ring_bytes);
        layout.fill(&mut loader);
        generations::fit(&mut loader);
        let detail = request.detail.0.map_or(0, NonZeroU32::get);
        let warn = request.warn.map_or(0, u32::from);
        loader.override_global("WARN_PERCENT", &warn, true);
        // A map that nobody asked for takes no memory to speak of.
        let refused_at_most = if request.stories { REFUSED_AT_MOST } else { 16 };
        loader.map_max_entries("REFUSED", refused_at_most);
        let stories = u32::from(request.stories);
        loader.override_global("STORIES", &stories, true);
        loader.override_global("EVENTS_ALL", &all_events, true);
        loader.override_global("DETAIL_PER_SECOND", &detail, true);
        let only_listeners = u32::from(wanted::fits(listeners));
        let only_netns = netns.unwrap_or(0);
        loader.override_global("ONLY_LISTENERS", &only_listeners, true);
        loader.override_global("ONLY_NETNS", &only_netns, true);
        let (mut ebpf, btf) = load(&mut loader, &fitted.object, &fitted.outline)?;
        drop(loader);
        drop((fitted.object, fitted.outline));
        if only_listeners == 1 {
            wanted::fill(&mut ebpf, listeners).map_err(LoadError::Object)?;
        }
        // Its map has to be there, and to stay, before the programs that use it are loaded.
        #[cfg(feature = "log")]
        let debug_lines = debug::begin(&mut ebpf).map_err(LoadError::Object)?;
        let hooks = with_attacher(&mut ebpf, &btf, |attacher| {
            attach::all(attacher, request.tier, layout.arguments)
        })
        .map_err(LoadError::or_limit)?;
        // Which is no answer of the kernel's about a hook.
        if let Some(refused) = attach::limit_met(&hooks) {
            return Err(LoadError::Limit(refused.into()));
        }
        let blind = attach::blind(&hooks, layout.arguments);
        let mut absent = layout.absent;
        absent.extend(hooks.iter().filter_map(|hook| hook.unseen.clone()));
        // Every program is loaded by now; a map taken earlier would break a later load.
        let ring = ebpf
            .take_map("EVENTS")
            .ok_or_else(|| LoadError::Object("it has no map EVENTS".into()))
            .and_then(|map| RingBuf::try_from(map).map_err(|e| LoadError::Object(e.to_string())))?;
        let looks = Looks::beside(&hooks);
        drop(btf);
        give_back_memory();
        let counts = Counts::take(&mut ebpf, looks).map_err(LoadError::Object)?;
        let mut stats = Stats::take(&mut ebpf, looks).map_err(LoadError::Object)?;
        let generations = Generations::take(&mut ebpf, looks).map_err(LoadError::Object)?;
        if attach::sees_accept(&hooks) {
            stats.have_accept().map_err(LoadError::Object)?;
        }
        let skips = Skips::of(&ebpf)?;
        // What cannot be read now would be missing at the end.
        counts.totals()?;
        stats.figures()?;
        skips.read()?;
        Ok(Self {
            ring,
            counts,
            generations,
            newest: Names::new(),
            has_kprobes: looks.has_kprobes,
            skips,
            stats,
            blind,
            hooks,
            reasons: layout.reasons,
            absent,
            #[cfg(feature = "log")]
            debug_lines,
            ebpf: Some(ebpf),
        })
    }

    /// What each hook would be attached as here, tier by tier, detached again at once.
    pub fn try_everything() -> Result<Vec<HookReport>, LoadError> {
        let mut reports = Vec::new();
        for tier in [Tier::Trampoline, Tier::Kprobe, Tier::Cgroup] {
            let fitted = Fitted::to_this_kernel()?;
            let layout = fitted.layout;
            let mut loader = rootless::loader();
            layout.fill(&mut loader);
            let (mut ebpf, btf) = load(&mut loader, &fitted.object, &fitted.outline)?;
            with_attacher(&mut ebpf, &btf, |attacher| {
                reports.extend(attach::try_tier(attacher, tier));
                if tier == Tier::Cgroup {
                    reports.extend(attach::notices(attacher, None, layout.arguments));
                }
            });
        }
        Ok(reports)
    }

    /// The next record, if one is there.
    pub fn next_record(&mut self) -> Option<impl std::ops::Deref<Target = [u8]> + '_> {
        #[cfg(feature = "log")]
        self.debug_lines.flush();
        self.ring.next()
    }

    /// Runs of hooks that the kernel skipped, each of which may have been an event.
    pub fn skipped(&self) -> Result<Skipped, ReadError> {
        self.skips.read()
    }

    /// Takes the programs out of the kernel. What is in the ring stays readable.
    pub fn detach(&mut self) {
        self.ebpf = None;
    }

    /// The exact counts.
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Makes room for counts and figures, where it gets less, or `now`. To be called every second, and when much has come.
    pub fn make_room(&mut self, now: bool) -> Result<Room, ReadError> {
        match self.generations.go_on(now)? {
            Turn::Same => Ok(Room::Same),
            Turn::Begun => Ok(Room::Begun),
            Turn::Over(generation) => {
                self.newest.clear();
                self.counts.fold(generation, &mut self.newest)?;
                self.stats.fold(generation, &mut self.newest)?;
                self.generations.emptied();
                Ok(Room::Emptied)
            }
        }
    }

    /// Listeners that are not known to have closed, where there are too many to keep, since closings were lost: all to which
    /// nothing came lately.
    pub fn too_many(&self) -> Names {
        let (counts, figures) = (self.counts.names(), self.stats.names());
        if counts.len() + figures.len() <= FOLDED_AT_MOST {
            return Names::new();
        }
        let is_old =
            |name: &(u32, u64)| !matches!(name.1, 0 | TOGETHER) && !self.newest.contains(name);
        counts.chain(figures).filter(is_old).collect()
    }

    /// To whom something came in the generation that was taken out last, by the names that the counts have.
    pub const fn newest(&self) -> &Names {
        &self.newest
    }

    /// What was taken out of the maps of these is counted together from here on.
    pub fn forget(&mut self, gone: &Gone) {
        self.counts.forget(gone);
        self.stats.forget(gone);
    }

    /// The same, to make room in them.
    pub const fn counts_mut(&mut self) -> &mut Counts {
        &mut self.counts
    }

    /// Whether looks into maps keep hooks from running, and are made at another priority.
    pub const fn has_kprobes(&self) -> bool {
        self.has_kprobes
    }

    /// Whether a hook tells of connections that leave an accept queue.
    pub fn sees_accept(&self) -> bool {
        attach::sees_accept(&self.hooks)
    }

    /// Whether it tells of MPTCP connections too.
    pub fn sees_mptcp_accept(&self) -> bool {
        attach::sees_mptcp_accept(&self.hooks)
    }

    /// The tier that took the decisions' hooks.
    pub fn tier(&self) -> Tier {
        self.hooks
            .iter()
            .filter(|hook| hook.decides)
            .filter_map(|hook| hook.tier)
            .max()
            .unwrap_or(Tier::Counters)
    }
}

impl AsRawFd for Probe {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}
