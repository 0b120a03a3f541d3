//! Events, and which of them a listing asks for.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::ApiError;
use super::params::Params;

/// The API version of the objects in events.
pub const API_VERSION: &str = "2025-09-30.clover";
const MAX_TYPES: usize = 20;

/// Which call of the API caused an event; both absent when a buyer did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// `req_…`
    pub id: Option<String>,
    /// The caller's idempotency key.
    pub idempotency_key: Option<String>,
}

/// Something that happened, as it is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// `evt_…`
    pub id: String,
    /// Such as `checkout.session.completed`.
    pub kind: String,
    /// Unix time.
    pub created: i64,
    /// The object at that moment.
    pub object: Value,
    /// Which call caused it.
    pub cause: Cause,
    /// The endpoints that have not taken it yet.
    pub undelivered: BTreeSet<String>,
}

impl Event {
    /// The event in Stripe's form.
    #[must_use]
    pub fn body(&self) -> Value {
        json!({
            "id": self.id, "object": "event", "api_version": API_VERSION, "created": self.created,
            "data": { "object": self.object }, "livemode": false, "pending_webhooks": self.undelivered.len(),
            "request": { "id": self.cause.id, "idempotency_key": self.cause.idempotency_key }, "type": self.kind,
        })
    }
}

/// Whether an event type is meant by a name or a group such as `charge.*`.
#[must_use]
pub fn matches(pattern: &str, kind: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => kind.starts_with(prefix),
        None => pattern == kind,
    }
}

/// The filters of `GET /v1/events`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    kinds: Vec<String>,
    delivered: Option<bool>,
    at: Option<i64>,
    from: Option<i64>,
    to: Option<i64>,
}

impl Filter {
    /// Takes the filters out of a query.
    pub fn parse(params: &mut Params) -> Result<Self, ApiError> {
        let kind = params.text("type")?;
        let mut kinds = params.texts("types")?;
        if kind.is_some() && !kinds.is_empty() {
            return Err(ApiError::invalid("You may pass either `type` or `types`, but not both.").at("type"));
        }
        if kinds.len() > MAX_TYPES {
            return Err(ApiError::invalid("You may pass at most 20 `types`.").at("types"));
        }
        kinds.extend(kind);
        let at = params.bare_integer("created")?;
        let (from, to) = params.object("created")?.map(range).transpose()?.unwrap_or_default();
        Ok(Self { kinds, delivered: params.boolean("delivery_success")?, at, from, to })
    }

    /// Whether the listing asks for this event.
    #[must_use]
    pub fn takes(&self, event: &Event) -> bool {
        (self.kinds.is_empty() || self.kinds.iter().any(|kind| matches(kind, &event.kind)))
            && self.delivered.is_none_or(|wanted| wanted == event.undelivered.is_empty())
            && self.at.is_none_or(|at| event.created == at)
            && self.from.is_none_or(|from| event.created >= from)
            && self.to.is_none_or(|to| event.created <= to)
    }
}

/// The inclusive bounds that `gt`, `gte`, `lt`, `lte` come to.
fn range(mut created: Params) -> Result<(Option<i64>, Option<i64>), ApiError> {
    let from = created.integer("gte")?.max(created.integer("gt")?.map(|after| after.saturating_add(1)));
    let (lte, before) =
        (created.integer("lte")?, created.integer("lt")?.map(|before| before.saturating_sub(1)));
    let to = match (lte, before) {
        (Some(one), Some(two)) => Some(one.min(two)),
        (one, two) => one.or(two),
    };
    created.finish()?;
    Ok((from, to))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn event(kind: &str, created: i64, undelivered: &[&str]) -> Event {
        Event {
            id: "evt_1".into(),
            kind: kind.into(),
            created,
            object: json!({}),
            cause: Cause::default(),
            undelivered: undelivered.iter().map(ToString::to_string).collect(),
        }
    }

    fn takes(query: &str, event: &Event) -> bool {
        let mut params = Params::parse(query.as_bytes()).unwrap();
        let filter = Filter::parse(&mut params).unwrap();
        params.finish().unwrap();
        filter.takes(event)
    }

    #[test]
    fn types_match_by_name_and_group() {
        let refunded = event("charge.refunded", 10, &[]);
        assert!(takes("type=charge.refunded", &refunded));
        assert!(takes("type=charge.*", &refunded));
        assert!(takes("types[]=a&types[]=charge.refunded", &refunded));
        assert!(!takes("type=charge", &refunded));
    }

    #[test]
    fn created_is_a_moment_or_a_range() {
        let at_ten = event("a", 10, &[]);
        for (query, wanted) in [
            ("created=10", true),
            ("created=11", false),
            ("created[gte]=10", true),
            ("created[gt]=10", false),
            ("created[lte]=10&created[gt]=9", true),
            ("created[lt]=10", false),
        ] {
            assert_eq!(takes(query, &at_ten), wanted, "{query}");
        }
    }

    #[test]
    fn delivery_success_means_every_endpoint() {
        assert!(takes("delivery_success=false", &event("a", 1, &["we_1"])));
        assert!(!takes("delivery_success=true", &event("a", 1, &["we_1"])));
        assert!(takes("delivery_success=true", &event("a", 1, &[])));
    }

    #[test]
    fn type_and_types_exclude_each_other() {
        let mut params = Params::parse(b"type=a&types[]=b").unwrap();
        assert_eq!(Filter::parse(&mut params).unwrap_err().param.as_deref(), Some("type"));
    }
}
