//! Deliveries: one message to one endpoint. Everything about leases is in [`super::lease`].

use std::collections::HashSet;

use platform::db::now_ms_sql;
use sea_orm::{
    ActiveModelTrait as _, Condition, ConnectionTrait, DbErr, IntoActiveModel as _, Order, QueryOrder as _,
    QuerySelect as _, Select, UpdateMany,
    entity::prelude::*,
    sea_query::{LockBehavior, LockType, Query, SelectStatement},
};

use super::{backlog, bulk};
use crate::domain::{callback::Place, delivery::State, kind::Kind, replay::Course};

/// A delivery. `attempts` numbers the attempts, `lease_token` the claims; `failures` counts the attempts that failed
/// since the schedule began. What is null for a webhook is told in the migration of callbacks.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "deliveries")]
#[allow(missing_docs, reason = "the columns are told in the migration")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub message_id: String,
    pub endpoint_id: String,
    pub instance_id: String,
    pub event: String,
    pub state: String,
    pub attempts: i64,
    pub lease_token: i64,
    pub failures: i64,
    pub next_attempt_at_ms: i64,
    pub lease_until_ms: i64,
    pub held_since_ms: Option<i64>,
    pub dead_reason: Option<String>,
    pub created_at_ms: i64,
    pub settled_at_ms: Option<i64>,
    pub kind: String,
    pub marketplace_id: Option<String>,
    pub installation_id: Option<String>,
    pub serial: Option<String>,
    pub sequence: Option<i64>,
    pub give_up_at_ms: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Whether it stands in this state.
    #[must_use]
    pub fn is(&self, state: State) -> bool {
        self.state == state.as_str()
    }

    /// How far it is.
    #[must_use]
    pub fn course(&self) -> Course {
        match (self.settled_at_ms, self.lease_until_ms) {
            (Some(_), _) => Course::Settled,
            (None, 1..) => Course::InFlight,
            (None, _) => Course::Waits,
        }
    }

    /// By whose rules it is made. The column `kind` is written from it, for lists to be filtered by.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::of_event(&self.event)
    }

    /// The place of a callback among those of its app and shop.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        Some(Place { serial: self.serial.clone()?, sequence: self.sequence? })
    }
}

/// Adds one.
pub async fn create(tx: &impl ConnectionTrait, delivery: Model) -> Result<(), DbErr> {
    Entity::insert(delivery.into_active_model()).exec_without_returning(tx).await?;
    Ok(())
}

/// Adds those deliveries of events that are new, and answers which those are. What only a callback has is null.
pub async fn create_new(tx: &impl ConnectionTrait, deliveries: &[Model]) -> Result<HashSet<String>, DbErr> {
    let all = || deliveries.iter();
    let columns = vec![
        bulk::Column::text("id", all().map(|one| one.id.clone())),
        bulk::Column::text("message_id", all().map(|one| one.message_id.clone())),
        bulk::Column::text("endpoint_id", all().map(|one| one.endpoint_id.clone())),
        bulk::Column::text("instance_id", all().map(|one| one.instance_id.clone())),
        bulk::Column::text("event", all().map(|one| one.event.clone())),
        bulk::Column::text("state", all().map(|one| one.state.clone())),
        bulk::Column::number("attempts", all().map(|one| one.attempts)),
        bulk::Column::number("lease_token", all().map(|one| one.lease_token)),
        bulk::Column::number("failures", all().map(|one| one.failures)),
        bulk::Column::number("next_attempt_at_ms", all().map(|one| one.next_attempt_at_ms)),
        bulk::Column::number("lease_until_ms", all().map(|one| one.lease_until_ms)),
        bulk::Column::maybe_number("held_since_ms", all().map(|one| one.held_since_ms)),
        bulk::Column::number("created_at_ms", all().map(|one| one.created_at_ms)),
        bulk::Column::maybe_number("settled_at_ms", all().map(|one| one.settled_at_ms)),
        bulk::Column::text("kind", all().map(|one| one.kind.clone())),
    ];
    let new = bulk::insert(tx, "deliveries", columns, "ON CONFLICT (id) DO NOTHING RETURNING id").await?;
    new.iter().map(|row| row.try_get("", "id")).collect()
}

/// Which of these were made before, or are kept to be made.
pub async fn list_known(db: &impl ConnectionTrait, ids: Vec<String>) -> Result<HashSet<String>, DbErr> {
    let columns = vec![bulk::Column::text("id", ids.into_iter())];
    let sql =
        |rows: &str| format!("SELECT deliveries.id FROM deliveries JOIN {rows} ON deliveries.id = given.id");
    let known = bulk::run(db, columns, sql).await?;
    known.iter().map(|row| row.try_get("", "id")).collect()
}

/// Counts the attempts that were begun for deliveries that had been recorded before, so that none after them has the
/// same number.
pub async fn count_late(tx: &impl ConnectionTrait, attempts: &[(String, i64)]) -> Result<(), DbErr> {
    let columns = vec![
        bulk::Column::text("id", attempts.iter().map(|(id, _)| id.clone())),
        bulk::Column::number("number", attempts.iter().map(|(_, number)| *number)),
    ];
    let sql = |rows: &str| {
        format!(
            "UPDATE deliveries SET attempts = given.number FROM {rows} \
             WHERE deliveries.id = given.id AND deliveries.attempts < given.number"
        )
    };
    bulk::run(tx, columns, sql).await.map(drop)
}

/// One by its id.
pub async fn find(db: &impl ConnectionTrait, id: &str) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(db).await
}

/// One by its id, kept as it is until the transaction ends.
pub async fn find_to_change(tx: &impl ConnectionTrait, id: &str) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).lock_exclusive().one(tx).await
}

/// Writes all of it back.
pub async fn update(tx: &impl ConnectionTrait, delivery: &Model) -> Result<(), DbErr> {
    let row = delivery.clone().into_active_model().reset_all();
    Entity::update(row).validate()?.exec(tx).await?;
    Ok(())
}

/// Those of these ids, kept as they are until the transaction ends.
pub async fn take(tx: &impl ConnectionTrait, ids: Vec<String>) -> Result<Vec<Model>, DbErr> {
    let these = Entity::find().filter(Column::Id.is_in(ids));
    these.order_by_asc(Column::Id).lock_exclusive().all(tx).await
}

/// Sends these again: due at once, the schedule from its beginning.
pub async fn send_again(tx: &impl ConnectionTrait, ids: &[String], now_ms: i64) -> Result<(), DbErr> {
    let update = Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Pending.as_str()))
        .col_expr(Column::Failures, Expr::value(0_i64))
        .col_expr(Column::NextAttemptAtMs, Expr::value(now_ms))
        .col_expr(Column::HeldSinceMs, Expr::value(None::<i64>))
        .col_expr(Column::DeadReason, Expr::value(None::<String>))
        .col_expr(Column::SettledAtMs, Expr::value(None::<i64>));
    update.filter(Column::Id.is_in(ids)).exec(tx).await?;
    Ok(())
}

/// How many are due, of one endpoint or of all; beyond this bound they are not counted.
pub async fn count_due(
    db: &impl ConnectionTrait,
    endpoint_id: Option<&str>,
    now_ms: i64,
    most: u64,
) -> Result<u64, DbErr> {
    let due = due(endpoint_id, now_ms).select_only().column(Column::Id).limit(most);
    sea_orm::PaginatorTrait::count(due, db).await
}

pub(super) fn due(endpoint_id: Option<&str>, now_ms: i64) -> Select<Entity> {
    let which = match endpoint_id {
        Some(endpoint_id) => of_endpoint(endpoint_id, State::Pending),
        None => Condition::all().add(stands_in(State::Pending)),
    };
    Entity::find().filter(which).filter(Column::NextAttemptAtMs.lte(now_ms))
}

/// Takes these deliveries and, for each endpoint, what is pending and due before the time beside it, and what is held for
/// these endpoints, until the transaction ends.
pub async fn lock(
    tx: &impl ConnectionTrait,
    ids: &[&str],
    pending: &[(&str, i64)],
    held: &[&str],
) -> Result<(), DbErr> {
    if ids.is_empty() && pending.is_empty() && held.is_empty() {
        return Ok(());
    }
    let own = Condition::any().add(Column::Id.is_in(ids.iter().copied()));
    let any = pending.iter().fold(own, |any, (endpoint_id, until_ms)| {
        let due = Column::NextAttemptAtMs.lt(*until_ms);
        any.add(of_endpoint(endpoint_id, State::Pending).add(due))
    });
    let any = held.iter().fold(any, |any, endpoint_id| any.add(of_endpoint(endpoint_id, State::Held)));
    tx.query_all(&in_order(any)).await?;
    Ok(())
}

/// Holds what is pending for an endpoint. An attempt in flight goes on and may still deliver.
pub async fn hold(tx: &impl ConnectionTrait, endpoint_id: &str, now_ms: i64) -> Result<u64, DbErr> {
    let update = Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Held.as_str()))
        .col_expr(Column::HeldSinceMs, Expr::value(now_ms));
    change(tx, update, of_endpoint(endpoint_id, State::Pending)).await
}

/// Lets go what was held for an endpoint, due at once.
pub async fn release(tx: &impl ConnectionTrait, endpoint_id: &str, now_ms: i64) -> Result<u64, DbErr> {
    let update = Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Pending.as_str()))
        .col_expr(Column::HeldSinceMs, Expr::value(None::<i64>))
        .col_expr(Column::NextAttemptAtMs, Expr::value(now_ms));
    change(tx, update, of_endpoint(endpoint_id, State::Held)).await
}

/// No pending delivery of the endpoint is due before then.
pub async fn postpone(tx: &impl ConnectionTrait, endpoint_id: &str, until_ms: i64) -> Result<u64, DbErr> {
    let update = Entity::update_many().col_expr(Column::NextAttemptAtMs, Expr::value(until_ms));
    let early = of_endpoint(endpoint_id, State::Pending).add(Column::NextAttemptAtMs.lt(until_ms));
    change(tx, update, early).await
}

/// No pending delivery of the endpoint waits any longer.
pub async fn hasten(tx: &impl ConnectionTrait, endpoint_id: &str, now_ms: i64) -> Result<u64, DbErr> {
    backlog::hasten_until(tx, endpoint_id, i64::MAX, now_ms).await
}

pub(super) fn of_endpoint(endpoint_id: &str, state: State) -> Condition {
    let open = Condition::all().add(Column::EndpointId.eq(endpoint_id)).add(Column::SettledAtMs.is_null());
    open.add(stands_in(state))
}

/// As a literal: with a parameter, the planners cannot know that a partial index holds what is asked for.
pub(super) fn stands_in(state: State) -> Expr {
    Expr::cust(format!("state = '{state}'"))
}

pub(super) async fn change(
    tx: &impl ConnectionTrait,
    update: UpdateMany<Entity>,
    which: Condition,
) -> Result<u64, DbErr> {
    Ok(update.filter(Column::Id.in_subquery(in_order(which))).exec(tx).await?.rows_affected)
}

/// Locks rows by the order of their ids, as everyone does who needs several: so nobody has what the other waits for.
fn in_order(which: Condition) -> SelectStatement {
    let mut ids = Query::select().column(Column::Id).from(Entity).cond_where(which).to_owned();
    ids.order_by(Column::Id, Order::Asc).lock(LockType::Update).to_owned()
}

/// Those held since before then, at most `limit`.
pub async fn list_held_before(
    tx: &impl ConnectionTrait,
    before_ms: i64,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let held = Entity::find().filter(stands_in(State::Held));
    held.filter(Column::HeldSinceMs.lt(before_ms))
        .order_by_asc(Column::Id)
        .limit(limit)
        .lock_exclusive()
        .all(tx)
        .await
}

/// Whether the callback of this place was taken in before.
pub async fn is_taken(tx: &impl ConnectionTrait, place: &Place) -> Result<bool, DbErr> {
    let same =
        Condition::all().add(Column::Serial.eq(&place.serial)).add(Column::Sequence.eq(place.sequence));
    Entity::find().filter(same).exists(tx).await
}

/// What is open of the serial before this place, kept as it is until the transaction ends.
pub async fn list_earlier(tx: &impl ConnectionTrait, place: &Place) -> Result<Vec<Model>, DbErr> {
    earlier(place).lock_exclusive().all(tx).await
}

/// With the conditions of the index `deliveries_open_of_serial`: what has settled is not read.
pub(super) fn earlier(place: &Place) -> Select<Entity> {
    let open = Condition::all().add(Column::Serial.is_not_null()).add(Column::SettledAtMs.is_null());
    let of_serial = open.add(Column::Serial.eq(&place.serial));
    Entity::find().filter(of_serial.add(Column::Sequence.lt(place.sequence))).order_by_asc(Column::Id)
}

/// Whether there is anything that [`list_overdue`] would find.
pub async fn is_any_overdue(db: &impl ConnectionTrait, now_ms: i64) -> Result<bool, DbErr> {
    Entity::find().filter(overdue(db, now_ms)).exists(db).await
}

/// What is open, not in flight and may be tried no more, at most `limit`; kept as it is until the transaction ends.
/// What somebody else has is passed over.
pub async fn list_overdue(tx: &impl ConnectionTrait, now_ms: i64, limit: u64) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(overdue(tx, now_ms))
        .order_by_asc(Column::Id)
        .limit(limit)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .all(tx)
        .await
}

/// A lease is measured by the store's clock, what may be tried by ours.
fn overdue(db: &impl ConnectionTrait, now_ms: i64) -> Condition {
    let store_now = Expr::cust(now_ms_sql(db.get_database_backend()));
    Condition::all()
        .add(Column::GiveUpAtMs.lte(now_ms))
        .add(Column::SettledAtMs.is_null())
        .add(sea_orm::ExprTrait::lt(Expr::col(Column::LeaseUntilMs), store_now))
}

/// When the next delivery that nobody holds may be tried no more.
pub async fn next_give_up_ms(db: &impl ConnectionTrait, now_ms: i64) -> Result<Option<i64>, DbErr> {
    Entity::find()
        .select_only()
        .column(Column::GiveUpAtMs)
        .filter(Column::GiveUpAtMs.gt(now_ms))
        .filter(Column::SettledAtMs.is_null())
        .filter(Column::LeaseUntilMs.eq(0))
        .order_by_asc(Column::GiveUpAtMs)
        .limit(1)
        .into_tuple()
        .one(db)
        .await
}

/// When the oldest delivery that is due became so.
pub async fn oldest_due_ms(db: &impl ConnectionTrait, now_ms: i64) -> Result<Option<i64>, DbErr> {
    edge_of_due(db, Condition::all().add(Column::NextAttemptAtMs.lte(now_ms))).await
}

/// When the next delivery that is not due yet and that nobody holds will be.
pub async fn next_due_ms(db: &impl ConnectionTrait, now_ms: i64) -> Result<Option<i64>, DbErr> {
    let free = Condition::all().add(Column::NextAttemptAtMs.gt(now_ms)).add(Column::LeaseUntilMs.eq(0));
    edge_of_due(db, free).await
}

async fn edge_of_due(db: &impl ConnectionTrait, which: Condition) -> Result<Option<i64>, DbErr> {
    Entity::find()
        .select_only()
        .column(Column::NextAttemptAtMs)
        .filter(stands_in(State::Pending))
        .filter(which)
        .order_by_asc(Column::NextAttemptAtMs)
        .limit(1)
        .into_tuple()
        .one(db)
        .await
}
