//! The answer as a report for a ticket.

use std::fmt::{self, Write as _};

use super::place::Known;
use crate::{
    model::{Answer, ListenerAnswer, verdict::Verdict},
    sink::text::Clean,
};

impl Answer {
    pub(super) fn write_markdown(&self, to: &mut String) -> fmt::Result {
        writeln!(to, "# Why {} refuses connections\n", Clean(&self.target))?;
        writeln!(to, "```")?;
        self.write_ticket(to)?;
        writeln!(to, "```\n")?;
        if let Some(now) = &self.now {
            writeln!(to, "Before:\n\n```")?;
            now.write_to(to)?;
            writeln!(to, "```\n\nThen {}.\n", self.in_a_sentence())?;
        } else {
            writeln!(to, "What was there before is not recorded.\n")?;
            writeln!(to, "Seen: {}.\n", self.in_a_sentence())?;
        }
        self.write_early(to)?;
        self.write_tried(to)?;
        if self.tried.is_some() || self.early.is_some() {
            writeln!(to)?;
        }
        for answer in &self.answers {
            answer.write_markdown(self.known(), to)?;
        }
        self.write_others(to)?;
        self.write_log(to)?;
        writeln!(to, "## The rest\n\n```")?;
        self.write_end(to)?;
        writeln!(to, "```")
    }
}

impl ListenerAnswer {
    fn write_markdown(&self, known: Known<'_>, to: &mut String) -> fmt::Result {
        let title = self.title(known);
        let words: Vec<&str> = title.split_whitespace().collect();
        writeln!(to, "## {}\n", words.join(" "))?;
        writeln!(to, "```")?;
        self.write_counts(to)?;
        self.write_members(to)?;
        self.write_top_clients(to)?;
        self.write_incidents(known, to)?;
        writeln!(to, "```\n")?;
        for verdict in &self.diagnosis.verdicts {
            write_verdict(verdict, to)?;
        }
        let mut rest = String::new();
        self.write_rest(known, &mut rest)?;
        if rest.is_empty() {
            return Ok(());
        }
        writeln!(to, "```\n{rest}```\n")
    }
}

fn write_verdict(verdict: &Verdict, to: &mut String) -> fmt::Result {
    writeln!(
        to,
        "### {} ({})\n\n{}.\n\nEvidence:\n",
        verdict.id,
        verdict.confidence.name(),
        verdict.says
    )?;
    for evidence in &verdict.evidence {
        writeln!(to, "- {} ({})", Clean(&evidence.says), evidence.from)?;
    }
    writeln!(to, "\nWhat to do:\n")?;
    for (n, advice) in verdict.advice.iter().enumerate() {
        writeln!(to, "{}. {advice}", n + 1)?;
    }
    writeln!(to)
}
