//! Vendors, products and releases as rows.

mod entity;
pub mod migrations;
mod products;
mod vendors;

pub use products::{
    KnownProduct, create_product, create_release, find_product, find_release, list_marketplace_ids_of_vendor,
    list_products, lock_release, update_release_state,
};
use sea_orm::DbErr;
pub use vendors::{add_vendor_key, create_vendor, find_vendor, list_vendors};

/// A row that says what no version of this service has written.
fn corrupt(what: &str) -> DbErr {
    DbErr::Type(format!("a row of {what} cannot be read"))
}
