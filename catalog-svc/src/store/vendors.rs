use std::collections::HashMap;

use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, sea_query::OnConflict,
};

use super::{
    corrupt,
    entity::{vendor, vendor_key},
};
use crate::domain::{Page, PublicKey, Vendor};

/// Creates the vendor with its keys. False: the name is taken, and nothing was created.
pub async fn create_vendor(
    db: &impl ConnectionTrait,
    vendor: &Vendor,
    secret_hash: [u8; 32],
) -> Result<bool, DbErr> {
    let row = vendor::ActiveModel {
        id: Set(vendor.id.clone()),
        name: Set(vendor.name.to_string()),
        display_name: Set(vendor.display_name.as_str().to_owned()),
        secret_hash: Set(secret_hash.to_vec()),
        created_at_ms: Set(vendor.created_at_ms),
    };
    let taken = OnConflict::column(vendor::Column::Name).do_nothing().to_owned();
    if vendor::Entity::insert(row).on_conflict(taken).exec_without_returning(db).await? == 0 {
        return Ok(false);
    }
    for (position, key) in (0..).zip(&vendor.keys) {
        insert_key(db, &vendor.id, key, position, vendor.created_at_ms).await?;
    }
    Ok(true)
}

/// Adds a key after those that the vendor has. Adding one that is there changes nothing.
pub async fn add_vendor_key(
    db: &impl ConnectionTrait,
    vendor: &Vendor,
    key: &PublicKey,
    now_ms: i64,
) -> Result<(), DbErr> {
    let position = i32::try_from(vendor.keys.len()).unwrap_or(i32::MAX);
    insert_key(db, &vendor.id, key, position, now_ms).await
}

async fn insert_key(
    db: &impl ConnectionTrait,
    vendor_id: &str,
    key: &PublicKey,
    position: i32,
    now_ms: i64,
) -> Result<(), DbErr> {
    let row = vendor_key::ActiveModel {
        vendor_id: Set(vendor_id.to_owned()),
        key_id: Set(key.id.clone()),
        public_key: Set(key.key.to_string()),
        position: Set(position),
        created_at_ms: Set(now_ms),
    };
    let there = OnConflict::columns([vendor_key::Column::VendorId, vendor_key::Column::KeyId])
        .do_nothing()
        .to_owned();
    vendor_key::Entity::insert(row).on_conflict(there).exec_without_returning(db).await?;
    Ok(())
}

/// The vendor of this id.
pub async fn find_vendor(db: &impl ConnectionTrait, id: &str) -> Result<Option<Vendor>, DbErr> {
    let row = vendor::Entity::find_by_id(id).one(db).await?;
    Ok(with_keys(db, row.into_iter().collect()).await?.pop())
}

/// The vendor whose secret key has this hash.
pub async fn find_vendor_by_secret(db: &impl ConnectionTrait, hash: &[u8]) -> Result<Option<Vendor>, DbErr> {
    let row = vendor::Entity::find().filter(vendor::Column::SecretHash.eq(hash)).one(db).await?;
    Ok(with_keys(db, row.into_iter().collect()).await?.pop())
}

/// One page of the vendors, the oldest first, and how many there are.
pub async fn list_vendors(db: &impl ConnectionTrait, page: Page) -> Result<(Vec<Vendor>, u64), DbErr> {
    let count = vendor::Entity::find().count(db).await?;
    let rows = vendor::Entity::find()
        .order_by_asc(vendor::Column::Id)
        .limit(page.limit() as u64)
        .offset(page.offset() as u64)
        .all(db)
        .await?;
    Ok((with_keys(db, rows).await?, count))
}

async fn with_keys(db: &impl ConnectionTrait, rows: Vec<vendor::Model>) -> Result<Vec<Vendor>, DbErr> {
    let mut keys = keys_of(db, rows.iter().map(|row| row.id.clone()).collect()).await?;
    rows.into_iter()
        .map(|row| {
            let keys = keys.remove(&row.id).unwrap_or_default();
            read(row, keys).ok_or_else(|| corrupt("vendors"))
        })
        .collect()
}

/// The keys of these vendors, each vendor's in the order in which they came.
pub(super) async fn keys_of(
    db: &impl ConnectionTrait,
    vendor_ids: Vec<String>,
) -> Result<HashMap<String, Vec<PublicKey>>, DbErr> {
    let rows = vendor_key::Entity::find()
        .filter(vendor_key::Column::VendorId.is_in(vendor_ids))
        .order_by_asc(vendor_key::Column::Position)
        .order_by_asc(vendor_key::Column::KeyId)
        .all(db)
        .await?;
    let mut keys: HashMap<String, Vec<PublicKey>> = HashMap::new();
    for row in rows {
        let key = row.public_key.parse().map_err(|_| corrupt("vendor_keys"))?;
        keys.entry(row.vendor_id).or_default().push(PublicKey { id: row.key_id, key });
    }
    Ok(keys)
}

fn read(row: vendor::Model, keys: Vec<PublicKey>) -> Option<Vendor> {
    Some(Vendor {
        id: row.id,
        name: row.name.parse().ok()?,
        display_name: row.display_name.parse().ok()?,
        keys,
        created_at_ms: row.created_at_ms,
    })
}
