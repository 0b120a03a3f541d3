//! Table `installations`.

use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, DbErr, FromQueryResult, IntoActiveModel as _, JoinType,
    PaginatorTrait as _, QueryOrder as _, QuerySelect as _, Select, entity::prelude::*,
    sea_query::OnConflict,
};

use super::{damaged, from_json, instances, to_json};
use crate::domain::{
    Page,
    installation::{ApiKey, Edition, Installation, Kind, State},
};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "installations")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub instance_id: String,
    pub marketplace_id: String,
    pub kind: String,
    pub state: String,
    /// The one place of the app in the shop, unique: of two requests at once one takes it. Absent when it has left.
    pub live: Option<String>,
    pub version: String,
    /// JSON list of those granted for `version`.
    pub permissions: String,
    pub surface: String,
    pub paid: bool,
    pub published_at_ms: i64,
    /// JSON of the updates on their way.
    pub updating: Option<String>,
    pub sequence: i64,
    /// SHA-256 of the API key, while it lives.
    pub key_hash: Option<Vec<u8>>,
    /// The key itself, until the Install settles.
    pub sealed_key: Option<Vec<u8>>,
    /// JSON of how the last callback ended.
    pub last_callback: Option<String>,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
}

impl ActiveModelBehavior for ActiveModel {}

impl TryFrom<&Installation> for Model {
    type Error = DbErr;

    fn try_from(installation: &Installation) -> Result<Self, DbErr> {
        let Installation { edition, key, .. } = installation.clone();
        let (key_hash, sealed_key) = key.map_or((None, None), |key| (Some(key.hash.to_vec()), key.sealed));
        let updating = match &installation.state {
            State::Updating(updating) => Some(to_json(updating)?),
            _ => None,
        };
        let place = place(&installation.instance_id, &installation.marketplace_id);
        Ok(Self {
            id: installation.id.clone(),
            instance_id: installation.instance_id.clone(),
            marketplace_id: installation.marketplace_id.clone(),
            kind: installation.kind.as_str().to_owned(),
            state: installation.state.as_str().to_owned(),
            live: installation.state.is_present().then_some(place),
            version: edition.version.to_string(),
            permissions: to_json(&edition.permissions)?,
            surface: edition.surface,
            paid: edition.paid,
            published_at_ms: edition.published_at_ms,
            updating,
            sequence: installation.sequence,
            key_hash,
            sealed_key,
            last_callback: installation.last_callback.as_ref().map(to_json).transpose()?,
            created_at_ms: installation.created_at_ms,
            updated_at_ms: installation.updated_at_ms,
        })
    }
}

/// An instance id holds no space.
fn place(instance_id: &str, marketplace_id: &str) -> String {
    format!("{instance_id} {marketplace_id}")
}

impl Model {
    fn state(&self) -> Result<State, DbErr> {
        Ok(match (self.state.as_str(), &self.updating) {
            ("requested", None) => State::Requested,
            ("installing", None) => State::Installing,
            ("installed", None) => State::Installed,
            ("updating", Some(json)) => State::Updating(from_json(json, "installations.updating")?),
            ("removing", None) => State::Removing,
            ("removed", None) => State::Removed,
            ("cancelled", None) => State::Cancelled,
            _ => return Err(damaged("installations.state")),
        })
    }

    fn edition(&self) -> Result<Edition, DbErr> {
        Ok(Edition {
            version: self.version.parse().map_err(|_| damaged("installations.version"))?,
            permissions: from_json(&self.permissions, "installations.permissions")?,
            surface: self.surface.clone(),
            paid: self.paid,
            published_at_ms: self.published_at_ms,
        })
    }

    fn key(&mut self) -> Result<Option<ApiKey>, DbErr> {
        let Some(hash) = self.key_hash.take() else { return Ok(None) };
        let hash = hash.try_into().map_err(|_| damaged("installations.key_hash"))?;
        Ok(Some(ApiKey { hash, sealed: self.sealed_key.take() }))
    }
}

impl TryFrom<Model> for Installation {
    type Error = DbErr;

    fn try_from(mut row: Model) -> Result<Self, DbErr> {
        let key = row.key()?;
        let last = row.last_callback.as_deref();
        Ok(Self {
            state: row.state()?,
            edition: row.edition()?,
            key,
            kind: Kind::parse(&row.kind).ok_or_else(|| damaged("installations.kind"))?,
            last_callback: last.map(|json| from_json(json, "installations.last_callback")).transpose()?,
            id: row.id,
            instance_id: row.instance_id,
            marketplace_id: row.marketplace_id,
            sequence: row.sequence,
            created_at_ms: row.created_at_ms,
            updated_at_ms: row.updated_at_ms,
        })
    }
}

/// Stores an installation. False: its app has one in the shop already.
pub(crate) async fn create_installation(
    db: &impl ConnectionTrait,
    installation: &Installation,
) -> Result<bool, DbErr> {
    let once = OnConflict::column(Column::Live).do_nothing().to_owned();
    let row = Model::try_from(installation)?.into_active_model();
    Ok(Entity::insert(row).on_conflict(once).exec_without_returning(db).await? > 0)
}

/// Saves what can change.
pub(crate) async fn update_installation(
    db: &impl ConnectionTrait,
    installation: &Installation,
) -> Result<(), DbErr> {
    let row = Model::try_from(installation)?;
    Entity::update_many()
        .col_expr(Column::State, Expr::value(row.state))
        .col_expr(Column::Live, Expr::value(row.live))
        .col_expr(Column::Version, Expr::value(row.version))
        .col_expr(Column::Permissions, Expr::value(row.permissions))
        .col_expr(Column::Surface, Expr::value(row.surface))
        .col_expr(Column::Paid, Expr::value(row.paid))
        .col_expr(Column::PublishedAtMs, Expr::value(row.published_at_ms))
        .col_expr(Column::Updating, Expr::value(row.updating))
        .col_expr(Column::Sequence, Expr::value(row.sequence))
        .col_expr(Column::KeyHash, Expr::value(row.key_hash))
        .col_expr(Column::SealedKey, Expr::value(row.sealed_key))
        .col_expr(Column::LastCallback, Expr::value(row.last_callback))
        .col_expr(Column::UpdatedAtMs, Expr::value(row.updated_at_ms))
        .filter(Column::Id.eq(row.id))
        .exec(db)
        .await?;
    Ok(())
}

/// The installation, held by this transaction, so that its changes come one after another.
pub(crate) async fn lock_installation(
    db: &impl ConnectionTrait,
    id: &str,
) -> Result<Option<Installation>, DbErr> {
    Entity::find_by_id(id).lock_exclusive().one(db).await?.map(Installation::try_from).transpose()
}

/// The same by the place of its app in the shop.
pub(crate) async fn lock_present_installation(
    db: &impl ConnectionTrait,
    instance_id: &str,
    marketplace_id: &str,
) -> Result<Option<Installation>, DbErr> {
    let present = Entity::find().filter(Column::Live.eq(place(instance_id, marketplace_id)));
    present.lock_exclusive().one(db).await?.map(Installation::try_from).transpose()
}

/// Whose it is.
pub(crate) async fn find_instance_id(db: &impl ConnectionTrait, id: &str) -> Result<Option<String>, DbErr> {
    let owner = Entity::find_by_id(id).select_only().column(Column::InstanceId);
    owner.into_tuple().one(db).await
}

/// The number of the last callback of the app in the shop, over all its installations there.
pub(crate) async fn last_sequence(
    db: &impl ConnectionTrait,
    instance_id: &str,
    marketplace_id: &str,
) -> Result<i64, DbErr> {
    let last: Option<Option<i64>> = Entity::find()
        .select_only()
        .column_as(Column::Sequence.max(), "last")
        .filter(Column::InstanceId.eq(instance_id))
        .filter(Column::MarketplaceId.eq(marketplace_id))
        .into_tuple()
        .one(db)
        .await?;
    Ok(last.flatten().unwrap_or(0))
}

/// An installation with the identifier of its shop.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) installation: Installation,
    pub(crate) shop: String,
}

#[derive(FromQueryResult)]
struct ListedRow {
    #[sea_orm(nested)]
    installation: Model,
    shop: String,
}

impl TryFrom<ListedRow> for Listed {
    type Error = DbErr;

    fn try_from(row: ListedRow) -> Result<Self, DbErr> {
        Ok(Self { installation: row.installation.try_into()?, shop: row.shop })
    }
}

/// Which installations to list; what is absent does not matter.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) instance_id: Option<String>,
    pub(crate) marketplace_id: Option<String>,
    pub(crate) state: Option<&'static str>,
    /// Any of these; none: any at all.
    pub(crate) versions: Vec<String>,
    /// Only those whose app is in the shop.
    pub(crate) present: bool,
}

impl Filter {
    fn apply(&self) -> Select<Entity> {
        let equal = [
            (Column::InstanceId, self.instance_id.as_deref()),
            (Column::MarketplaceId, self.marketplace_id.as_deref()),
            (Column::State, self.state),
        ];
        let given = equal.into_iter().filter_map(|(column, value)| value.map(|value| column.eq(value)));
        let versions = (!self.versions.is_empty()).then(|| Column::Version.is_in(&self.versions));
        let present = self.present.then(|| Column::Live.is_not_null());
        given.chain(versions).chain(present).fold(Entity::find(), QueryFilter::filter)
    }
}

fn with_shop(select: Select<Entity>) -> Select<Entity> {
    let owner =
        Entity::belongs_to(instances::Entity).from(Column::InstanceId).to(instances::Column::Id).into();
    select
        .join(JoinType::InnerJoin, owner)
        .expr_as(Expr::col((instances::Entity, instances::Column::Shop)), "shop")
}

/// Newest first, and how many there are.
pub(crate) async fn list_installations(
    db: &impl ConnectionTrait,
    filter: &Filter,
    page: Page,
) -> Result<(Vec<Listed>, u64), DbErr> {
    let count = filter.apply().count(db).await?;
    let rows = with_shop(filter.apply())
        .order_by_desc(Column::Id)
        .limit(page.limit)
        .offset(page.offset)
        .into_model::<ListedRow>()
        .all(db)
        .await?;
    let listed: Result<_, DbErr> = rows.into_iter().map(Listed::try_from).collect();
    Ok((listed?, count))
}

/// The installation.
pub(crate) async fn find_installation(db: &impl ConnectionTrait, id: &str) -> Result<Option<Listed>, DbErr> {
    let row = with_shop(Entity::find_by_id(id)).into_model::<ListedRow>().one(db).await?;
    row.map(Listed::try_from).transpose()
}

/// The installation of a key that lives, in that shop, which is not disabled.
pub(crate) async fn find_installation_of_key(
    db: &impl ConnectionTrait,
    key_hash: &[u8; 32],
    instance_id: &str,
) -> Result<Option<Installation>, DbErr> {
    let of_key = Entity::find()
        .filter(Column::KeyHash.eq(key_hash.to_vec()))
        .filter(Column::InstanceId.eq(instance_id))
        .filter(instances::Column::Disabled.eq(false));
    let row = with_shop(of_key).into_model::<ListedRow>().one(db).await?;
    row.map(|row| row.installation.try_into()).transpose()
}

/// The installations of an app that may have to move silently to this edition: those of its surface, and those that an
/// update under way, perhaps in a transaction of this moment, may bring to it.
pub(crate) async fn list_to_move(
    db: &impl ConnectionTrait,
    marketplace_id: &str,
    edition: &Edition,
) -> Result<Vec<String>, DbErr> {
    let may_come_to_it =
        Condition::any().add(Column::Surface.eq(&edition.surface)).add(Column::Updating.is_not_null());
    Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::MarketplaceId.eq(marketplace_id))
        .filter(Column::Live.is_not_null())
        .filter(may_come_to_it)
        .filter(Column::Version.ne(edition.version.to_string()))
        .order_by_asc(Column::Id)
        .into_tuple()
        .all(db)
        .await
}

/// How many installations of an app are on each version, of those whose app is in the shop.
pub(crate) async fn count_versions(
    db: &impl ConnectionTrait,
    marketplace_id: &str,
) -> Result<Vec<(String, i64)>, DbErr> {
    Entity::find()
        .select_only()
        .column(Column::Version)
        .column_as(Column::Id.count(), "installations")
        .filter(Column::MarketplaceId.eq(marketplace_id))
        .filter(Column::Live.is_not_null())
        .group_by(Column::Version)
        .into_tuple()
        .all(db)
        .await
}
