use std::collections::HashMap;

use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
    sea_query::{Expr, OnConflict},
};
use semver::Version;
use wire::{manifest::MarketplaceId, release::ReleaseSignature};

use super::{
    corrupt,
    entity::{product, release, vendor},
    vendors::keys_of,
};
use crate::domain::{
    Artifact, Candidate, Content, Kind, Known, Product, PublicKey, Release, ReleaseState, Yank,
};

const PUBLISHED: &str = "published";
const YANKED: &str = "yanked";
/// Ids in one question, well below what a statement may bind.
const IDS_AT_ONCE: usize = 500;

/// A product without its releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownProduct {
    /// `ccmp_…`
    pub id: String,
    /// `@vendor/name`
    pub marketplace_id: String,
    /// `vnd_…`
    pub vendor_id: String,
    /// What shops have taken it for.
    pub known: Known,
    /// Grows with each change of a hosted app's endpoint.
    pub endpoint_revision: u32,
}

/// The product of this name.
pub async fn find_product(
    db: &impl ConnectionTrait,
    marketplace_id: &MarketplaceId,
) -> Result<Option<KnownProduct>, DbErr> {
    of_name(marketplace_id).one(db).await?.map(read_known).transpose()
}

/// The product of this name, held until the transaction ends: what is published, withdrawn or rotated of one app is so
/// one after the other.
pub async fn lock_product(
    db: &impl ConnectionTrait,
    marketplace_id: &MarketplaceId,
) -> Result<Option<KnownProduct>, DbErr> {
    of_name(marketplace_id).lock_exclusive().one(db).await?.map(read_known).transpose()
}

/// The products of a vendor.
pub async fn list_products_of_vendor(
    db: &impl ConnectionTrait,
    vendor_id: &str,
) -> Result<Vec<KnownProduct>, DbErr> {
    let rows = product::Entity::find().filter(product::Column::VendorId.eq(vendor_id)).all(db).await?;
    rows.into_iter().map(read_known).collect()
}

fn of_name(marketplace_id: &MarketplaceId) -> sea_orm::Select<product::Entity> {
    product::Entity::find().filter(product::Column::MarketplaceId.eq(marketplace_id.as_str()))
}

fn read_known(row: product::Model) -> Result<KnownProduct, DbErr> {
    let known = try_read_known(&row).ok_or_else(|| corrupt("products"))?;
    let endpoint_revision = u32::try_from(row.endpoint_revision).map_err(|_| corrupt("products"))?;
    let (id, marketplace_id, vendor_id) = (row.id, row.marketplace_id, row.vendor_id);
    Ok(KnownProduct { id, marketplace_id, vendor_id, known, endpoint_revision })
}

fn try_read_known(row: &product::Model) -> Option<Known> {
    Some(Known { app_type: row.app_type.parse().ok()?, kind: row.kind.parse().ok()? })
}

/// Creates the product of the candidate; if another has just done so, theirs stands.
pub async fn create_product(
    db: &impl ConnectionTrait,
    id: String,
    candidate: &Candidate,
    vendor_id: &str,
    now_ms: i64,
) -> Result<(), DbErr> {
    let row = product::ActiveModel {
        id: Set(id),
        marketplace_id: Set(candidate.manifest.marketplace_id.to_string()),
        vendor_id: Set(vendor_id.to_owned()),
        app_type: Set(candidate.manifest.app_type.to_string()),
        kind: Set(candidate.content.kind().as_str().to_owned()),
        endpoint_revision: Set(0),
        created_at_ms: Set(now_ms),
    };
    let theirs = OnConflict::column(product::Column::MarketplaceId).do_nothing().to_owned();
    product::Entity::insert(row).on_conflict(theirs).exec_without_returning(db).await?;
    Ok(())
}

/// Notes that a hosted app's endpoint has changed once more.
pub async fn update_endpoint_revision(
    db: &impl ConnectionTrait,
    product_id: &str,
    revision: u32,
) -> Result<(), DbErr> {
    let revision = i32::try_from(revision).map_err(|_| corrupt("products"))?;
    product::Entity::update_many()
        .col_expr(product::Column::EndpointRevision, Expr::value(revision))
        .filter(product::Column::Id.eq(product_id))
        .exec(db)
        .await?;
    Ok(())
}

/// Every release of a product that is or was published, in the order in which they came.
pub async fn list_releases(db: &impl ConnectionTrait, product_id: &str) -> Result<Vec<Release>, DbErr> {
    let rows = release::Entity::find()
        .filter(release::Column::ProductId.eq(product_id))
        .filter(release::Column::State.is_in([PUBLISHED, YANKED]))
        .order_by_asc(release::Column::Id)
        .all(db)
        .await?;
    rows.into_iter().map(read).collect()
}

/// The release that came last.
pub async fn find_latest_release(
    db: &impl ConnectionTrait,
    product_id: &str,
) -> Result<Option<Release>, DbErr> {
    let of_product = release::Entity::find()
        .filter(release::Column::ProductId.eq(product_id))
        .filter(release::Column::State.is_in([PUBLISHED, YANKED]));
    of_product.order_by_desc(release::Column::Id).one(db).await?.map(read).transpose()
}

/// One exact release.
pub async fn find_release(
    db: &impl ConnectionTrait,
    product_id: &str,
    version: &Version,
) -> Result<Option<Release>, DbErr> {
    of_version(product_id, version).one(db).await?.map(read).transpose()
}

/// One exact release, held until the transaction ends.
pub async fn lock_release(
    db: &impl ConnectionTrait,
    product_id: &str,
    version: &Version,
) -> Result<Option<Release>, DbErr> {
    of_version(product_id, version).lock_exclusive().one(db).await?.map(read).transpose()
}

fn of_version(product_id: &str, version: &Version) -> sea_orm::Select<release::Entity> {
    release::Entity::find()
        .filter(release::Column::ProductId.eq(product_id))
        .filter(release::Column::Version.eq(version.to_string()))
}

/// Creates the release. False: this version is there, and nothing was created.
pub async fn create_release(db: &impl ConnectionTrait, release: &Release) -> Result<bool, DbErr> {
    let taken =
        OnConflict::columns([release::Column::ProductId, release::Column::Version]).do_nothing().to_owned();
    let created =
        release::Entity::insert(row_of(release)?).on_conflict(taken).exec_without_returning(db).await?;
    Ok(created > 0)
}

/// Notes where the release stands now; nothing else of it ever changes.
pub async fn update_release_state(db: &impl ConnectionTrait, release: &Release) -> Result<(), DbErr> {
    let (state, yanked_at_ms, yanked_reason) = state_of(&release.state);
    release::Entity::update_many()
        .col_expr(release::Column::State, Expr::value(state))
        .col_expr(release::Column::YankedAtMs, Expr::value(yanked_at_ms))
        .col_expr(release::Column::YankedReason, Expr::value(yanked_reason))
        .filter(release::Column::Id.eq(&release.id))
        .exec(db)
        .await?;
    Ok(())
}

/// The products of these names, or all of them, each with every release that is or was published.
pub async fn list_products(
    db: &impl ConnectionTrait,
    names: Option<&[String]>,
) -> Result<Vec<Product>, DbErr> {
    let mut rows = Vec::new();
    match names {
        None => rows = product::Entity::find().all(db).await?,
        Some(names) => {
            for some in names.chunks(IDS_AT_ONCE) {
                let one_of_them = product::Column::MarketplaceId.is_in(some);
                rows.extend(product::Entity::find().filter(one_of_them).all(db).await?);
            }
        }
    }
    let mut products = Vec::new();
    for some in rows.chunks(IDS_AT_ONCE) {
        products.extend(with_releases(db, some).await?);
    }
    Ok(products)
}

async fn with_releases(db: &impl ConnectionTrait, rows: &[product::Model]) -> Result<Vec<Product>, DbErr> {
    let mut releases = releases_of(db, rows).await?;
    let vendors = vendors_of(db, rows).await?;
    rows.iter()
        .map(|row| {
            let vendor = vendors.get(&row.vendor_id).cloned().unwrap_or_default();
            let releases = releases.remove(&row.id).unwrap_or_default();
            let marketplace_id = row.marketplace_id.parse().map_err(|_| corrupt("products"))?;
            let app_type = row.app_type.parse().map_err(|_| corrupt("products"))?;
            Ok(Product::new(row.id.clone(), marketplace_id, app_type, vendor, releases))
        })
        .collect()
}

async fn releases_of(
    db: &impl ConnectionTrait,
    products: &[product::Model],
) -> Result<HashMap<String, Vec<Release>>, DbErr> {
    let ids = products.iter().map(|row| row.id.clone());
    let rows = release::Entity::find()
        .filter(release::Column::ProductId.is_in(ids))
        .filter(release::Column::State.is_in([PUBLISHED, YANKED]))
        .order_by_asc(release::Column::Id)
        .all(db)
        .await?;
    let mut releases: HashMap<String, Vec<Release>> = HashMap::new();
    for row in rows {
        releases.entry(row.product_id.clone()).or_default().push(read(row)?);
    }
    Ok(releases)
}

/// The display name and the keys of each vendor of these products.
async fn vendors_of(
    db: &impl ConnectionTrait,
    products: &[product::Model],
) -> Result<HashMap<String, (String, Vec<PublicKey>)>, DbErr> {
    let ids: Vec<String> = products.iter().map(|row| row.vendor_id.clone()).collect();
    let rows = vendor::Entity::find().filter(vendor::Column::Id.is_in(ids.clone())).all(db).await?;
    let mut keys = keys_of(db, ids).await?;
    let named = rows.into_iter().map(|row| {
        let keys = keys.remove(&row.id).unwrap_or_default();
        (row.id, (row.display_name, keys))
    });
    Ok(named.collect())
}

fn state_of(state: &ReleaseState) -> (&'static str, Option<i64>, Option<String>) {
    match state {
        ReleaseState::Published => (PUBLISHED, None, None),
        ReleaseState::Yanked(yank) => (YANKED, Some(yank.at_ms), Some(yank.reason.to_string())),
    }
}

fn row_of(release: &Release) -> Result<release::ActiveModel, DbErr> {
    let (state, yanked_at_ms, yanked_reason) = state_of(&release.state);
    let size = release.content.artifact().map_or(0, |artifact| artifact.size);
    Ok(release::ActiveModel {
        id: Set(release.id.clone()),
        product_id: Set(release.product_id.clone()),
        version: Set(release.version().to_string()),
        kind: Set(release.kind().as_str().to_owned()),
        state: Set(state.to_owned()),
        manifest: Set(release.manifest_json.clone()),
        sha256: Set(release.content.digest().to_string()),
        size: Set(i64::try_from(size).map_err(|_| corrupt("releases"))?),
        security: Set(release.security),
        required_after_ms: Set(release.required_after_ms),
        key_id: Set(release.signature.key_id.clone()),
        signature: Set(release.signature.value.clone()),
        vendor_key_id: Set(release.vendor_signature.key_id.clone()),
        vendor_signature: Set(release.vendor_signature.value.clone()),
        published_at_ms: Set(release.published_at_ms),
        yanked_at_ms: Set(yanked_at_ms),
        yanked_reason: Set(yanked_reason),
    })
}

fn read(row: release::Model) -> Result<Release, DbErr> {
    try_read(row).ok_or_else(|| corrupt("releases"))
}

fn try_read(row: release::Model) -> Option<Release> {
    let state = read_state(&row)?;
    Some(Release {
        content: read_content(&row)?,
        manifest: serde_json::from_str(&row.manifest).ok()?,
        id: row.id,
        product_id: row.product_id,
        manifest_json: row.manifest,
        signature: ReleaseSignature { key_id: row.key_id, value: row.signature },
        vendor_signature: ReleaseSignature { key_id: row.vendor_key_id, value: row.vendor_signature },
        security: row.security,
        required_after_ms: row.required_after_ms,
        published_at_ms: row.published_at_ms,
        state,
    })
}

/// Of a hosted app the digest is its manifest's.
fn read_content(row: &release::Model) -> Option<Content> {
    let sha256 = row.sha256.parse().ok()?;
    let artifact = || Some(Artifact { sha256, size: row.size.try_into().ok()? });
    Some(match row.kind.parse().ok()? {
        Kind::Plugin => Content::Plugin(artifact()?),
        Kind::Static => Content::Static(artifact()?),
        Kind::Hosted => Content::Hosted(sha256),
    })
}

fn read_state(row: &release::Model) -> Option<ReleaseState> {
    match row.state.as_str() {
        PUBLISHED => Some(ReleaseState::Published),
        YANKED => {
            let reason = row.yanked_reason.as_deref()?.parse().ok()?;
            Some(ReleaseState::Yanked(Yank { reason, at_ms: row.yanked_at_ms? }))
        }
        _ => None,
    }
}
