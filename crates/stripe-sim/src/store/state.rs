//! The state, and the questions asked of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::table::{Row, Table};
use crate::domain::delivery::{Delivery, Endpoint, Status};
use crate::domain::event::Event;
use crate::domain::session::{Session, Stage};

impl Row for Session {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Row for Event {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Row for Delivery {
    fn id(&self) -> &str {
        &self.id
    }
}

/// What was answered to an idempotency key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SavedAnswer {
    /// The call and its parameters.
    pub(crate) call: String,
    /// The request that was answered first.
    pub(crate) request_id: String,
    /// Its answer.
    pub(crate) body: Value,
    /// Unix time.
    pub(crate) at: i64,
}

/// Everything the stand-in remembers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) sessions: Table<Session>,
    pub(crate) events: Table<Event>,
    pub(crate) deliveries: Table<Delivery>,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) answers: BTreeMap<String, SavedAnswer>,
    pub(crate) paused: bool,
    /// Pending deliveries by their time; one in flight is not here.
    #[serde(skip)]
    due: BTreeSet<(i64, String)>,
    /// Open sessions by the time they expire.
    #[serde(skip)]
    expiring: BTreeSet<(i64, String)>,
}

impl State {
    /// The state with what is derived from it, after reading it from a file.
    pub(super) fn indexed(mut self) -> Self {
        self.due = self.deliveries.rows().iter().filter_map(due_at).collect();
        self.expiring = self.sessions.rows().iter().filter_map(expires_at).collect();
        self
    }

    /// Adds or replaces a session.
    pub(crate) fn put_session(&mut self, session: Session) {
        let key = (session.terms.expires_at, session.id.clone());
        match session.stage {
            Stage::Open { .. } => self.expiring.insert(key),
            _ => self.expiring.remove(&key),
        };
        self.sessions.put(session);
    }

    /// Adds or replaces a delivery that is not in flight.
    pub(crate) fn put_delivery(&mut self, delivery: Delivery) {
        self.due.extend(due_at(&delivery));
        self.deliveries.put(delivery);
    }

    /// Takes the first delivery whose time has come, for one attempt.
    pub(crate) fn claim_due(&mut self, now_ms: i64) -> Option<Delivery> {
        if self.paused || self.due.first()?.0 > now_ms {
            return None;
        }
        let (_, id) = self.due.pop_first()?;
        self.deliveries.find(&id).cloned()
    }

    /// When the next delivery is due.
    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        self.due.first().filter(|_| !self.paused).map(|(at, _)| *at)
    }

    /// The first session whose time has come.
    pub(crate) fn find_expired(&self, now: i64) -> Option<String> {
        self.expiring.first().filter(|(at, _)| *at <= now).map(|(_, id)| id.clone())
    }

    /// When the next session expires.
    pub(crate) fn next_expiry(&self) -> Option<i64> {
        self.expiring.first().map(|(at, _)| *at)
    }

    /// The endpoint of this id.
    pub(crate) fn find_endpoint(&self, id: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.id == id)
    }

    /// Puts the endpoints that were named at the start in place of those of the last start.
    pub(crate) fn set_configured(&mut self, endpoints: Vec<Endpoint>) {
        self.endpoints.retain(|endpoint| !is_configured(&endpoint.id));
        self.endpoints.splice(0..0, endpoints);
    }
}

/// The id of the n-th endpoint named at the start, from 0.
pub(crate) fn configured_id(place: usize) -> String {
    format!("we_{}", place + 1)
}

/// Random ids are 24 characters long and never all digits in practice; these are short.
fn is_configured(id: &str) -> bool {
    id.strip_prefix("we_").is_some_and(|tail| tail.len() < 10 && tail.parse::<u32>().is_ok())
}

fn due_at(delivery: &Delivery) -> Option<(i64, String)> {
    let at = delivery.next_attempt_ms.filter(|_| delivery.status == Status::Pending)?;
    Some((at, delivery.id.clone()))
}

fn expires_at(session: &Session) -> Option<(i64, String)> {
    matches!(session.stage, Stage::Open { .. }).then(|| (session.terms.expires_at, session.id.clone()))
}
