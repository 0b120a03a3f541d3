//! Checkout sessions: create, look up, and let things happen to them.

use serde_json::Value;

use super::{Answered, Sim, events};
use crate::ambient;
use crate::domain::checkout::Terms;
use crate::domain::error::ApiError;
use crate::domain::event::Cause;
use crate::domain::objects;
use crate::domain::page::{self, Paging};
use crate::domain::params::Params;
use crate::domain::session::{Act, Session};
use crate::store::State;

/// Where sessions are, in the API.
pub(crate) const SESSIONS: &str = "/v1/checkout/sessions";

impl Sim {
    /// Creates a session.
    pub(crate) async fn create_session(&self, cause: &Cause, params: Params) -> Result<Answered, ApiError> {
        self.once(cause, SESSIONS, &params.clone(), |state| {
            let now = ambient::now();
            let terms = Terms::parse(params, now)?;
            let session = ambient::with_mint(|mint| Session::open(terms, &self.public_url, now, mint));
            let body = objects::session(&session);
            state.put_session(session);
            Ok(body)
        })
        .await
    }

    /// Ends a session by the API.
    pub(crate) async fn expire_session(
        &self,
        cause: &Cause,
        id: &str,
        params: Params,
    ) -> Result<Answered, ApiError> {
        let path = format!("{SESSIONS}/{id}/expire");
        self.once(cause, &path, &params.clone(), |state| {
            params.finish()?;
            act_on(state, id, Act::Expire, cause).map(|session| objects::session(&session))
        })
        .await
    }

    /// Lets something happen to a session.
    pub(crate) async fn act(&self, id: &str, act: Act, cause: &Cause) -> Result<Session, ApiError> {
        self.change(|state| act_on(state, id, act, cause)).await
    }

    /// The session of this id.
    pub(crate) fn get_session(&self, id: &str) -> Result<Session, ApiError> {
        self.store.read(|state| get_session(state, id).cloned())
    }

    /// Sessions as the API lists them.
    pub(crate) fn list_sessions(&self, mut params: Params) -> Result<Value, ApiError> {
        let paging = Paging::parse(&mut params)?;
        let status = params.choice("status", &["open", "complete", "expired"])?;
        let intent = params.text("payment_intent")?;
        params.finish()?;
        self.store.read(|state| {
            let wanted = |session: &Session| {
                let paid_by = session.payment().map(|payment| &payment.intent);
                status.is_none_or(|status| status == session.status())
                    && (intent.is_none() || intent.as_ref() == paid_by)
            };
            let page = paging.cut(state.sessions.rows(), |id| state.sessions.position(id), wanted)?;
            let data: Vec<Value> = page.items.into_iter().map(objects::session).collect();
            Ok(page::list(SESSIONS, &data, page.has_more))
        })
    }

    /// A payment intent as it stands now.
    pub(crate) fn get_payment_intent(&self, id: &str) -> Result<Value, ApiError> {
        let found = self.store.read(|state| {
            state.sessions.rows().iter().rev().find_map(|session| {
                let payment = session.payment().filter(|payment| payment.intent == id)?;
                Some(objects::payment_intent(session, payment))
            })
        });
        found.ok_or_else(|| ApiError::no_such("payment_intent", id, "intent"))
    }
}

fn get_session<'a>(state: &'a State, id: &str) -> Result<&'a Session, ApiError> {
    state.sessions.find(id).ok_or_else(|| ApiError::no_such("checkout.session", id, "session"))
}

fn act_on(state: &mut State, id: &str, act: Act, cause: &Cause) -> Result<Session, ApiError> {
    let session = get_session(state, id)?.clone();
    let (session, news) = ambient::with_mint(|mint| session.apply(act, ambient::now(), mint))?;
    state.put_session(session.clone());
    for item in news {
        events::announce(state, item.kind, item.object, cause);
    }
    Ok(session)
}
