//! What an unprivileged user does in namespaces of his own: each attack is a function that goes on until its input ends. This
//! program, started once more as that user, plays it; nothing here proves anything by itself.

use std::fs::File;
use std::io::Error;
use std::net::SocketAddr;
use std::num::NonZero;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use rustix::net::{
    AddressFamily, Protocol, SendFlags, SocketFlags, SocketType, sendto, socket_with,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use whydrop_tests::churn::{Refuser, in_new_netns};
use whydrop_tests::client::{Client, connect_here};
use whydrop_tests::every::Every;
use whydrop_tests::interface;
use whydrop_tests::segment::Segment;

/// Which one.
pub(super) const ATTACK: &str = "WHYDROP_ATTACK";

/// Said when it begins.
pub(super) const BEGINS: &str = "the attack begins";

const EVERY: Duration = Duration::from_millis(2);

#[test]
#[ignore = "it is the attacker of others"]
fn attacks() -> Result<()> {
    let Ok(name) = std::env::var(ATTACK) else {
        return Ok(());
    };
    more_descriptors()?;
    interface::set_up("lo")?;
    let until = Until::default();
    let over = Arc::clone(&until.0);
    // Not waited for: it reads until this ends.
    thread::spawn(move || {
        let read = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        over.store(true, Relaxed);
        read
    });
    match name.as_str() {
        "listeners" => listeners(&until),
        "namespaces" => namespaces(&until),
        "numbers" => numbers(&until),
        "many" => many(&until),
        "pipes" => pipes(&until),
        "garbage" => garbage(&until),
        "descriptors" => descriptors(&until),
        "flood" => flood(&until),
        _ => bail!("no attack is called {name}"),
    }
}

#[derive(Default)]
struct Until(Arc<AtomicBool>);

impl Until {
    fn is_over(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// libtest speaks without an end of its line first.
fn begins() {
    println!("\n{BEGINS}");
}

fn more_descriptors() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    )?)
}

/// One listener after the other, each of which refuses once.
fn listeners(until: &Until) -> Result<()> {
    begins();
    while !until.is_over() {
        Refuser::here()?.refuse(1)?;
    }
    Ok(())
}

/// One namespace after the other, in each of which something is refused.
fn namespaces(until: &Until) -> Result<()> {
    begins();
    while !until.is_over() {
        in_new_netns(|| Refuser::here()?.refuse(1))?;
    }
    Ok(())
}

/// Namespaces that refuse and end, each other one of which stays: numbers are used again at once.
fn numbers(until: &Until) -> Result<()> {
    const STAY: usize = 20;
    let mut stay = Vec::new();
    begins();
    while !until.is_over() {
        in_new_netns(|| Refuser::here()?.refuse(3))?;
        let kept = in_new_netns(|| {
            Refuser::here()?.refuse(1)?;
            own_netns()
        })?;
        if stay.len() < STAY {
            stay.push(kept);
        }
    }
    Ok(())
}

/// A descriptor that keeps the namespace of the calling thread.
fn own_netns() -> Result<File> {
    File::open("/proc/thread-self/ns/net").context("open an own namespace")
}

/// Many namespaces that stay, and one in which something is refused all the time.
fn many(until: &Until) -> Result<()> {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let at_most = limit.saturating_sub(100).min(1500) as usize;
    let mut stay = Vec::new();
    let refuser = Refuser::here()?;
    let mut every = Every::new(EVERY);
    begins();
    while !until.is_over() {
        if stay.len() < at_most {
            stay.push(in_new_netns(own_netns)?);
        }
        if every.is_due() {
            refuser.refuse(1)?;
        }
    }
    Ok(())
}

/// A listener in a namespace that only descriptors lead to, and its clients to be.
struct Hidden {
    _listener: Refuser,
    at: SocketAddr,
    netns: File,
}

/// Descriptors that lead to a namespace of his one moment, and to a pipe that nobody writes to the next: whoever opens them
/// waits for ever, unless he has looked at what he opens.
fn pipes(until: &Until) -> Result<()> {
    const NAMESPACES: usize = 60;
    const FIRST: i32 = 600;
    let folder = std::env::temp_dir().join(format!("whydrop-attack-{}", std::process::id()));
    mknodat(CWD, &folder, FileType::Fifo, Mode::RWXU, 0).context("a pipe with a name")?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let pipe = open(&folder, flags, Mode::empty());
    std::fs::remove_file(&folder)?;
    let pipe: OwnedFd = pipe?;
    let hidden = (0..NAMESPACES)
        .map(|_| {
            in_new_netns(|| {
                let listener = Refuser::here()?;
                Ok(Hidden {
                    at: listener.address(),
                    netns: own_netns()?,
                    _listener: listener,
                })
            })
        })
        .collect::<Result<Vec<Hidden>>>()?;
    let is_over = AtomicBool::new(false);
    begins();
    thread::scope(|scope| {
        let flips = || {
            while !is_over.load(Relaxed) {
                for (at, one) in (FIRST..).zip(&hidden) {
                    leads_to(at, pipe.as_raw_fd());
                    leads_to(at, one.netns.as_raw_fd());
                }
            }
        };
        scope.spawn(flips);
        let mut clients = Vec::new();
        let refused = connects(&hidden, until, &mut clients);
        is_over.store(true, Relaxed);
        refused
    })
}

/// Descriptor `at`, which only this module has, is another one of `what` from now on.
fn leads_to(at: i32, what: i32) {
    // SAFETY: the descriptors from there on are nobody else's, and `what` is open.
    unsafe { libc::dup2(what, at) };
}

/// From inside of each of them, over and over.
fn connects(hidden: &[Hidden], until: &Until, clients: &mut Vec<Client>) -> Result<()> {
    for one in hidden.iter().cycle() {
        if until.is_over() {
            break;
        }
        let client = thread::scope(|scope| {
            let inside = scope.spawn(|| {
                // SAFETY: a plain system call on a descriptor that is open.
                let moved = unsafe { libc::setns(one.netns.as_raw_fd(), libc::CLONE_NEWNET) };
                ensure!(moved == 0, "setns: {}", Error::last_os_error());
                connect_here(one.at)
            });
            inside
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        clients.push(client);
        if clients.len() > 500 {
            clients.clear();
        }
    }
    Ok(())
}

/// Segments with whatever flags, from many clients to a full listener of his.
fn garbage(until: &Until) -> Result<()> {
    const CLIENTS: u16 = 64;
    let refuser = Refuser::here()?;
    let flags = SocketFlags::CLOEXEC;
    let raw = Protocol::from_raw(NonZero::new(libc::IPPROTO_RAW as u32).context("a number")?);
    let raw = socket_with(AddressFamily::INET, SocketType::RAW, flags, Some(raw))?;
    begins();
    for round in 0_u32.. {
        if until.is_over() {
            break;
        }
        let [.., high, low] = (round as u16 % CLIENTS).to_be_bytes();
        let client = SocketAddr::from(([127, 1, high, low], 1024 + (round >> 6) as u16 % 64));
        let number = round << 12;
        let segment = Segment::new(
            client,
            refuser.address(),
            round as u8 & 0x3f,
            number,
            number / 3,
        );
        // The kernel may have no room for it.
        let _ = sendto(
            &raw,
            &segment.encode(),
            SendFlags::empty(),
            &refuser.address(),
        );
    }
    Ok(())
}

/// As many descriptors as he may have, and a listener that refuses meanwhile.
fn descriptors(until: &Until) -> Result<()> {
    let refuser = Refuser::here()?;
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // Some are left for clients.
    let at_most = limit.saturating_sub(100).min(20_000) as usize;
    let mut open = Vec::new();
    let mut every = Every::new(EVERY);
    begins();
    while !until.is_over() {
        if open.len() < at_most
            && let Ok(one) = File::open("/dev/null")
        {
            open.push(one);
        }
        if every.is_due() {
            refuser.refuse(1)?;
        }
    }
    Ok(())
}

/// Clients of many listeners at once, so that each has its own share of the lines.
fn flood(until: &Until) -> Result<()> {
    let refusers = (0..100)
        .map(|_| Refuser::here())
        .collect::<Result<Vec<_>>>()?;
    begins();
    while !until.is_over() {
        refusers.iter().try_for_each(|one| one.refuse(1))?;
    }
    Ok(())
}
