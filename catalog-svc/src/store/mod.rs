//! Vendors, products and releases as rows.

mod entity;
pub mod migrations;
mod products;
mod secrets;
mod vendors;

pub use products::{
    KnownProduct, create_product, create_release, find_latest_release, find_product, find_release,
    list_products, list_products_of_vendor, list_releases, lock_product, lock_release,
    update_endpoint_revision, update_release_state,
};
use sea_orm::DbErr;
pub use secrets::{list_app_secrets, update_app_secrets};
pub use vendors::{add_vendor_key, create_vendor, find_vendor, find_vendor_by_secret, list_vendors};

/// A row that says what no version of this service has written.
fn corrupt(what: &str) -> DbErr {
    DbErr::Type(format!("a row of {what} cannot be read"))
}
