//! What is listed: questions as they arrive, parts as they are told.

use std::str::FromStr;

use platform::{AppError, AppResult};
use proto::webhooks::{
    self as api, ListAttemptsRequest, ListDeliveriesRequest, ListMessagesRequest, Stretch,
};

use super::{all_events, attempt_message, check_kind, check_one_of, narrow};
use crate::{
    app::{DeliveriesAsked, ListedAttempt, MessagesAsked},
    domain::{answer::Outcome, cursor::Cursor, delivery::State, reason},
    store::{
        list::{Filter, MessageFilter, Span},
        message,
        page::Count,
    },
};

pub(super) fn deliveries(ask: ListDeliveriesRequest) -> AppResult<DeliveriesAsked> {
    check_event(ask.event.as_deref())?;
    check_kind(ask.kind.as_deref())?;
    let state = parsed::<State>(ask.state.as_deref())?;
    check_one_of("reason", &reason::classes().collect::<Vec<_>>(), ask.reason.as_deref())?;
    if ask.reason.is_some() && state != Some(State::Dead) {
        return Err(AppError::invalid("reason is of dead deliveries; ask for it with state dead"));
    }
    let filter = Filter {
        instance_id: ask.instance_id,
        state,
        event: ask.event,
        kind: ask.kind,
        marketplace_id: ask.marketplace_id,
        reason: ask.reason,
        span: span(ask.since_ms, ask.until_ms)?,
        ..Filter::default()
    };
    Ok(DeliveriesAsked { endpoint_id: ask.endpoint_id, message_id: ask.message_id, filter })
}

pub(super) fn messages(ask: ListMessagesRequest) -> AppResult<MessagesAsked> {
    check_event(ask.event.as_deref())?;
    let filter = MessageFilter { event: ask.event, span: span(ask.since_ms, ask.until_ms)? };
    Ok(MessagesAsked { instance_id: ask.instance_id, filter })
}

/// With the outcome that is asked for.
pub(super) fn attempts(ask: ListAttemptsRequest) -> AppResult<(DeliveriesAsked, Option<String>)> {
    check_event(ask.event.as_deref())?;
    let outcomes: Vec<_> =
        [Outcome::Success].into_iter().chain(Outcome::failures()).map(Outcome::as_str).collect();
    check_one_of("outcome", &outcomes, ask.outcome.as_deref())?;
    let filter = Filter {
        instance_id: ask.instance_id,
        event: ask.event,
        span: span(ask.since_ms, ask.until_ms)?,
        ..Filter::default()
    };
    Ok((DeliveriesAsked { endpoint_id: ask.endpoint_id, message_id: None, filter }, ask.outcome))
}

fn check_event(given: Option<&str>) -> AppResult<()> {
    check_one_of("event", &all_events(), given)
}

pub(super) fn parsed<T: FromStr<Err: ToString>>(text: Option<&str>) -> AppResult<Option<T>> {
    text.map(str::parse).transpose().map_err(|error: T::Err| AppError::invalid(error.to_string()))
}

fn span(since_ms: Option<i64>, until_ms: Option<i64>) -> AppResult<Span> {
    match (since_ms, until_ms) {
        (Some(since_ms), Some(until_ms)) if since_ms >= until_ms => {
            Err(AppError::invalid("since must be before until"))
        }
        _ => Ok(Span { since_ms, until_ms }),
    }
}

/// How many there are, and how the list goes on.
pub(super) fn counted(next: Option<String>, count: Count) -> (u32, Option<Stretch>) {
    counted_to(next.map(Cursor::after), count)
}

pub(super) fn counted_to(next: Option<Cursor>, count: Count) -> (u32, Option<Stretch>) {
    let next = next.map(|next| next.encode());
    (narrow(count.found), Some(Stretch { next, count_is_exact: count.is_exact }))
}

pub(super) fn message(message: message::Model) -> api::Message {
    api::Message {
        message_id: message.id,
        instance_id: message.instance_id,
        event: message.event,
        created_at_ms: message.created_at_ms,
        has_body: !message.sealed_body.is_empty(),
    }
}

pub(super) fn attempt(ListedAttempt { attempt, delivery }: ListedAttempt) -> api::ListedAttempt {
    api::ListedAttempt {
        delivery_id: delivery.id,
        endpoint_id: delivery.endpoint_id,
        instance_id: delivery.instance_id,
        event: delivery.event,
        attempt: Some(attempt_message(attempt)),
    }
}
