//! A whole marketplace for black-box tests: real processes on real parts, spoken to by HTTP only.
//!
//! ```no_run
//! use std::time::Duration;
//! use testkit::market::{Market, Options, Package, Topology};
//!
//! # async fn sale() -> anyhow::Result<()> {
//! let market = Market::start(Topology::FiveProcesses, Options::default()).await?;
//! let admin = market.admin()?;
//! let vendor = admin.create_vendor("acme").await?;
//! admin.import(&vendor, &Package::new("@acme/labels").price_cents(4900)).await?;
//!
//! let shop = market.shop("first-shop").await?;
//! let order = shop.checkout("@acme/labels", "1.0.0").await?;
//! market.stripe().pay(&order.session_id).await?;
//! let webhook = shop.wait_for_license("@acme/labels", Duration::from_secs(10)).await?;
//! let answer = shop.verify(webhook.license_key()?, "@acme/labels").await?;
//! assert_eq!(answer.body["code"], "VALID");
//! # Ok(()) }
//! ```
//!
//! The processes are the binaries beside the running test: `cargo xtask test` builds them first. The five processes
//! run on a database of their own in the PostgreSQL that the environment names ([`crate::servers::test_env`]), and
//! on a NATS and a Valkey of their own; the one process on an empty folder. Where `MERCATO_TEST_DEPLOYMENT` names a
//! deployment, its services take the place of the five processes. Everything ends with the [`Market`], its
//! logs too, unless the test panicked: then the folder with them is kept and named. `MERCATO_KEEP_LOGS=1` keeps it
//! always.

#[cfg(feature = "market")]
mod admin;
#[cfg(feature = "market")]
mod backend;
#[cfg(feature = "market")]
mod deployed;
mod five;
#[cfg(feature = "market")]
mod folder;
#[cfg(feature = "market")]
mod http;
#[cfg(feature = "market")]
mod installations;
mod keys;
#[cfg(feature = "market")]
mod one;
mod options;
#[cfg(feature = "market")]
mod package;
mod recipe;
#[cfg(feature = "market")]
mod running;
mod service;
#[cfg(feature = "market")]
mod shop;
#[cfg(feature = "market")]
mod stripe;
#[cfg(feature = "market")]
mod webhook;

pub use five::{FiveProcesses, Plan};
pub use keys::Keys;
pub use options::{Delivery, Limits, Options};
pub use recipe::Backing;
pub use service::Service;

#[cfg(feature = "market")]
pub use self::{
    admin::{Admin, Registration, Vendor},
    backend::{AppBackend, Arrived, StoppedBackend},
    deployed::DEPLOYMENT,
    http::{Caller, Reply, client},
    installations::Consent,
    package::Package,
    running::{Market, Topology},
    shop::{Order, Shop},
    stripe::Stripe,
    webhook::Webhook,
};
