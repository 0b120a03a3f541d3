//! The life of an installation: requested → installing → installed → updating → installed …, removing → removed,
//! cancelled. A transition consumes the old state.
//!
//! Callbacks of one app and shop are numbered. Only how the last one ended moves an installation on; what is heard of
//! an earlier one comes late, and changes nothing but this: while updating, an earlier update that the app has taken is
//! what the shop runs, and one that it has not taken is forgotten.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::{ApiKey, Edition, Kind, LastCallback, Operation, Release, Settlement};
use crate::domain::{Illegal, Invalid};

/// An update of which the app is being told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Update {
    /// Of its callback.
    pub(crate) sequence: i64,
    pub(crate) edition: Edition,
}

/// The updates on their way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Updating {
    pub(crate) target: Update,
    /// Those whose place it took and of which the app may still turn out to have taken one; oldest first.
    pub(crate) earlier: Vec<Update>,
}

/// Where an installation is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// Asked for; nobody has been told yet. Begins in the same transaction.
    Requested,
    /// The app is being told.
    Installing,
    /// In the shop.
    Installed,
    /// In the shop; the app is being told of another version.
    Updating(Box<Updating>),
    /// Its access has ended; the app is being told.
    Removing,
    /// It has left the shop.
    Removed,
    /// It never came into the shop.
    Cancelled,
}

impl State {
    /// What the states are called.
    pub(crate) const NAMES: [&'static str; 7] =
        ["requested", "installing", "installed", "updating", "removing", "removed", "cancelled"];

    /// As it is stored and told.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Installing => "installing",
            Self::Installed => "installed",
            Self::Updating(_) => "updating",
            Self::Removing => "removing",
            Self::Removed => "removed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The name of a state, as one asks for it.
    pub(crate) fn name(text: &str) -> Result<&'static str, Invalid> {
        Self::NAMES.into_iter().find(|name| *name == text).ok_or(Invalid(
            "state must be requested, installing, installed, updating, removing, removed or cancelled",
        ))
    }

    /// Whether it takes the one place that an app has in a shop.
    pub(crate) fn is_present(&self) -> bool {
        !matches!(self, Self::Removed | Self::Cancelled)
    }
}

/// An app in a shop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Installation {
    pub(crate) id: String,
    pub(crate) instance_id: String,
    pub(crate) marketplace_id: String,
    pub(crate) kind: Kind,
    pub(crate) state: State,
    /// What the shop runs; before it is installed, what is being installed.
    pub(crate) edition: Edition,
    /// Of its last callback. Grows over all installations of the app in the shop.
    pub(crate) sequence: i64,
    /// Only while the app has access.
    pub(crate) key: Option<ApiKey>,
    pub(crate) last_callback: Option<LastCallback>,
    pub(crate) created_at_ms: i64,
    pub(crate) updated_at_ms: i64,
}

/// What an act or a settlement does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing: it is so already, or it is old news.
    Stays(Installation),
    /// It goes on; a hosted app is to be told by a callback.
    Moves(Installation, Option<Operation>),
}

/// What a request for an app means where the shop has it, had it, or never did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It is there, or on its way; there will be no second one.
    AsItIs(Installation),
    /// A new one; the one that was being removed is removed by it.
    Anew { removed: Option<Installation> },
}

/// Decides it. `present` is the installation that takes the app's place in the shop.
pub(crate) fn ask(present: Option<Installation>, wanted: &Edition) -> Result<Asked, Illegal> {
    let Some(present) = present else { return Ok(Asked::Anew { removed: None }) };
    match &present.state {
        State::Removing => Ok(Asked::Anew { removed: Some(present.ended(State::Removed)) }),
        State::Removed | State::Cancelled => Ok(Asked::Anew { removed: None }),
        _ if present.edition.version == wanted.version => Ok(Asked::AsItIs(present)),
        State::Updating(updating) if updating.target.edition.version == wanted.version => {
            Ok(Asked::AsItIs(present))
        }
        _ => Err(Illegal("this app is in the shop already at another version; update it instead")),
    }
}

impl Installation {
    /// A shop asks for the app.
    pub(crate) fn request(id: String, instance_id: String, release: Release, now_ms: i64) -> Self {
        Self {
            id,
            instance_id,
            marketplace_id: release.marketplace_id,
            kind: release.kind,
            state: State::Requested,
            edition: release.edition,
            sequence: 0,
            key: None,
            last_callback: None,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
        }
    }

    /// Begins it: a static app is installed by the store itself and calls nobody, a hosted one is told its key.
    pub(crate) fn begin<E: From<Illegal>>(
        self,
        sequence: i64,
        new_key: impl FnOnce() -> Result<ApiKey, E>,
    ) -> Result<Step, E> {
        match (&self.state, self.kind) {
            (State::Requested, Kind::Static) => {
                Ok(Step::Moves(Self { state: State::Installed, ..self }, None))
            }
            (State::Requested, Kind::Hosted) => {
                let begun = Self { state: State::Installing, sequence, key: Some(new_key()?), ..self };
                Ok(Step::Moves(begun, Some(Operation::Install)))
            }
            _ => Err(Illegal("this installation has begun already; ask for its state").into()),
        }
    }

    /// The shop wants another version.
    pub(crate) fn update(self, to: Edition, sequence: i64) -> Result<Step, Illegal> {
        let (latest, earlier) = match &self.state {
            State::Installed => (&self.edition, Vec::new()),
            State::Updating(updating) if updating.target.edition.version == to.version => {
                return Ok(Step::Stays(self));
            }
            State::Updating(updating) => (&updating.target.edition, updating.all()),
            state => return Err(not_to_be_updated(state)),
        };
        if !to.is_newer_than(latest) {
            return Err(Illegal(
                "an update goes to a newer version than the shop runs or is being updated to; name a newer one, or none",
            ));
        }
        Ok(match self.kind {
            Kind::Static => Step::Moves(Self { edition: to, ..self }, None),
            Kind::Hosted => {
                let updating = Updating { target: Update { sequence, edition: to }, earlier };
                let told = Self { sequence, state: State::Updating(Box::new(updating)), ..self };
                Step::Moves(told, Some(Operation::Update))
            }
        })
    }

    /// The shop wants it no more. Access ends at once, whatever the app will answer.
    pub(crate) fn remove(self, sequence: i64) -> Step {
        match (&self.state, self.kind) {
            (State::Removing | State::Removed | State::Cancelled, _) => Step::Stays(self),
            (State::Requested, _) => Step::Moves(self.ended(State::Cancelled), None),
            (_, Kind::Static) => Step::Moves(self.ended(State::Removed), None),
            (_, Kind::Hosted) => {
                Step::Moves(Self { sequence, ..self.ended(State::Removing) }, Some(Operation::Remove))
            }
        }
    }

    /// To the newest of these editions that needs no installation update: the shop has it at once, and nobody is told.
    pub(crate) fn move_silently(self, editions: impl IntoIterator<Item = Edition>) -> Step {
        let newest = editions
            .into_iter()
            .filter(|to| self.may_move_silently(to))
            .max_by(|one, other| one.version.cmp(&other.version));
        match newest {
            Some(edition) => Step::Moves(Self { edition, ..self }, None),
            None => Step::Stays(self),
        }
    }

    fn may_move_silently(&self, to: &Edition) -> bool {
        let is_same = self.kind == Kind::Hosted && self.edition.surface == to.surface;
        self.state == State::Installed && is_same && to.is_finished() && to.is_newer_than(&self.edition)
    }

    /// A callback has ended. `next` is the number of the one that may have to follow.
    pub(crate) fn settle(self, settled: &Settlement, next: i64) -> Step {
        match settled.sequence.cmp(&self.sequence) {
            Ordering::Equal => self.settle_last(settled, next),
            Ordering::Less => self.settle_earlier(settled),
            Ordering::Greater => Step::Stays(self),
        }
    }

    fn settle_last(self, settled: &Settlement, next: i64) -> Step {
        match (self.state.clone(), settled.callback.operation) {
            (State::Installing, Operation::Install) => self.heard(settled).settle_install(settled, next),
            (State::Updating(updating), Operation::Update) => {
                let edition =
                    if settled.is_delivered() { updating.target.edition } else { self.edition.clone() };
                Step::Moves(Self { state: State::Installed, edition, ..self.heard(settled) }, None)
            }
            (State::Removing, Operation::Remove) => {
                Step::Moves(self.heard(settled).ended(State::Removed), None)
            }
            _ => Step::Stays(self),
        }
    }

    /// Only 200 installs. An app that may hold the shop is told to forget it: after an attempt that was never answered,
    /// and where it was told of the shop before, for what this Install has taken the place of may be a Remove.
    fn settle_install(self, settled: &Settlement, next: i64) -> Step {
        if settled.is_delivered() {
            let key = self.key.clone().map(ApiKey::told);
            return Step::Moves(Self { state: State::Installed, key, ..self }, None);
        }
        let cancelled = self.ended(State::Cancelled);
        if settled.may_have_arrived || settled.sequence > 1 {
            return Step::Moves(Self { sequence: next, ..cancelled }, Some(Operation::Remove));
        }
        Step::Moves(cancelled, None)
    }

    fn settle_earlier(self, settled: &Settlement) -> Step {
        let found = match (&self.state, settled.callback.operation) {
            (State::Updating(updating), Operation::Update) => updating.settle_earlier(settled),
            _ => None,
        };
        let Some((edition, left)) = found else { return Step::Stays(self) };
        let state = State::Updating(Box::new(left));
        if settled.is_delivered() {
            return Step::Moves(Self { state, edition, ..self.heard(settled) }, None);
        }
        Step::Moves(Self { state, ..self }, None)
    }

    fn heard(self, settled: &Settlement) -> Self {
        Self { last_callback: Some(settled.callback), ..self }
    }

    /// Without access: the key is dead.
    fn ended(self, state: State) -> Self {
        Self { state, key: None, ..self }
    }
}

impl Updating {
    fn all(&self) -> Vec<Update> {
        self.earlier.iter().chain([&self.target]).cloned().collect()
    }

    /// The earlier update that has ended, and what is left: nothing that came before one that was taken counts any more.
    fn settle_earlier(&self, settled: &Settlement) -> Option<(Edition, Self)> {
        let ended = self.earlier.iter().find(|update| update.sequence == settled.sequence)?;
        let counts = |update: &&Update| match update.sequence.cmp(&ended.sequence) {
            Ordering::Less => !settled.is_delivered(),
            Ordering::Equal => false,
            Ordering::Greater => true,
        };
        let earlier = self.earlier.iter().filter(counts).cloned().collect();
        Some((ended.edition.clone(), Self { target: self.target.clone(), earlier }))
    }
}

fn not_to_be_updated(state: &State) -> Illegal {
    match state {
        State::Removing => Illegal("this app is being removed; install it again in the version you want"),
        State::Removed | State::Cancelled => {
            Illegal("this app is not in the shop any more; install it in the version you want")
        }
        _ => Illegal("this app is still being installed; update it when that has settled"),
    }
}
