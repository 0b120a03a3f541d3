//! What must hold for any bytes that a stranger sends, one function for each reader of such bytes.
//!
//! A property takes bytes and panics where it does not hold. `fuzz/` searches for such bytes (`cargo xtask fuzz`), and
//! the tests of this crate try the seeds of `fuzz/seeds`, so that no property and no seed rots between two searches.
#![allow(clippy::missing_panics_doc, reason = "panicking is how a property says that it does not hold")]
#![allow(clippy::expect_used, reason = "what a property has just written must be readable")]

mod bytes;
mod callbacks;
mod licenses;
mod manifests;
mod outside;
mod packages;
mod queries;
mod signatures;
mod targets;

pub use callbacks::open2b_auth;
pub use licenses::{license_key, license_token};
pub use manifests::manifest;
pub use packages::{package, package_names};
pub use queries::{range, versions};
pub use signatures::{standard_webhooks, stripe_signature, timed_signature};
pub use targets::{address, retry_after, target_url};

/// The time of the public vectors, Unix seconds.
const NOW: i64 = 1_760_000_000;

/// A property and its name: that of its fuzz target and of the folder of its seeds.
#[derive(Clone, Copy)]
pub struct Property {
    /// The name.
    pub name: &'static str,
    /// Panics where it does not hold.
    pub check: fn(&[u8]),
}

/// All properties, by name.
pub const ALL: [Property; 14] = [
    Property { name: "address", check: address },
    Property { name: "license_key", check: license_key },
    Property { name: "license_token", check: license_token },
    Property { name: "manifest", check: manifest },
    Property { name: "open2b_auth", check: open2b_auth },
    Property { name: "package", check: package },
    Property { name: "package_names", check: package_names },
    Property { name: "range", check: range },
    Property { name: "retry_after", check: retry_after },
    Property { name: "standard_webhooks", check: standard_webhooks },
    Property { name: "stripe_signature", check: stripe_signature },
    Property { name: "target_url", check: target_url },
    Property { name: "timed_signature", check: timed_signature },
    Property { name: "versions", check: versions },
];
