//! `whydrop demo NAME`: each scene is what it says, `why` finds it, and nothing of it stays.

use std::fs;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use whydrop_tests::answer::{of_scene, verdicts};
use whydrop_tests::cgroup::Cgroup;
use whydrop_tests::command::{Over, Running, whydrop};
use whydrop_tests::deadline::{soon, wait_until};
use whydrop_tests::netns::Netns;
use whydrop_tests::nftables;
use whydrop_tests::skip::{is_before, is_hidden, skip};
use whydrop_tests::verdict::say_verdict;
use whydrop_tests::whydrop::run;

/// The scene tracks no more.
const MANY_CONNECTIONS: u32 = 262_144;

/// A test of each, of those that every kernel can show and of others, and one that these are all.
macro_rules! scenes {
    ($($name:ident)* ; $($other:ident)*) => {
        $(
            #[test]
            fn $name() -> Result<()> {
                plays(&named(stringify!($name)))
            }
        )*

        #[test]
        fn the_list_has_every_scene() -> Result<()> {
            let over = Running::start(whydrop("demo", &["--list"])?)?.finish()?;
            over.ensure_status(0)?;
            let text = String::from_utf8(over.stdout)?;
            let listed = text.lines().filter_map(|line| line.split_whitespace().next());
            let mut listed: Vec<String> = listed.map(str::to_owned).collect();
            let tested = [$(stringify!($name),)* $(stringify!($other),)*];
            let mut tested = tested.map(named);
            listed.sort();
            tested.sort();
            ensure!(listed == tested, "{listed:?}, and tested are {tested:?}");
            Ok(())
        }
    };
}

fn named(test: &str) -> String {
    test.replace('_', "-")
}

scenes! {
    acceptor_stopped
    acceptor_frozen
    acceptor_blocked
    acceptor_saturated
    acceptor_starved
    fd_exhausted
    accept_paused_by_application
    listener_unused
    acceptor_missing
    garbage_collection
    backlog_too_small
    somaxconn_clamps_backlog
    backlog_zero
    reuseport_imbalance
    reuseport_orphan
    abort_on_overflow
    cookies_with_full_queue
    syn_flood
    legitimate_burst
    cookies_off
    listener_closed_with_queue
    defer_accept_holds_requests
    process_died
    no_listener
    listener_elsewhere
    listener_restarting
    memory_or_route
    sound_server
    good_restart
    source_ports_exhausted
    ;
    redirected_elsewhere
    cpu_throttled
    memory_stalled
    backlog_too_deep
    path_loss
    conntrack_full
    rejected_by_firewall
    timestamps_rejected
    dropped_by_kernel
}

fn plays(name: &str) -> Result<()> {
    let (over, answer) = played(name)?;
    is_right(name, &over, &answer)
}

fn played(name: &str) -> Result<(Over, Value)> {
    // A VM has not mounted the tree, which some scenes need.
    let _tree = Cgroup::root()?;
    let (over, answer) = of_scene(name)?;
    let answer = answer.with_context(|| format!("{:?}: {}", over.status, over.stderr))?;
    ensure!(answer["scene"] == name, "another scene: {answer:#}");
    ensure!(answer["adds_up"] == true, "it does not add up: {answer:#}");
    Ok((over, answer))
}

fn is_right(name: &str, over: &Over, answer: &Value) -> Result<()> {
    let truth = ids(&answer["truth"], |id| id);
    let given = verdicts(answer)?;
    say_verdict(&truth, &given)?;
    ensure!(
        given == truth,
        "{name}: {given:?}, not {truth:?}: {answer:#}"
    );
    over.ensure_status(0)
}

/// Where no hook tells of it, that is said, and nothing else.
fn plays_if_told(name: &str) -> Result<()> {
    let (over, answer) = played(name)?;
    if !is_hidden(&answer, "abstained", name)? {
        return is_right(name, &over, &answer);
    }
    over.ensure_status(3)?;
    let given = verdicts(&answer)?;
    ensure!(given.is_empty(), "{given:?}: {answer:#}");
    over.ensure_says("not visible")?;
    Ok(())
}

/// On a kernel that cannot show it, it says so and what is missing.
fn cannot_play(name: &str, missing: &str) -> Result<()> {
    let over = Running::start(whydrop("demo", &[name])?)?.finish()?;
    over.ensure_status(3)?;
    over.ensure_says(missing)?;
    Ok(())
}

fn ids(list: &Value, id: impl Fn(&Value) -> &Value) -> Vec<&str> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(|item| id(item).as_str()).collect()
}

#[test]
fn cpu_throttled() -> Result<()> {
    let cgroup = Cgroup::new("has-cpu")?;
    if cgroup.enable("cpu")? {
        return plays("cpu-throttled");
    }
    cannot_play("cpu-throttled", "no cpu controller")
}

#[test]
fn memory_stalled() -> Result<()> {
    if fs::read("/proc/pressure/memory").is_err() {
        return cannot_play("memory-stalled", "psi=1");
    }
    let cgroup = Cgroup::new("has-memory")?;
    if cgroup.enable("memory")? {
        return plays("memory-stalled");
    }
    cannot_play("memory-stalled", "no memory controller")
}

#[test]
fn backlog_too_deep() -> Result<()> {
    plays_if_told("backlog-too-deep")
}

#[test]
fn path_loss() -> Result<()> {
    plays_if_told("path-loss")
}

#[test]
fn dropped_by_kernel() -> Result<()> {
    if is_before(6, 1)? {
        return skip("this kernel gives no reasons for drops");
    }
    plays("dropped-by-kernel")
}

#[test]
fn timestamps_rejected() -> Result<()> {
    if is_before(6, 14)? {
        return cannot_play("timestamps-rejected", "from 6.14 on");
    }
    plays("timestamps-rejected")
}

#[test]
fn rejected_by_firewall() -> Result<()> {
    if is_before(6, 1)? {
        return cannot_play("rejected-by-firewall", "from 6.1 on");
    }
    if !Netns::new()?.run(nftables::drop_input)?? {
        return cannot_play("rejected-by-firewall", "no such firewall");
    }
    plays("rejected-by-firewall")
}

#[test]
fn redirected_elsewhere() -> Result<()> {
    if !Netns::new()?.run(nftables::track_connections)?? {
        return cannot_play("redirected-elsewhere", "no such firewall");
    }
    plays("redirected-elsewhere")
}

#[test]
fn conntrack_full() -> Result<()> {
    if is_before(6, 1)? {
        return cannot_play("conntrack-full", "from 6.1 on");
    }
    if !Netns::new()?.run(nftables::track_connections)?? {
        return cannot_play("conntrack-full", "no such firewall");
    }
    let limit = fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_max")?;
    if limit.trim().parse::<u32>()? > MANY_CONNECTIONS {
        return cannot_play("conntrack-full", "nf_conntrack_max");
    }
    plays("conntrack-full")
}

#[test]
fn an_unknown_scene_is_answered_by_the_list() -> Result<()> {
    let stopped = run(&["demo", "acceptor-bored"])?;
    ensure!(stopped.code == Some(2), "status {:?}", stopped.code);
    for name in ["acceptor-bored", "acceptor-stopped", "good-restart"] {
        ensure!(stopped.stderr.contains(name), "{}", stopped.stderr);
    }
    Ok(())
}

#[test]
fn nothing_stays_after_an_interrupt() -> Result<()> {
    let (demo, left) = in_the_middle()?;
    demo.signal(Signal::INT)?;
    let over = demo.finish()?;
    over.ensure_status(0)?;
    let text = String::from_utf8_lossy(&over.stdout);
    ensure!(text.contains("ended early"), "{text}");
    left.is_gone()
}

#[test]
fn nothing_stays_after_a_kill() -> Result<()> {
    let (mut demo, left) = in_the_middle()?;
    demo.signal(Signal::KILL)?;
    demo.wait()?;
    left.is_gone()
}

/// What a scene has made.
struct Made {
    processes: Vec<u32>,
    cgroup: String,
    _tree: Cgroup,
}

/// A demo that watches a server in a frozen cgroup.
fn in_the_middle() -> Result<(Running, Made)> {
    let tree = Cgroup::root()?;
    let mut demo = Running::start(whydrop("demo", &["acceptor-frozen"])?)?;
    while !demo.line()?.starts_with("watching for") {}
    let mut made = Made {
        processes: Vec::new(),
        cgroup: String::new(),
        _tree: tree,
    };
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok());
        if let Some(pid) = pid
            && parent_and_state(pid).is_some_and(|(parent, _)| parent == demo.pid())
        {
            made.processes.push(pid);
            let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
            let own = cgroups.lines().find_map(|line| line.strip_prefix("0::"));
            if let Some(own) = own.filter(|own| own.contains("whydrop-demo")) {
                own.clone_into(&mut made.cgroup);
            }
        }
    }
    ensure!(made.processes.len() == 2, "{:?}", made.processes);
    ensure!(made.has_cgroup()?, "no cgroup of its own");
    Ok((demo, made))
}

impl Made {
    fn has_cgroup(&self) -> Result<bool> {
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let mount = mounts.lines().find(|line| line.contains(" cgroup2 "));
        let point = mount.and_then(|line| line.split(' ').nth(1));
        let point = point.context("cgroup2 is not mounted")?;
        Ok(!self.cgroup.is_empty() && fs::exists(format!("{point}{}", self.cgroup))?)
    }

    fn is_gone(&self) -> Result<()> {
        wait_until("the end of what the demo made", soon(), || {
            let ended = |pid: &u32| parent_and_state(*pid).is_none_or(|(_, state)| state == 'Z');
            Ok(self.processes.iter().all(ended) && !self.has_cgroup()?)
        })
    }
}

/// `PID (comm) S PPID …`
fn parent_and_state(pid: u32) -> Option<(u32, char)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut words = stat.rsplit_once(") ")?.1.split(' ');
    let state = words.next()?.chars().next()?;
    Some((words.next()?.parse().ok()?, state))
}
