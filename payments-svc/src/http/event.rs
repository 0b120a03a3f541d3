//! What is read of Stripe's events: few fields, tolerant of all others, so that any version of the API that the webhook
//! endpoint is set to still fits.

use platform::{AppError, AppResult, ids};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    app::SessionEvent,
    domain::order::{Heard, News},
};

const EVENT_ID_MAX: usize = 255;

/// An event, as far as it is for us.
#[derive(Debug)]
pub(super) enum Event {
    /// About a Checkout session: its type, and what it says.
    Session(&'static str, SessionEvent),
    /// Of a type that nothing here listens to.
    Other,
}

#[derive(Deserialize)]
struct Head {
    id: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Body {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: SessionObject,
}

/// A `checkout.session`.
#[derive(Deserialize)]
struct SessionObject {
    id: String,
    payment_status: Option<String>,
    amount_subtotal: Option<i64>,
    currency: Option<String>,
    payment_intent: Option<Reference>,
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    order_id: Option<String>,
}

/// Another object: its id, or the object itself.
#[derive(Deserialize)]
#[serde(untagged)]
enum Reference {
    Id(String),
    Object { id: String },
}

impl Reference {
    fn into_id(self) -> String {
        match self {
            Self::Id(id) | Self::Object { id } => id,
        }
    }
}

/// The types that are for us: those of a purchase paid once (contracts.md section 6).
pub(crate) const KINDS: [&str; 4] = [
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
];

impl Event {
    /// Reads a body whose signature is right.
    pub(super) fn parse(body: &[u8]) -> AppResult<Self> {
        let head: Head =
            read(body, "the body is not an event of Stripe: it must be JSON with an id and a type")?;
        if !head.id.bytes().all(|byte| byte.is_ascii_graphic())
            || !(1..=EVENT_ID_MAX).contains(&head.id.len())
        {
            return Err(AppError::invalid("the event's id is not of Stripe's form (evt_…)"));
        }
        let Some(kind) = KINDS.into_iter().find(|kind| *kind == head.kind) else { return Ok(Self::Other) };
        let body: Body = read(body, "the event's data.object is not a Checkout session of a known form")?;
        Ok(Self::Session(kind, about(kind, head.id, body.data.object)?))
    }
}

fn read<T: DeserializeOwned>(body: &[u8], otherwise: &'static str) -> AppResult<T> {
    serde_json::from_slice(body).map_err(|_| AppError::invalid(otherwise))
}

fn about(kind: &str, event_id: String, object: SessionObject) -> AppResult<SessionEvent> {
    let news = news(kind, object.payment_status.as_deref())?;
    let named = object.metadata.and_then(|metadata| metadata.order_id);
    let heard = Heard {
        event_id,
        news,
        amount_cents: object.amount_subtotal,
        currency: object.currency,
        payment_intent_id: object.payment_intent.map(Reference::into_id),
    };
    Ok(SessionEvent { order_id: named.filter(|id| ids::is_id(id, "ord")), session_id: object.id, heard })
}

fn news(kind: &str, payment_status: Option<&str>) -> AppResult<News> {
    match (kind, payment_status) {
        ("checkout.session.completed", Some("paid" | "no_payment_required"))
        | ("checkout.session.async_payment_succeeded", _) => Ok(News::Paid),
        ("checkout.session.completed", Some("unpaid")) => Ok(News::Processing),
        ("checkout.session.async_payment_failed", _) => Ok(News::Failed),
        ("checkout.session.expired", _) => Ok(News::Expired),
        _ => {
            Err(AppError::invalid("the session's payment_status must be paid, unpaid or no_payment_required"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(kind: &str, object: &str) -> AppResult<Event> {
        Event::parse(
            format!(r#"{{"id":"evt_1","type":"{kind}","data":{{"object":{object}}},"new":1}}"#).as_bytes(),
        )
    }

    fn news_of(kind: &str, status: &str) -> Option<News> {
        match parse(kind, &format!(r#"{{"id":"cs_1","payment_status":"{status}","new":{{}}}}"#)) {
            Ok(Event::Session(_, event)) => Some(event.heard.news),
            _ => None,
        }
    }

    #[test]
    fn each_event_of_a_purchase_has_its_meaning() {
        for (kind, status, news) in [
            ("checkout.session.completed", "paid", Some(News::Paid)),
            ("checkout.session.completed", "no_payment_required", Some(News::Paid)),
            ("checkout.session.completed", "unpaid", Some(News::Processing)),
            ("checkout.session.completed", "later", None),
            ("checkout.session.async_payment_succeeded", "paid", Some(News::Paid)),
            ("checkout.session.async_payment_failed", "unpaid", Some(News::Failed)),
            ("checkout.session.expired", "unpaid", Some(News::Expired)),
        ] {
            assert_eq!(news_of(kind, status), news, "{kind} {status}");
        }
    }

    #[test]
    fn what_is_not_for_us_is_told_from_what_cannot_be_read() {
        assert!(matches!(parse("charge.updated", "[]"), Ok(Event::Other)));
        assert!(parse("checkout.session.completed", "[]").is_err());
        for body in [
            "",
            "{",
            "[]",
            r#"{"id":"evt_1"}"#,
            r#"{"id":"","type":"x"}"#,
            "{\"id\":\"a\\u0000\",\"type\":\"x\"}",
        ] {
            assert!(Event::parse(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn an_order_is_named_by_our_metadata_only() {
        let order_of = |metadata: &str| {
            let object = format!(r#"{{"id":"cs_1","metadata":{metadata},"payment_intent":{{"id":"pi_1"}}}}"#);
            match parse("checkout.session.expired", &object) {
                Ok(Event::Session(_, event)) => (event.order_id, event.heard.payment_intent_id),
                other => panic!("{other:?}"),
            }
        };
        let id = "ord_01ARZ3NDEKTSV4RRFFQ69G5FAV";
        assert_eq!(order_of(&format!(r#"{{"order_id":"{id}","a":"b"}}"#)).0.as_deref(), Some(id));
        for other in [r#"{"order_id":"1234"}"#, "{}", "null"] {
            assert_eq!(order_of(other), (None, Some("pi_1".to_owned())), "{other}");
        }
    }
}
