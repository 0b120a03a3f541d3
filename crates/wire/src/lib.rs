//! What a marketplace, a shop and an app author must agree on byte by byte: signatures, keys, licences, tokens,
//! manifests and packages.
//!
//! Everything here is a pure function. Time is an argument (`now`, Unix seconds), randomness is an argument (bytes),
//! and nothing reads a file or a socket, so a tenant or an app backend can use this crate alone.
//! The sections named in the documentation are those of the project's contracts (`docs/`).

pub mod download_url;
pub mod instance;
pub mod keys;
pub mod license_key;
pub mod license_token;
pub mod manifest;
pub mod open2b;
pub mod package;
pub mod release;
mod signature_error;
pub mod standard_webhooks;
pub mod timed_signature;

mod mac;

pub use signature_error::SignatureError;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
