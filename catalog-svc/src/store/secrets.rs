use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _,
    QueryOrder as _,
};

use super::entity::app_secret;
use crate::domain::{AppSecrets, SealedSecret};

/// The secrets of a hosted app that have not ended.
pub async fn list_app_secrets(
    db: &impl ConnectionTrait,
    product_id: &str,
    now_ms: i64,
) -> Result<AppSecrets, DbErr> {
    let rows = app_secret::Entity::find()
        .filter(app_secret::Column::ProductId.eq(product_id))
        .order_by_asc(app_secret::Column::Position)
        .all(db)
        .await?;
    let secrets = rows
        .into_iter()
        .map(|row| SealedSecret { sealed: row.sealed_secret, expires_at_ms: row.expires_at_ms });
    Ok(AppSecrets::live(secrets.collect(), now_ms))
}

/// Puts these in the place of what is kept; what has ended is gone with it.
pub async fn update_app_secrets(
    db: &impl ConnectionTrait,
    product_id: &str,
    secrets: &AppSecrets,
) -> Result<(), DbErr> {
    let former = app_secret::Column::ProductId.eq(product_id);
    app_secret::Entity::delete_many().filter(former).exec(db).await?;
    let rows = (0..).zip(secrets.as_slice()).map(|(position, secret)| app_secret::ActiveModel {
        product_id: Set(product_id.to_owned()),
        position: Set(position),
        sealed_secret: Set(secret.sealed.clone()),
        expires_at_ms: Set(secret.expires_at_ms),
    });
    app_secret::Entity::insert_many(rows).exec_without_returning(db).await?;
    Ok(())
}
