//! Table `releases`: what the catalogue has told of each release.

use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, QuerySelect as _, entity::prelude::*,
    sea_query::OnConflict,
};

use super::{from_json, to_json};
use crate::domain::{self, installation};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "releases")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub marketplace_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: String,
    pub published_at_ms: i64,
    /// Withdrawn. Never taken back.
    pub yanked: bool,
    /// Of a hosted app.
    pub surface: Option<String>,
    /// JSON of what an installation must know of a hosted app.
    pub hosted: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}

/// Notes a release. It is immutable but for being yanked, of which word may come before that of its publication.
pub(crate) async fn create_release(
    db: &impl ConnectionTrait,
    release: &domain::Release,
    yanked: bool,
) -> Result<(), DbErr> {
    let hosted = release.hosted.as_ref();
    let row = ActiveModel {
        marketplace_id: Set(release.marketplace_id.clone()),
        version: Set(release.version.clone()),
        published_at_ms: Set(release.published_at_ms),
        yanked: Set(yanked),
        surface: Set(hosted.map(|hosted| hosted.edition.surface.clone())),
        hosted: Set(hosted.map(to_json).transpose()?),
    };
    let mut known = OnConflict::columns([Column::MarketplaceId, Column::Version]);
    let known = if yanked { known.update_column(Column::Yanked) } else { known.do_nothing() };
    Entity::insert(row).on_conflict(known.to_owned()).exec_without_returning(db).await?;
    Ok(())
}

/// The releases of a hosted app with that surface, but those yanked.
pub(crate) async fn list_offered_releases(
    db: &impl ConnectionTrait,
    marketplace_id: &str,
    surface: &str,
) -> Result<Vec<installation::Release>, DbErr> {
    let offered: Vec<String> = Entity::find()
        .select_only()
        .column(Column::Hosted)
        .filter(Column::MarketplaceId.eq(marketplace_id))
        .filter(Column::Surface.eq(surface))
        .filter(Column::Yanked.eq(false))
        .into_tuple()
        .all(db)
        .await?;
    offered.iter().map(|json| from_json(json, "releases.hosted")).collect()
}
