//! Messages and dead letters as NATS carries them (contracts.md section 7).

use async_nats::{HeaderMap, HeaderValue, header::NATS_MESSAGE_ID};

use crate::{
    bus::{BusError, DeadLetter, Message},
    telemetry::TraceContext,
};

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
const LETTER_ID: &str = "Mercato-Message-Id";
const LETTER_CONSUMER: &str = "Mercato-Consumer";
const LETTER_REASON: &str = "Mercato-Reason";
const DEAD_PREFIX: &str = "dead.";

pub(super) fn headers(message: &Message) -> Result<HeaderMap, BusError> {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_MESSAGE_ID, value(&message.id)?);
    trace_headers(&mut headers, &message.trace)?;
    Ok(headers)
}

pub(super) fn letter_headers(letter: &DeadLetter) -> Result<HeaderMap, BusError> {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_MESSAGE_ID, value(&format!("{}/{}", letter.consumer, letter.message.id))?);
    headers.insert(LETTER_ID, value(&letter.message.id)?);
    headers.insert(LETTER_CONSUMER, value(&letter.consumer)?);
    headers.insert(LETTER_REASON, value(&letter.reason)?);
    trace_headers(&mut headers, &letter.message.trace)?;
    Ok(headers)
}

fn trace_headers(headers: &mut HeaderMap, trace: &TraceContext) -> Result<(), BusError> {
    for (name, text) in [(TRACEPARENT, &trace.traceparent), (TRACESTATE, &trace.tracestate)] {
        if let Some(text) = text {
            headers.insert(name, value(text)?);
        }
    }
    Ok(())
}

/// A header is one line.
fn value(text: &str) -> Result<HeaderValue, BusError> {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.parse().map_err(|_| BusError::Unavailable("a header of the message is not text".into()))
}

pub(super) fn dead_subject(subject: &str) -> String {
    format!("{DEAD_PREFIX}{subject}")
}

pub(super) fn message(raw: &async_nats::Message) -> Message {
    Message {
        id: header(raw, NATS_MESSAGE_ID.as_ref()).unwrap_or_default(),
        subject: raw.subject.to_string(),
        payload: raw.payload.clone(),
        trace: TraceContext { traceparent: header(raw, TRACEPARENT), tracestate: header(raw, TRACESTATE) },
    }
}

pub(super) fn letter(raw: &async_nats::Message) -> DeadLetter {
    let subject = raw.subject.as_str();
    DeadLetter {
        message: Message {
            id: header(raw, LETTER_ID).unwrap_or_default(),
            subject: subject.strip_prefix(DEAD_PREFIX).unwrap_or(subject).to_owned(),
            ..message(raw)
        },
        consumer: header(raw, LETTER_CONSUMER).unwrap_or_default(),
        reason: header(raw, LETTER_REASON).unwrap_or_default(),
    }
}

fn header(raw: &async_nats::Message, name: &str) -> Option<String> {
    Some(raw.headers.as_ref()?.get(name)?.as_str().to_owned())
}
