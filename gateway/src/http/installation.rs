//! How an installation is shown to whoever may see it.

use proto::license as grpc;
use serde::Serialize;
use utoipa::ToSchema;

use super::reply::time;

/// An app that is, is being or was installed in a shop.
#[derive(Serialize, ToSchema)]
pub(super) struct Installation {
    /// `itn_…`
    id: String,
    marketplace_id: String,
    /// `static` or `hosted`.
    kind: String,
    /// What the shop runs; before it is installed, what is being installed.
    version: String,
    /// `requested`, `installing`, `installed`, `updating`, `removing`, `removed` or `cancelled`.
    state: String,
    /// `live`, `suspended` (its licence does not allow it now) or `ended`.
    access: String,
    /// Those granted for `version`.
    permissions: Vec<String>,
    /// While updating: to what.
    target_version: Option<String>,
    /// How the last callback to the app ended.
    last_callback: Option<CallbackOutcome>,
    created_at: String,
    updated_at: String,
}

/// How a callback to a hosted app ended.
#[derive(Serialize, ToSchema)]
pub(super) struct CallbackOutcome {
    /// `Install`, `Update` or `Remove`.
    operation: String,
    /// `delivered`, `refused` (an Install that was not answered with 200), `unanswered` (an Install, until its time was
    /// over), `given_up` (the schedule is over) or `superseded` (by a later callback).
    outcome: String,
    /// Of the last answer, if there was one.
    status: Option<u32>,
    attempts: u32,
    settled_at: String,
}

impl From<grpc::CallbackOutcome> for CallbackOutcome {
    fn from(outcome: grpc::CallbackOutcome) -> Self {
        Self {
            operation: outcome.operation,
            outcome: outcome.outcome,
            status: outcome.status,
            attempts: outcome.attempts,
            settled_at: time(outcome.settled_at_ms),
        }
    }
}

impl From<grpc::Installation> for Installation {
    fn from(installation: grpc::Installation) -> Self {
        Self {
            id: installation.installation_id,
            marketplace_id: installation.marketplace_id,
            kind: installation.kind,
            version: installation.version,
            state: installation.state,
            access: installation.access,
            permissions: installation.permissions,
            target_version: installation.target_version,
            last_callback: installation.last_callback.map(CallbackOutcome::from),
            created_at: time(installation.created_at_ms),
            updated_at: time(installation.updated_at_ms),
        }
    }
}
