//! The command line. `--help` teaches: what the tool sees, what a line means,
//! what the exit status says.

pub mod config;
pub mod words;

use clap::{Parser, Subcommand};

use crate::{
    command::{
        check::CheckArgs, demo, explain::ExplainArgs, list::ListArgs, record::RecordCommand,
        replay::ReplayArgs, run::RunArgs, verify::VerifyArgs, watch::WatchArgs, why::WhyArgs,
    },
    serve::ServeArgs,
};

/// Says when, where and why the kernel drops or refuses TCP connections at a listener
///
/// whydrop watches the kernel take the decision and writes one line per event:
/// who connected, to which listener, whose process it is, and how full its
/// queue was at that instant. At the end it compares what it saw with the
/// kernel's own counters.
#[derive(Parser, Debug)]
#[command(
    name = "whydrop",
    version,
    args_conflicts_with_subcommands = true,
    after_help = AFTER,
    after_long_help = AFTER_LONG
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Options of `watch` may be given without naming it
    #[command(flatten)]
    pub watch: WatchArgs,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Print each refused connection as it happens (the default)
    Watch(Box<WatchArgs>),
    /// Start a command, and say what was refused while it ran
    #[command(after_help = RUN)]
    Run(RunArgs),
    /// Watch one listener for a while, and say whether it took everybody who came
    #[command(after_help = VERIFY)]
    Verify(VerifyArgs),
    /// Say which hooks this kernel allows, by trying each
    Check(CheckArgs),
    /// Say why a port refuses connections: looks, watches, and answers with evidence and advice
    Why(WhyArgs),
    /// Create a cause in a private namespace and show it: a listener that stops accepting, or another by name
    #[command(after_help = DEMO)]
    Demo(demo::DemoArgs),
    #[command(hide = true, subcommand)]
    DemoHelper(demo::Helper),
    #[command(hide = true)]
    AttachEmpty,
    /// List every listener with its queue, its limit, its owner, and what may go wrong
    ///
    /// Shows what `ss -ltn` shows, in every network namespace, and what it does not:
    /// where the limit comes from, the SO_REUSEPORT group, the unit or container, and
    /// what may go wrong, the worst first. It needs no hook and watches nothing: it
    /// shows how things are at this moment.
    #[command(after_long_help = LIST)]
    List(ListArgs),
    /// Keep everything in a file instead of showing it, alone or while a command runs
    #[command(mut_arg("format", |arg| arg.hide(true)), mut_arg("path", |arg| arg.hide(true)), mut_arg("output", |arg| arg.value_name("FILE|DIR").help("Record into this new file, or into a new file in this folder")), after_help = RECORD)]
    Record(Box<RecordCommand>),
    /// Print a recording again: as it was printed live, or a part of it
    #[command(after_help = REPLAY)]
    Replay(ReplayArgs),
    /// Watch for good: metrics for Prometheus, incidents as lines, a recording, and a word to the service manager
    #[command(after_help = SERVE)]
    Serve(Box<ServeArgs>),
    /// Print a JSON Schema of every line and object that whydrop writes
    ///
    /// Draft 2020-12. docs/output.md says what the members mean. Later versions may
    /// add members; a change of meaning raises `schema`.
    Schema,
    /// Explain the name of a cause, an event or a verdict
    ///
    /// Prints what docs/causes.md and docs/verdicts.md, which are part of this
    /// binary, say about a name: what happened, what the client saw, which counters
    /// moved, and what it is not. Without a name, it lists all of them, one a line.
    Explain(ExplainArgs),
}

const AFTER: &str =
    "Try: whydrop demo, then whydrop --listener :8080; or whydrop 8080 for an answer";

const AFTER_LONG: &str = "\
Events:
  overflow           refused: the accept queue was full (ListenOverflows)
  request-drop       refused: the SYN queue was full (TCPReqQFullDrop)
  listen-drop        refused at the listener for another reason (ListenDrops)
  refused            answered by a reset because nobody listens there: not at all,
                     only on another address or in another namespace, or no longer
  packet-drop        dropped before its listener decided, with the kernel's reason
  listener-closed    closed with connections in its queue that nobody accepted: they
                     are reset
  request-expired    the client never acknowledged the SYN-ACK
  cookie-sent        SYN queue full, answered by a SYN cookie: not refused
  fast-open-full     too many fast-open requests: an ordinary handshake goes on
  deferred-accept    TCP_DEFER_ACCEPT waits for data (with --events all)
  near-limit, eased  a queue passed a share of its room, or is well below it again
                     (with --warn)
  connected          an attempt that had been refused has connected (with --stories)
  synack-retransmit  the client has not answered the SYN-ACK yet
  retransmit         this host sent again: a SYN was not answered (or, with --events
                     all, anything else)
  reset-sent         this host refused or reset
  reset-received     this host was refused or reset
Stages: syn (the first packet), syn-ack (the answer), ack (the last of the \
handshake), cookie-ack (the last of a SYN-cookie handshake: the client believes \
it is connected), icmp (an error about a half-open request).

Filters choose lines: several of one kind are \"or\", different kinds are \"and\". \
What they leave out is counted all the same. At the end, the rows of listeners and the counts of refusals \
follow --listener, --netns, --pid, --comm, --cgroup, --container and --cause, but not --client: \
they are those of all clients. The kernel's counters are compared with all that \
was seen, shown or not. --pid and --comm leave out events whose owner is not known (yet), \
--cgroup and --container those without a cgroup.

A listener is written as 8080, :8080, *:8080, 10.0.0.1:8080, [fd00::1]:8080, localhost:8080 or :http, a length of time as 5 (seconds), \
500ms, 1m30s, 2h or 1d. `whydrop 8080` is `whydrop why 8080`.

A queue of 129/128 is full: a limit of 128 holds 129.

Examples:
  whydrop                              every refused connection on this host
  whydrop --listener :8080 --for 5m    one listener, five minutes
  whydrop --comm nginx --client fd00::/8
                                       what one service refused to one network
  whydrop --format json --output f     for machines; docs/output.md has the fields
  whydrop why :8080 --for 1m           why one port refuses, with evidence and advice
  whydrop demo backlog-too-small       a cause made for real, and what whydrop says about it
  whydrop --tier counters              without privileges: which listener, but not who
  whydrop run --fail-on-drop -- make load-test
                                       a test that fails when anything was refused
  whydrop verify 8080 --for 60s        did the fix hold?
  whydrop list                         every listener as it is now, the worst first
  whydrop explain ghost-connection     what a name means

Exit status: 0 done, 1 something failed (or was refused: `run --fail-on-drop`, `verify`), 2 wrong arguments, 3 this kernel cannot, \
4 a capability is missing.";

const RUN: &str = "\
The command keeps standard input, output and error; the report goes to standard error, or to a file. \
The report covers every listener of the host while the command runs, unless --listener or --netns choose. \
Signals are passed on to the command, but SIGINT and SIGQUIT: a terminal sends these to it as well. The command is not started if whydrop cannot watch.

Exit status: the command's own; 128 plus the number of the signal that ended it; 127 when it is not found, 126 when \
it cannot be started. With --fail-on-drop 1 when the command succeeded and something was refused or dropped \
before its listener, or when whydrop cannot tell. Before the command is started: 2 wrong arguments, \
3 this kernel cannot, 4 a capability is missing.";

const VERIFY: &str = "\
The listener holds when at least --at-least connections came, none was refused or dropped before the listener, \
and the accept queue always had --headroom. When fewer came, nothing is proved. \
Ctrl-C, SIGTERM or SIGHUP ends it early, and what was seen until then is judged.

Exit status: 0 it held; 1 it did not, nothing was proved, or whydrop cannot tell; 2 wrong arguments, 3 this kernel \
cannot, 4 a capability is missing.";

const RECORD: &str = "\
A recording is `watch --format json`, with more in each line, in zstd frames: `zstd -dc FILE | jq` reads it too. \
A file that exists is refused; in a folder each start makes a new file. A full disk does not end it: what could \
not be written is counted and reported, and recording goes on in a new part when there is room.

Exit status: that of the command, where one was given; otherwise as `watch`.

Examples:
  whydrop record                       into a file in this folder, until Ctrl-C
  whydrop record -o /var/lib/whydrop/ --rotate 64M --keep 1G --keep-for 7d
  whydrop record -o test.whydrop -- make load-test
  whydrop replay test.whydrop          print what was recorded";

const SERVE: &str = "\
It watches every namespace and prints incidents as `watch --quiet` does, with a word on standard error each minute. \
SIGHUP opens files anew, SIGUSR1 prints a summary, SIGTERM ends it with one. Everything counts from its start. \
docs/serve.md describes the metrics.

Exit status: 0 it was ended, 1 something failed, 2 wrong arguments, 3 this kernel cannot, 4 a capability is missing.

Examples:
  whydrop serve --metrics              http://127.0.0.1:9435/metrics, /healthz and /readyz
  whydrop serve --metrics unix:/run/whydrop/metrics.sock --record /var/lib/whydrop/ --keep 1G
  whydrop serve --textfile /var/lib/prometheus/node-exporter
  whydrop serve --config /etc/whydrop.toml --check-config";

const REPLAY: &str = "\
Without filters it prints, byte for byte, what was printed live in the same format. It says on standard error what \
the recording lacks (it was not closed, parts are gone, a disk was full), and what it lacks for --stories, \
--stats or --warn if the watch was not asked for them. Filters choose lines; the summary is that of everything.

Examples:
  whydrop replay test.whydrop
  whydrop replay test.whydrop --stories --client 10.0.0.0/8
  whydrop replay test.whydrop --redact clients -o report.whydrop
                                       a copy with other client addresses, for a bug report
  whydrop replay /var/lib/whydrop/ --since 03:00 --until 03:10 --listener :8080
  whydrop replay test.whydrop --format json | jq .";

const DEMO: &str = "\
With a name, it creates that cause with processes and a network namespace of its own, has \
`whydrop why` watch it, and says whether the answer is right. It takes some four seconds \
and leaves nothing behind.

Exit status: 0 the answer is right, or `undetermined`; 1 it is wrong, or something failed; \
2 wrong arguments, 3 this kernel or host cannot, 4 a capability is missing.

Examples:
  whydrop demo                         a listener that stops accepting, event by event
  whydrop demo --list                  every scene in one line
  whydrop demo acceptor-stopped        a server that is stopped, and why's answer";

const LIST: &str = "\
Columns:
  QUEUE       connections waiting for accept(2), and the limit: 129/128 is full
  LIMIT FROM  somaxconn: the limit is what net.core.somaxconn is, and a larger
              argument of listen(2) would not help. listen(): it is less, so it was
              the argument (or somaxconn, if that was raised since). old somaxconn:
              it is more, so somaxconn was lowered since
  DROPS       sk_drops since the socket was made. It is not a count of refusals: some
              count twice, and other packets count too
  GROUP       its number among those that share its address with SO_REUSEPORT
  OWNER       a process that holds it, and how many others do
  UNIT        container or systemd unit
Notes, which sort the rows: queue full, no process holds it, queue NN% \
full (from 50%), has dropped, limit 0, limit N is small (up to 16), somaxconn \
lowered, abort-on-overflow on, syncookies off; loopback only is no risk. Among \
equals the fuller queue comes first.

Without privileges it shows this namespace and the owners of your own sockets, and \
says what is not known.

Examples:
  whydrop list                         every listener of this host
  whydrop list :8080 10.0.0.1:9090     listeners that take these connections
  whydrop list --netns self --comm nginx
  whydrop list --format json           docs/output.md has the fields";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// A paragraph with breaks of its own is broken twice in a terminal that is narrower.
    #[test]
    fn paragraphs_of_help_are_left_to_the_terminal() {
        let mut command = Cli::command();
        command.build();
        let mut looked_at = 0;
        for command in std::iter::once(&command).chain(command.get_subcommands()) {
            let helps = [command.get_after_help(), command.get_after_long_help()];
            for help in helps.into_iter().flatten() {
                let text = help.to_string();
                let lines: Vec<&str> = text.lines().collect();
                let is_prose = |line: &str| !line.is_empty() && !line.starts_with(' ');
                for pair in lines.windows(2) {
                    let is_broken =
                        is_prose(pair[0]) && is_prose(pair[1]) && !pair[0].ends_with(':');
                    assert!(!is_broken, "{}: {pair:?}", command.get_name());
                }
                looked_at += 1;
            }
        }
        assert!(looked_at >= 7, "{looked_at} texts");
    }

    /// What is declared behind the options of a recording stands under their heading, whatever it is.
    #[test]
    fn options_stand_under_the_heading_that_they_belong_to() {
        let mut command = Cli::command();
        command.build();
        let mut looked_at = 0;
        for command in std::iter::once(&command).chain(command.get_subcommands()) {
            let all = command.get_arguments();
            for arg in all.filter(|arg| arg.get_help_heading() == Some("Recording")) {
                let id = arg.get_id().as_str();
                let is_theirs = ["path", "rotate", "keep", "keep_for"].contains(&id);
                assert!(is_theirs, "{} {id}", command.get_name());
                looked_at += 1;
            }
        }
        assert!(looked_at >= 20, "{looked_at} options");
    }
}
