//! What a batch of results tells of the endpoints' health. Windows of attempts are counted in memory, from the first
//! failure on, by each replica for itself; what follows from them is kept in the endpoint's row and told to the others.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    domain::{
        answer::Outcome,
        circuit::Window,
        event::ENDPOINT_VERIFICATION,
        health::{HealthRules, Signs},
        kind::Kind,
    },
    sender::{Attempted, Finished, Job},
};

/// The last attempts of the endpoints that have failed lately.
#[derive(Clone, Default)]
pub(super) struct Windows(Arc<Mutex<HashMap<String, Window>>>);

impl Windows {
    /// Marks the endpoints of which too many attempts have failed, with these.
    pub(super) fn weigh(&self, signs: &mut BTreeMap<&str, Signs>, rules: &HealthRules, now_ms: i64) {
        let windows = self.windows();
        for (id, signs) in signs.iter_mut().filter(|(_, signs)| signs.failed > 0) {
            let window = windows.get(*id).copied().unwrap_or_else(|| Window::new(now_ms));
            signs.trips =
                window.with(signs.failed, signs.succeeded, now_ms, &rules.circuit).trips(&rules.circuit);
        }
    }

    /// Counts what was recorded. An endpoint whose circuit has opened begins afresh when that is closed.
    pub(super) fn count(&self, signs: &BTreeMap<&str, Signs>, rules: &HealthRules, now_ms: i64) {
        let mut windows = self.windows();
        for (id, signs) in signs {
            if signs.failed > 0 && !windows.contains_key(*id) {
                windows.insert((*id).to_owned(), Window::new(now_ms));
            }
            let Some(window) = windows.get_mut(*id) else { continue };
            *window = window.with(signs.failed, signs.succeeded, now_ms, &rules.circuit);
            if signs.trips || signs.probe.is_some() || window.is_over(now_ms, &rules.circuit) {
                windows.remove(*id);
            }
        }
    }

    /// Forgets what says nothing any more.
    pub(super) fn tidy(&self, rules: &HealthRules, now_ms: i64) {
        self.windows().retain(|_, window| !window.is_over(now_ms, &rules.circuit));
    }

    fn windows(&self) -> MutexGuard<'_, HashMap<String, Window>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the attempts that `counts` tell of their endpoints. Callbacks tell nothing: what an app answers to one shop
/// changes nothing about its endpoint, which its other shops still need, and an Install must not wait for a circuit
/// longer than it is tried (contracts.md section 4).
pub(super) fn signs_of(batch: &[Finished], counts: impl Fn(&Job) -> bool) -> BTreeMap<&str, Signs> {
    let mut all: BTreeMap<&str, Signs> = BTreeMap::new();
    for (job, attempted) in batch.iter().filter_map(|it| Some((&it.job, it.attempt.made()?))) {
        if job.kind() == Kind::Webhook && counts(job) {
            add(all.entry(job.recipient.endpoint_id.as_str()).or_default(), job, attempted);
        }
    }
    all
}

fn add(signs: &mut Signs, job: &Job, attempted: &Attempted) {
    let is_success = attempted.answer.outcome == Outcome::Success;
    if is_success {
        signs.succeeded += 1;
        signs.is_verified |= job.event == ENDPOINT_VERIFICATION;
    } else {
        signs.failed += 1;
    }
    if job.is_probe {
        signs.probe = Some(is_success);
    }
    signs.failing_since_ms = signs.failing_since_ms.or(job.recipient.failing_since_ms);
}
