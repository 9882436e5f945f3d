//! The counted instructions as a section for people.

use std::fmt::Write as _;

use anyhow::{Result, ensure};

use super::instructions::{BPFTRACE, Figure, Instructions, LEAST, TIERS, UNASKED, Whose};

/// Whydrop may take this share of what bpftrace takes for the same line.
const SHARE: f64 = 0.5;

const INTRODUCTION: &str = "\
# Instructions

This page says what whydrop and other tracers cost on each kernel. `cargo xtask bench --instructions` counts it in virtual
machines, and writes this file and instructions.json; nobody types it. Each machine is emulated by QEMU (TCG, x86_64, one
processor, `-icount shift=0`), where one instruction is one tick of the clock, so figures are the same on any machine.
The kernels are Debian's cloud kernels of the named series.

A packet's own instructions are those from write(2) on a TUN device until TCP has decided and the hooks are done. Those
of the whole machine go on until everything is told and nobody has anything to do any more, less those of a machine to
which no packet comes. Both are given above the same without a tracer. They include what a tracer does once in a while
when there is something to tell: one by one there are 50 a second. 7.2 does not tell how long its processor had nothing
to do, so its machine figures are those of tasks.

bpftrace runs scripts that print the time, both addresses, the queue and the name of a process
([drops-fentry.bt](../xtask/src/bench/drops-fentry.bt), [drops-kprobe.bt](../xtask/src/bench/drops-kprobe.bt)). whydrop may
take half of what the cheaper one takes. Lines are of all packets that were refused.

A packet's own instructions are more than those of bpftrace's program, which compares two numbers and copies some bytes:
whydrop's programs read the kernel's counters before and after, and count by listener, cause and namespace before they ask
the ring for room, so that lines add up to what the kernel counted. Up to 6.16 each read of kernel memory is also a call.
One by one, each refusal has a snapshot of its own from sock_diag, which bpftrace's lines do not have.
";

const REFUSED: &str = "
## A SYN that is refused

| kernel | tracer | its own | of bpftrace | | machine, 256 at once | of bpftrace | | machine, one by one | of bpftrace | | lines |
|---|---|---:|---:|---|---:|---:|---|---:|---:|---|---:|
";

const OTHERS: &str = "
## Other packets, their own, and a second without any

| kernel | tracer | a packet of a connection | a SYN that is answered | a final ACK that is refused | of bpftrace | | lines | machine, a second |
|---|---|---:|---:|---:|---:|---|---:|---:|
";

pub(super) fn document(instructions: &Instructions) -> Result<String> {
    ensure!(
        instructions.figures().next().is_some(),
        "no instructions were counted"
    );
    let mut text = INTRODUCTION.to_owned();
    if !instructions.counted.is_empty() {
        let _ = writeln!(text, "\n{}", instructions.counted);
    }
    if !instructions.versions.is_empty() {
        let _ = writeln!(text, "Debian's {}.", instructions.versions.join(", "));
    }
    for (heading, row) in [
        (REFUSED, refused as fn(&Instructions, &str, &str) -> String),
        (OTHERS, others),
    ] {
        text += heading;
        for kernel in instructions.kernels() {
            for tracer in instructions.tracers(kernel) {
                let cells = row(instructions, kernel, tracer);
                let _ = writeln!(text, "| {kernel} | {} | {cells} |", named(tracer));
            }
        }
    }
    text += &floors(instructions);
    text += "\ntcpsynbl and tcpdrop are not called for a SYN; tcpretrans is called when this host sends again.\n";
    if !instructions.unable.is_empty() {
        text += "\nNot there:\n\n";
    }
    for unable in &instructions.unable {
        let why: String = unable.why.chars().take(200).collect();
        let _ = writeln!(
            text,
            "- {}, {}: `{}`",
            unable.kernel,
            unable.tracer,
            why.replace('`', "'")
        );
    }
    let percent = |whose, path| 100.0 * instructions.difference(whose, path);
    let _ = writeln!(
        text,
        "\nWhen a kernel was booted again, what a refused SYN paid differed by {:.1} % at most, the machine's instructions by \
         {:.0} %, and by {:.0} % one by one (of all instructions, with those that it takes without a tracer).",
        percent(Whose::Packet, "refused"),
        percent(Whose::Machine, "refused"),
        percent(Whose::Machine, "alone"),
    );
    Ok(text)
}

/// What cannot be had for less, beside half of what bpftrace takes to tell of a SYN that is refused: measuring, in the packet's own
/// path, and saying as much, one by one.
fn floors(instructions: &Instructions) -> String {
    let above = |kernel: &str, tracer: &str, whose, path| {
        instructions.above(find(instructions, kernel, tracer, whose, path)?)
    };
    let half = |kernel: &str, whose, path| {
        let ours = find(instructions, kernel, TIERS[0], whose, path)?;
        Some(SHARE * instructions.above(ours)? / instructions.of_bpftrace(ours)?)
    };
    let measuring = |kernel: &&str| {
        let alone = above(kernel, TIERS[0], Whose::Packet, "taken")?;
        let record = above(kernel, TIERS[0], Whose::Packet, "refused")?
            - above(kernel, UNASKED, Whose::Packet, "refused")?;
        let half = half(kernel, Whose::Packet, "refused")?;
        Some(format!(
            "{kernel} {alone:.0}, {:.0} and {half:.0}",
            alone + record
        ))
    };
    let saying = |kernel: &&str| {
        let alone = above(kernel, LEAST, Whose::Machine, "alone")?;
        let own = above(kernel, TIERS[0], Whose::Packet, "alone")?;
        let half = half(kernel, Whose::Machine, "alone")?;
        Some(format!(
            "{kernel} {alone:.0}, {:.0} and {half:.0}",
            alone + own
        ))
    };
    let kernels = instructions.kernels();
    let measuring: Vec<String> = kernels.iter().filter_map(measuring).collect();
    let saying: Vec<String> = kernels.iter().filter_map(saying).collect();
    let mut text = String::new();
    if !measuring.is_empty() {
        let _ = writeln!(
            text,
            "\nOf a SYN that is answered there is nothing to tell, but its counters have to be read before and after: what that takes \
             by itself (trampoline); the same\nwith a record for a line, which is what a refusal takes less where another `--listener` \
             was asked for; and half of what bpftrace's program takes to\ntell of one that is refused: {}.",
            measuring.join("; ")
        );
    }
    if !saying.is_empty() {
        let _ = writeln!(
            text,
            "\nA thread that traces nothing, and each time is woken, asks sock_diag for a listener that it knows, looks whether its \
             process still has it, and writes 160 bytes:\nwhat that takes of the machine, one by one; the same with what the packet \
             pays itself (trampoline); and half of what bpftrace takes: {}.",
            saying.join("; ")
        );
    }
    text
}

fn refused(instructions: &Instructions, kernel: &str, tracer: &str) -> String {
    let find = |whose, path| find(instructions, kernel, tracer, whose, path);
    let all = [
        find(Whose::Packet, "refused"),
        find(Whose::Machine, "refused"),
        find(Whose::Machine, "alone"),
    ];
    let cells = all.map(|figure| judged(instructions, figure));
    format!("{} | {}", cells.join(" | "), lines(tracer, &all))
}

fn others(instructions: &Instructions, kernel: &str, tracer: &str) -> String {
    let find = |path| find(instructions, kernel, tracer, Whose::Packet, path);
    let ack = find("ack");
    let idle = self::find(instructions, kernel, tracer, Whose::Machine, "idle");
    format!(
        "{} | {} | {} | {} | {}",
        above(instructions, find("elsewhere")),
        above(instructions, find("taken")),
        judged(instructions, ack),
        lines(tracer, &[ack]),
        above(instructions, idle)
    )
}

fn find<'a>(
    instructions: &'a Instructions,
    kernel: &str,
    tracer: &str,
    whose: Whose,
    path: &str,
) -> Option<&'a Figure> {
    instructions.figures().find(|figure| {
        (figure.kernel.as_str(), figure.tracer.as_str()) == (kernel, tracer)
            && (figure.whose, figure.path.as_str()) == (whose, path)
    })
}

fn above(instructions: &Instructions, figure: Option<&Figure>) -> String {
    let above = figure.and_then(|figure| instructions.above(figure));
    // No figure is less than nothing by less than one.
    above.map_or_else(
        || "-".to_owned(),
        |above| format!("{}", above.round() as i64),
    )
}

/// Only whydrop has a bar, and only what has the same lines is a share of them.
fn judged(instructions: &Instructions, figure: Option<&Figure>) -> String {
    let above = above(instructions, figure);
    let figure = figure.filter(|figure| has_lines(&figure.tracer));
    let share = figure.and_then(|figure| Some((figure, instructions.of_bpftrace(figure)?)));
    let Some((figure, share)) = share else {
        return format!("{above} | | ");
    };
    let verdict = match TIERS.contains(&figure.tracer.as_str()) {
        true if share <= SHARE => "held",
        true => "**missed**",
        false => "",
    };
    format!("{above} | {share:.2} | {verdict}")
}

/// Whether it prints one for each that is refused.
fn has_lines(tracer: &str) -> bool {
    TIERS.contains(&tracer) || BPFTRACE.contains(&tracer)
}

fn lines(tracer: &str, figures: &[Option<&Figure>]) -> String {
    let figures = figures.iter().flatten();
    let packets: usize = figures.clone().map(|figure| figure.packets).sum();
    let lines: usize = figures.map(|figure| figure.lines).sum();
    if lines != packets && has_lines(tracer) {
        format!("**{lines} of {packets}**")
    } else {
        format!("{lines} of {packets}")
    }
}

fn named(tracer: &str) -> String {
    if TIERS.contains(&tracer) {
        format!("whydrop, {tracer}")
    } else {
        tracer.replace("bpftrace-", "bpftrace, ")
    }
}

#[cfg(test)]
mod tests {
    use super::super::instructions::tests::instructions;
    use super::*;

    #[test]
    fn whydrop_has_a_bar_and_lost_lines_are_marked() {
        let text = document(&instructions()).unwrap();
        assert!(text.contains(
            "| 6.12 | whydrop, trampoline | 1000 | 0.50 | held | - | |  | - | |  | 1792 of 1792 |"
        ));
        assert!(text.contains("| 6.12 | bpftrace, fentry | 2000 | 1.00 |  |"));
        assert!(text.contains("**1700 of 1792** |"));
    }

    #[test]
    fn what_measuring_alone_takes_is_said() {
        let mut instructions = instructions();
        assert_eq!(floors(&instructions), "");
        for line in [
            "BENCH packet nobody taken 4000.0 1792 0",
            "BENCH packet trampoline taken 4700.0 1792 0",
        ] {
            instructions.line("6.12", 0, line).expect("a figure");
        }
        assert_eq!(floors(&instructions), "");
        let unasked = "BENCH packet unasked refused 5600.0 1792 0";
        instructions.line("6.12", 0, unasked).expect("a figure");
        assert!(floors(&instructions).ends_with("refused: 6.12 700, 1100 and 1000.\n"));
        for line in [
            "BENCH machine nobody alone 9000.0 1000 0",
            "BENCH packet nobody alone 5000.0 7 0",
            "BENCH packet trampoline alone 7000.0 7 7",
            "BENCH machine least alone 39000.0 1000 1000",
            "BENCH machine trampoline alone 69000.0 1000 1000",
            "BENCH machine bpftrace-kprobe alone 59000.0 1000 1000",
        ] {
            instructions.line("6.12", 0, line).expect("a figure");
        }
        assert!(floors(&instructions).ends_with("takes: 6.12 30000, 32000 and 25000.\n"));
    }

    #[test]
    fn without_a_figure_there_is_no_document() {
        assert!(document(&Instructions::default()).is_err());
    }

    #[test]
    fn who_does_not_run_is_said() {
        let text = document(&instructions()).unwrap();
        assert!(text.contains("- 6.12, tcpsynbl: `it ended with exit status: 1: no BTF`"));
        assert!(text.contains("differed by 1.0 % at most"));
    }
}
