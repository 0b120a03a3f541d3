//! What operators list: deliveries, messages, attempts. Each list says which index it goes along; the plans are held by a
//! test (`store::tests::lists`).

use platform::ids::{floor, made_at_ms};
use sea_orm::{Condition, ConnectionTrait, DbErr, FromQueryResult as _, entity::prelude::*};

use super::{
    attempt, bulk,
    delivery::{Column, Entity, Model, stands_in},
    endpoint, message,
    page::{Count, List, Part, Stretch},
};
use crate::domain::{
    delivery::State,
    kind::{CALLBACK, Kind},
    reason,
};

/// From a time, and to another that is not in it, Unix milliseconds. The times are those that ids carry: of the event
/// that is told.
#[derive(Debug, Default, Clone, Copy)]
pub struct Span {
    /// From then.
    pub since_ms: Option<i64>,
    /// To before then.
    pub until_ms: Option<i64>,
}

impl Span {
    fn condition<C: ColumnTrait>(self, id: C, prefix: &str) -> Condition {
        Condition::all()
            .add_option(self.since_ms.map(|since_ms| id.gte(floor(prefix, since_ms))))
            .add_option(self.until_ms.map(|until_ms| id.lt(floor(prefix, until_ms))))
    }
}

/// Which deliveries are asked for.
#[derive(Debug, Default)]
pub struct Filter {
    /// Only those to this endpoint.
    pub endpoint: Option<endpoint::Model>,
    /// Only those of this message.
    pub message: Option<message::Model>,
    /// Only those to this instance.
    pub instance_id: Option<String>,
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those of this event.
    pub event: Option<String>,
    /// Only those of this kind.
    pub kind: Option<String>,
    /// Only those to this app.
    pub marketplace_id: Option<String>,
    /// Only those that died of this class.
    pub reason: Option<String>,
    /// Only those of this time.
    pub span: Span,
}

/// What can be asked of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Open,
    State,
    Owner,
    Endpoint,
    Message,
    Instance,
    App,
    Callback,
    Event,
    Kind,
    Reason,
}

impl Filter {
    pub(super) fn list(&self) -> List<Entity> {
        let along = self.along();
        let mut found = self.span.condition(Column::Id, "dly");
        let mut rest = Condition::all();
        for (asked, condition) in self.conditions() {
            if along.contains(&asked) {
                found = found.add(condition);
            } else {
                rest = rest.add(condition);
            }
        }
        List { id: Column::Id, found, asked: rest }
    }

    /// What an index finds in the order of the ids; nothing: the primary key does.
    fn along(&self) -> &'static [Asked] {
        match self.state {
            // deliveries_dead_of_endpoint, deliveries_dead
            Some(State::Dead) if self.endpoint.is_some() => &[Asked::State, Asked::Endpoint],
            Some(State::Dead) => &[Asked::State],
            // deliveries_open
            Some(State::Pending | State::Held) if self.endpoint.is_some() => {
                &[Asked::Open, Asked::State, Asked::Endpoint]
            }
            _ if self.message.is_some() => &[Asked::Message],
            // deliveries_of_instance or deliveries_of_app, by the endpoint's owner
            _ if self.endpoint.as_ref().is_some_and(has_owner) => &[Asked::Owner],
            // deliveries_of_instance
            _ if self.instance_id.is_some() => &[Asked::Instance],
            // deliveries_of_app
            _ if self.marketplace_id.is_some() => &[Asked::App],
            // deliveries_open_newest
            Some(State::Pending | State::Held) => &[Asked::Open],
            // deliveries_of_callbacks
            _ => &[Asked::Callback],
        }
    }

    fn conditions(&self) -> Vec<(Asked, Condition)> {
        let is = |column: Column, wanted: &Option<String>| {
            wanted.as_ref().map(|wanted| Condition::all().add(column.eq(wanted)))
        };
        let settled = Column::SettledAtMs;
        // Only where an index goes by it: the planner does not know that it says the same as the endpoint.
        let owner = self.endpoint.as_ref().filter(|_| self.along().contains(&Asked::Owner));
        let is_open = matches!(self.state, Some(State::Pending | State::Held));
        let all = [
            (Asked::Open, is_open.then(|| Condition::all().add(settled.is_null()))),
            (Asked::State, self.state.map(|state| Condition::all().add(stands_in(state)))),
            (Asked::Owner, owner.map(of_owner)),
            (Asked::Endpoint, self.endpoint.as_ref().map(of_endpoint)),
            (Asked::Message, self.message.as_ref().map(of_message)),
            (Asked::Instance, is(Column::InstanceId, &self.instance_id)),
            (Asked::App, is(Column::MarketplaceId, &self.marketplace_id)),
            (Asked::Callback, self.is_of_callbacks().then(of_callbacks)),
            (Asked::Event, is(Column::Event, &self.event)),
            (Asked::Kind, is(Column::Kind, &self.kind)),
            (Asked::Reason, self.reason.as_deref().map(of_reason)),
        ];
        all.into_iter().filter_map(|(asked, condition)| Some((asked, condition?))).collect()
    }

    /// Whether no webhook can be among them.
    fn is_of_callbacks(&self) -> bool {
        self.kind.as_deref() == Some(CALLBACK)
            || self.state == Some(State::Superseded)
            || self.event.as_deref().is_some_and(|event| Kind::of_event(event) != Kind::Webhook)
    }
}

/// The operator's own endpoint has none.
fn has_owner(endpoint: &endpoint::Model) -> bool {
    endpoint.instance_id.is_some() || endpoint.marketplace_id.is_some()
}

/// By the owner of an endpoint there is an index of all deliveries; an owner has one endpoint of a kind.
pub(super) fn of_owner(endpoint: &endpoint::Model) -> Condition {
    let is = |column: Column, owner: &Option<String>| owner.as_ref().map(|owner| column.eq(owner));
    Condition::all()
        .add_option(is(Column::InstanceId, &endpoint.instance_id))
        .add_option(is(Column::MarketplaceId, &endpoint.marketplace_id))
}

pub(super) fn of_endpoint(endpoint: &endpoint::Model) -> Condition {
    Condition::all().add(Column::EndpointId.eq(&endpoint.id))
}

/// A callback's delivery is made right after its message; that of an event has the event's time, as its message has.
fn of_message(message: &message::Model) -> Condition {
    const RIGHT_AFTER_MS: i64 = 1_000;
    let is_callback = Kind::of_event(&message.event) != Kind::Webhook;
    let made_at_ms = made_at_ms(&message.id).unwrap_or(message.created_at_ms);
    let until_ms = made_at_ms + if is_callback { RIGHT_AFTER_MS } else { 1 };
    let span = Span { since_ms: Some(made_at_ms), until_ms: Some(until_ms) };
    let same_time = span.condition(Column::Id, "dly").add(Column::MessageId.eq(&message.id));
    if is_callback { same_time.add(of_callbacks()) } else { same_time }
}

fn of_callbacks() -> Condition {
    Condition::all().add(Column::MarketplaceId.is_not_null())
}

fn of_reason(class: &str) -> Condition {
    let patterns = reason::patterns(class);
    patterns.into_iter().fold(Condition::any(), |any, pattern| any.add(Column::DeadReason.like(pattern)))
}

/// A part of the deliveries.
pub async fn deliveries(
    db: &impl ConnectionTrait,
    filter: &Filter,
    stretch: Stretch<'_>,
) -> Result<Part<Model>, DbErr> {
    filter.list().read(db, stretch, |delivery| &delivery.id).await
}

/// Which messages are asked for, whomever they are about.
#[derive(Debug, Default)]
pub struct MessageFilter {
    /// Only those of this event.
    pub event: Option<String>,
    /// Only those of this time.
    pub span: Span,
}

impl MessageFilter {
    pub(super) fn list(&self) -> List<message::Entity> {
        let event = self.event.as_ref().map(|event| message::Column::Event.eq(event));
        List {
            id: message::Column::Id,
            found: self.span.condition(message::Column::Id, "msg"),
            asked: Condition::all().add_option(event),
        }
    }
}

/// A part of the messages.
pub async fn messages(
    db: &impl ConnectionTrait,
    filter: &MessageFilter,
    stretch: Stretch<'_>,
) -> Result<Part<message::Model>, DbErr> {
    filter.list().read(db, stretch, |message| &message.id).await
}

/// The attempts of these deliveries, newest delivery first and in it the last attempt first.
pub async fn attempts_of(
    db: &impl ConnectionTrait,
    deliveries: &[Model],
    outcome: Option<&str>,
) -> Result<Vec<attempt::Model>, DbErr> {
    let columns = vec![bulk::Column::text("id", deliveries.iter().map(|one| one.id.clone()))];
    let rows = bulk::run(db, columns, |rows| attempts_sql(rows, outcome)).await?;
    let attempts = rows.iter().map(|row| attempt::Model::from_query_result(row, ""));
    let mut attempts = attempts.collect::<Result<Vec<_>, _>>()?;
    attempts.sort_by(|a, b| (&b.delivery_id, b.number).cmp(&(&a.delivery_id, a.number)));
    Ok(attempts)
}

/// An outcome is one of ours, and so needs no quoting.
pub(super) fn attempts_sql(rows: &str, outcome: Option<&str>) -> String {
    let with = outcome.map(|outcome| format!(" WHERE outcome = '{outcome}'")).unwrap_or_default();
    format!("SELECT attempts.* FROM {rows} JOIN attempts ON attempts.delivery_id = given.id{with}")
}

/// How many attempts the newest of these deliveries have.
pub async fn count_attempts(
    db: &impl ConnectionTrait,
    filter: &Filter,
    outcome: Option<&str>,
    deliveries: Count,
) -> Result<Count, DbErr> {
    const LOOKED_AT: u64 = 1_000;
    let of_them = attempt::Column::DeliveryId.in_subquery(filter.list().ids(LOOKED_AT));
    let outcome = outcome.map(|outcome| attempt::Column::Outcome.eq(outcome));
    let counted = attempt::Entity::find().filter(Condition::all().add(of_them).add_option(outcome));
    let found = sea_orm::PaginatorTrait::count(counted, db).await?;
    Ok(Count { found, is_exact: deliveries.is_exact && deliveries.found <= LOOKED_AT })
}
