//! What is told of a run: text for people, JSON for machines.

use std::{collections::BTreeMap, fmt, path::Path};

use serde::Serialize;

use crate::{inflict::Inflicted, judge::Verdict};

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What decided the plan.
    pub seed: u64,
    /// From the first sale to the last fault's end, in seconds.
    pub fault_seconds: f64,
    /// From the last fault's end until everything was settled, in seconds.
    pub recovery_seconds: f64,
    /// What happened, by kind.
    pub kinds: BTreeMap<String, usize>,
    /// Whether clocks were stepped: that needs Linux.
    pub clocks_were_stepped: bool,
    /// What was still on its way when the patience was over.
    pub unsettled: Option<String>,
    /// What it came to.
    pub verdict: Verdict,
    /// Messages that no consumer could take.
    pub dead_messages: u64,
    /// Processes of ours that ended without a fault.
    pub ended_by_themselves: Vec<String>,
    /// Answers to shops that no outage explains.
    pub surprises: Vec<String>,
    /// What happened, one by one.
    pub faults: Vec<Inflicted>,
}

impl Report {
    /// Whether everything is as it must be.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.verdict.holds()
            && self.unsettled.is_none()
            && self.dead_messages == 0
            && self.ended_by_themselves.is_empty()
            && self.surprises.is_empty()
    }

    /// Writes `report.txt` and `report.json`.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::write(folder.join("report.txt"), self.to_string())?;
        std::fs::write(folder.join("report.json"), serde_json::to_vec_pretty(self)?)?;
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = &self.verdict;
        writeln!(formatter, "seed              {}", self.seed)?;
        writeln!(formatter, "faults            {} in {:.0} s", self.faults.len(), self.fault_seconds)?;
        for (kind, count) in &self.kinds {
            writeln!(formatter, "  {count:>4}  {kind}")?;
        }
        if !self.clocks_were_stepped {
            writeln!(formatter, "        no clock was stepped: that needs Linux")?;
        }
        writeln!(formatter, "recovery          {:.1} s after the last fault", self.recovery_seconds)?;
        writeln!(formatter, "sales             {}", verdict.sales)?;
        writeln!(formatter, "licences          {}", verdict.licenses)?;
        writeln!(
            formatter,
            "acts              {} on {} licences, {} of which were left alone after an answer that did not come",
            verdict.acts, verdict.licenses_acted_on, verdict.cut_short
        )?;
        writeln!(
            formatter,
            "deliveries        {}, {} dead by the schedule",
            verdict.deliveries, verdict.dead
        )?;
        writeln!(
            formatter,
            "attempts          {}, {} of them lost with their replica",
            verdict.attempts, verdict.attempts_lost
        )?;
        writeln!(formatter, "requests received {}", verdict.receipts)?;
        list(formatter, "lost", &verdict.lost)?;
        list(formatter, "issued twice", &verdict.issued_twice)?;
        list(formatter, "stand wrong", &verdict.wrong)?;
        let told_twice = verdict.told_twice.iter().map(|one| {
            format!("{}, request {}; on record: {}", one.delivery_id, one.request, one.attempts.join(", "))
        });
        list(formatter, "told twice", &told_twice.collect::<Vec<_>>())?;
        list(formatter, "not on record", &verdict.unrecorded)?;
        list(formatter, "not settled", self.unsettled.as_slice())?;
        writeln!(formatter, "dead letters      {}", self.dead_messages)?;
        list(formatter, "ended alone", &self.ended_by_themselves)?;
        list(formatter, "surprises", &self.surprises)?;
        writeln!(formatter, "{}", if self.holds() { "it holds" } else { "IT DOES NOT HOLD" })
    }
}

fn list(formatter: &mut fmt::Formatter<'_>, name: &str, items: &[String]) -> fmt::Result {
    writeln!(formatter, "{name:<17} {}", items.len())?;
    items.iter().try_for_each(|item| writeln!(formatter, "        {item}"))
}
