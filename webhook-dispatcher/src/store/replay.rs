//! Replays: jobs that send many deliveries again.
//!
//! A job is driven step by step by whichever replica is first: a step locks the job's row, and what it sends again, where
//! it has come to and what it has counted become true with one commit. Who is killed in the middle leaves the job as it
//! was before the step, and anyone goes on from there.

use sea_orm::{
    ActiveModelTrait as _, Condition, ConnectionTrait, DbBackend, DbErr, IntoActiveModel as _,
    QueryOrder as _, QuerySelect as _, Select,
    entity::prelude::*,
    sea_query::{LockBehavior, LockType, OnConflict},
};

use super::{
    delivery, endpoint, list,
    page::{List, Part, Stretch},
};
use crate::domain::{
    delivery::State,
    replay::{Progress, Which},
};

/// A replay.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "replays")]
#[allow(missing_docs, reason = "the columns are told in the migration")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub request: String,
    pub idempotency_key: Option<String>,
    pub endpoint_id: Option<String>,
    pub since_ms: i64,
    pub until_ms: i64,
    pub which: String,
    pub rate_per_second: i64,
    pub state: String,
    pub position: Option<String>,
    pub found: i64,
    pub replayed: i64,
    pub skipped_disabled: i64,
    pub skipped_settled: i64,
    pub skipped_in_flight: i64,
    pub skipped_body_gone: i64,
    pub next_step_at_ms: i64,
    pub created_at_ms: i64,
    pub finished_at_ms: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Whether it stands in this state.
    #[must_use]
    pub fn is(&self, progress: Progress) -> bool {
        self.state == progress.as_str()
    }

    /// Which deliveries it is about.
    #[must_use]
    pub fn which(&self) -> Which {
        self.which.parse().unwrap_or(Which::Failed)
    }
}

/// Adds it, unless one of the same key is there, or one of the same request is running.
pub async fn create_unless_there(tx: &impl ConnectionTrait, replay: &Model) -> Result<bool, DbErr> {
    let row = replay.clone().into_active_model();
    let nothing = OnConflict::new().do_nothing().to_owned();
    Ok(Entity::insert(row).on_conflict(nothing).exec_without_returning(tx).await? > 0)
}

/// The one of this key.
pub async fn find_by_key(db: &impl ConnectionTrait, key: &str) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(Column::IdempotencyKey.eq(key)).one(db).await
}

/// The one of this request that is running.
pub async fn find_running(db: &impl ConnectionTrait, request: &str) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(stands_in(Progress::Running)).filter(Column::Request.eq(request)).one(db).await
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
pub async fn update(tx: &impl ConnectionTrait, replay: &Model) -> Result<(), DbErr> {
    let row = replay.clone().into_active_model().reset_all();
    Entity::update(row).validate()?.exec(tx).await?;
    Ok(())
}

/// As a literal: with a parameter, the planners cannot know that a partial index holds what is asked for.
fn stands_in(progress: Progress) -> Expr {
    Expr::cust(format!("state = '{progress}'"))
}

/// Takes the job that has waited longest for its next step, until the transaction ends; one that another replica is at
/// is passed over.
pub async fn take_due(tx: &impl ConnectionTrait, now_ms: i64) -> Result<Option<Model>, DbErr> {
    due(now_ms).lock_with_behavior(LockType::Update, LockBehavior::SkipLocked).one(tx).await
}

pub(super) fn due(now_ms: i64) -> Select<Entity> {
    Entity::find()
        .filter(stands_in(Progress::Running))
        .filter(Column::NextStepAtMs.lte(now_ms))
        .order_by_asc(Column::NextStepAtMs)
        .order_by_asc(Column::Id)
        .limit(1)
}

/// When the next step of any job is due.
pub async fn next_step_ms(db: &impl ConnectionTrait) -> Result<Option<i64>, DbErr> {
    Entity::find()
        .select_only()
        .column(Column::NextStepAtMs)
        .filter(stands_in(Progress::Running))
        .order_by_asc(Column::NextStepAtMs)
        .limit(1)
        .into_tuple()
        .one(db)
        .await
}

/// How many are running.
pub async fn count_running(db: &impl ConnectionTrait) -> Result<u64, DbErr> {
    sea_orm::PaginatorTrait::count(Entity::find().filter(stands_in(Progress::Running)), db).await
}

/// The store ends this transaction if it hears nothing of it for so long: a replica that is frozen in the middle of a
/// step keeps nobody from the job. SQLite has one process, which is frozen as a whole.
pub async fn bound_silence(tx: &impl ConnectionTrait) -> Result<(), DbErr> {
    if tx.get_database_backend() == DbBackend::Postgres {
        tx.execute_unprepared("SET LOCAL idle_in_transaction_session_timeout = '15s'").await?;
    }
    Ok(())
}

/// The next deliveries that a job has to look at, in the order of their ids, with their endpoints; some may be to others
/// than its own. They are locked later, after those.
pub async fn candidates(
    tx: &impl ConnectionTrait,
    replay: &Model,
    endpoint: Option<&endpoint::Model>,
    limit: u64,
) -> Result<Vec<(String, String)>, DbErr> {
    let next = next(replay, endpoint).limit(limit).select_only();
    next.column(delivery::Column::Id).column(delivery::Column::EndpointId).into_tuple().all(tx).await
}

/// Along `deliveries_dead`, `deliveries_dead_of_endpoint`, `deliveries_of_instance`, `deliveries_of_app` or the primary
/// key.
pub(super) fn next(replay: &Model, endpoint: Option<&endpoint::Model>) -> Select<delivery::Entity> {
    let id = delivery::Column::Id;
    let from = match &replay.position {
        Some(position) => id.gt(position),
        None => id.gte(platform::ids::floor("dly", replay.since_ms)),
    };
    let is_dead = replay.which() == Which::Failed;
    let dead = is_dead.then(|| delivery::stands_in(State::Dead));
    let to_it = endpoint.map(if is_dead { list::of_endpoint } else { list::of_owner });
    let which = Condition::all()
        .add(from)
        .add(id.lt(platform::ids::floor("dly", replay.until_ms)))
        .add_option(to_it)
        .add_option(dead);
    delivery::Entity::find().filter(which).order_by_asc(id)
}

/// Which replays are asked for.
#[derive(Debug, Default)]
pub struct Filter {
    /// Only those in this state.
    pub state: Option<Progress>,
    /// Only those of this endpoint.
    pub endpoint_id: Option<String>,
}

/// A part of the replays, newest first.
pub async fn list(
    db: &impl ConnectionTrait,
    filter: &Filter,
    stretch: Stretch<'_>,
) -> Result<Part<Model>, DbErr> {
    let asked = Condition::all()
        .add_option(filter.state.map(stands_in))
        .add_option(filter.endpoint_id.as_ref().map(|id| Column::EndpointId.eq(id)));
    let list: List<Entity> = List { id: Column::Id, found: Condition::all(), asked };
    list.read(db, stretch, |replay| &replay.id).await
}

/// Forgets those that ended before then.
pub async fn prune(tx: &impl ConnectionTrait, before_ms: i64) -> Result<u64, DbErr> {
    let old = Entity::delete_many().filter(Column::FinishedAtMs.lt(before_ms));
    Ok(old.exec(tx).await?.rows_affected)
}
