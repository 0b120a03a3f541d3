//! What processes take of the processor and the memory, as Linux counts it.

use std::{collections::BTreeMap, fs, time::Duration};

use anyhow::Context as _;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::report::rounded;

/// `USER_HZ` is 100 on every architecture that Linux's tables of processes are read on here.
const TICK: Duration = Duration::from_millis(10);

/// Names of processes and their ids. Children count with their parent, unless they are named themselves.
pub(crate) type Processes = Vec<(&'static str, u32)>;

/// Which share of a core each has taken since.
pub(crate) struct Watch {
    processes: Processes,
    before: BTreeMap<&'static str, Duration>,
    began: Instant,
}

impl Watch {
    pub(crate) fn start(processes: Processes) -> anyhow::Result<Self> {
        let before = used(&processes)?;
        Ok(Self { processes, before, began: Instant::now() })
    }

    /// Cores that each name was busy on, in the mean since the start.
    pub(crate) fn cores(&self) -> anyhow::Result<Map<String, Value>> {
        let took = self.began.elapsed().as_secs_f64();
        let share = |(name, now): (&'static str, Duration)| {
            let before = self.before.get(name).copied().unwrap_or_default();
            (name.to_owned(), rounded(now.saturating_sub(before).as_secs_f64() / took).into())
        };
        Ok(used(&self.processes)?.into_iter().map(share).collect())
    }
}

fn used(processes: &Processes) -> anyhow::Result<BTreeMap<&'static str, Duration>> {
    let all = all_times()?;
    let mut used = BTreeMap::new();
    for (name, id) in processes {
        let is_named = |one: &&Times| processes.iter().any(|(_, named)| *named == one.id);
        let children = all.iter().filter(|one| one.parent == *id && !is_named(one));
        let own = all.iter().filter(|one| one.id == *id).chain(children);
        *used.entry(*name).or_default() += TICK * own.map(|one| one.ticks).sum::<u32>();
    }
    Ok(used)
}

/// What one line of `/proc/<id>/stat` says (proc(5)).
#[derive(Debug, PartialEq, Eq)]
struct Times {
    id: u32,
    parent: u32,
    ticks: u32,
}

fn all_times() -> anyhow::Result<Vec<Times>> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc").context("the shares of processes are read from Linux's /proc")? {
        // It may have ended meanwhile.
        let stat = fs::read_to_string(entry?.path().join("stat"));
        all.extend(stat.ok().as_deref().and_then(times));
    }
    Ok(all)
}

/// The name, in parentheses, may hold anything; what is counted from comes behind it.
fn times(stat: &str) -> Option<Times> {
    let id = stat.split_once(' ')?.0.parse().ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u32>().ok();
    // utime, stime, and both of the children that have ended: fields 14 to 17, the state being the third.
    let ticks = (11..15).map(number).sum::<Option<u32>>()?;
    Some(Times { id, parent: number(1)?, ticks })
}

/// The most that a process ever had resident, in MiB.
pub(crate) fn peak_mib(id: u32) -> anyhow::Result<f64> {
    peak_in(&fs::read_to_string(format!("/proc/{id}/status"))?).context("no VmHWM")
}

fn peak_in(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u32 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(f64::from(kib) / 1024.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::float_cmp)]

    use super::*;

    #[test]
    fn a_line_of_stat_is_read_behind_its_name() {
        let stat = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 100 20 3 4 20 0 1 0 99 1 1";
        assert_eq!(times(stat), Some(Times { id: 42, parent: 7, ticks: 127 }));
        assert_eq!(times("42 (a) S 7"), None);
        assert_eq!(times(""), None);
    }

    #[test]
    fn the_peak_is_the_high_water_mark() {
        assert_eq!(peak_in("VmPeak:\t 9 kB\nVmHWM:\t   2048 kB\nVmRSS:\t 1024 kB\n"), Some(2.0));
        assert_eq!(peak_in("VmRSS:\t 1024 kB\n"), None);
    }

    #[test]
    fn this_process_has_taken_something() {
        let own = vec![("own", std::process::id())];
        let watch = Watch::start(own).unwrap();
        let began = Instant::now();
        while began.elapsed() < 5 * TICK {}
        assert!(watch.cores().unwrap()["own"].as_f64().unwrap() > 0.0);
        assert!(peak_mib(std::process::id()).unwrap() > 0.5);
    }
}
