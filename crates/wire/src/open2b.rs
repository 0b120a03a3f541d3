//! The callbacks to a hosted app, in Open2b's form (contracts.md section 4): one form field `auth`, which is
//! `base64url(HMAC-SHA256(key, data)) + "." + data`.
//!
//! `data` is the base64url text of a JSON object and the signature is over that *text*; `key` is the base64url-decoded
//! app secret. What an app's backend does with a request that arrived:
//!
//! ```
//! use wire::open2b::{self, Accepted, Callback, Refusal};
//!
//! fn receive(body: &[u8], secret: &str, now: i64) -> Result<(), Refusal> {
//!     let secrets = [Accepted::always(secret.parse().expect("the secret that the marketplace showed"))];
//!     match open2b::parse_form(body, &secrets, now)?.callback {
//!         Callback::Install { shop, api, key, version, .. } => { /* save them, then answer 200 */ }
//!         Callback::Update { shop, version, .. } => { /* move this shop to `version`, then answer 200 */ }
//!         Callback::Remove { shop } => { /* forget this shop, then answer 200 */ }
//!     }
//!     Ok(())
//! }
//! # use wire::open2b::AppSecret;
//! # let secret = AppSecret::from_bytes([7; 32]);
//! # let auth = Callback::Remove { shop: "TN81S9AUB1".to_owned() }.sign(&secret, 1_760_000_600);
//! # let body = open2b::form(&auth);
//! # assert_eq!(receive(body.as_bytes(), secret.expose(), 1_760_000_000), Ok(()));
//! # assert_eq!(receive(body.as_bytes(), secret.expose(), 1_760_000_601), Err(Refusal::Expired));
//! ```

mod callback;
mod secret;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_PAD_INDIFFERENT;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;
use url::form_urlencoded;

pub use callback::{Callback, Operation, ShopApi, UnknownOperation};
pub use secret::{Accepted, AppSecret, AppSecretError};

use crate::mac::{fits, hmac_sha256};

/// The one field of the form.
const FIELD: &str = "auth";

/// A request of ours has some 500 bytes; a longer one only costs time.
pub const MAX_AUTH_LEN: usize = 16 * 1024;

/// The body of the POST, `application/x-www-form-urlencoded`, for an `auth` of [`Callback::sign`].
#[must_use]
pub fn form(auth: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair(FIELD, auth).finish()
}

/// A request that is authentic and in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What the marketplace asks for.
    pub callback: Callback,
    /// The last second in which it may be taken, Unix time.
    pub expires: i64,
}

/// Why a request is refused. Only a request whose signature fits learns more than that it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It is no form with one `auth`, or `auth` is not two base64url texts with a dot between them.
    #[error(
        "the request is malformed; send a form with one field `auth`: signature and data in base64url, joined by one dot"
    )]
    Form,
    /// The signature fits the data under no secret that the app takes now.
    #[error("the signature does not fit; check that the app has its present secret")]
    Signature,
    /// What is signed is no JSON object with the fields of its operation.
    #[error("the signed data is incomplete; it must be a JSON object with all fields of its operation")]
    Data,
    /// Its time is over.
    #[error("the request has expired; each attempt is signed anew, so check this machine's clock")]
    Expired,
    /// It is signed and in time, but asks for something that this version does not know.
    #[error("the operation is unknown; it must be Install, Update or Remove")]
    UnknownOperation,
}

/// Checks the body of a POST and reads the request in it (contracts.md section 4). Fields other than `auth` mean
/// nothing; two of `auth` are refused.
pub fn parse_form(body: &[u8], secrets: &[Accepted], now: i64) -> Result<Request, Refusal> {
    // Percent signs may make a text three times as long.
    if body.len() > 4 * MAX_AUTH_LEN {
        return Err(Refusal::Form);
    }
    let mut auths = form_urlencoded::parse(body).filter(|(name, _)| name == FIELD);
    match (auths.next(), auths.next()) {
        (Some((_, auth)), None) => parse(&auth, secrets, now),
        _ => Err(Refusal::Form),
    }
}

/// Checks an `auth` and reads the request in it (contracts.md section 4). `now` is Unix time in seconds.
///
/// The comparison is constant-time. base64url is taken with its padding and without. A request is good up to and with
/// the second `expires`. The same request may come again: do what it says once, and answer 200 each time.
pub fn parse(auth: &str, secrets: &[Accepted], now: i64) -> Result<Request, Refusal> {
    let (signature, data) = split(auth)?;
    let signature = decode(signature)?;
    let json = decode(data)?;
    let authentic = secrets
        .iter()
        .filter(|secret| secret.is_live(now))
        .any(|accepted| fits(&signature, &hmac_sha256(accepted.secret.key(), &[data.as_bytes()])));
    if !authentic {
        return Err(Refusal::Signature);
    }
    read(&json, now)
}

fn split(auth: &str) -> Result<(&str, &str), Refusal> {
    match auth.split_once('.') {
        Some((signature, data)) if auth.len() <= MAX_AUTH_LEN && !data.contains('.') => Ok((signature, data)),
        _ => Err(Refusal::Form),
    }
}

fn decode(text: &str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_PAD_INDIFFERENT.decode(text).map_err(|_| Refusal::Form)
}

/// The time comes first: what is over is not looked at.
fn read(json: &[u8], now: i64) -> Result<Request, Refusal> {
    let value: Value = serde_json::from_slice(json).map_err(|_| Refusal::Data)?;
    let expires = value.get("expires").and_then(Value::as_i64).ok_or(Refusal::Data)?;
    if expires < now {
        return Err(Refusal::Expired);
    }
    let operation = value.get("operation").and_then(Value::as_str).ok_or(Refusal::Data)?;
    operation.parse::<Operation>().map_err(|_| Refusal::UnknownOperation)?;
    let callback = Callback::deserialize(value).map_err(|_| Refusal::Data)?;
    Ok(Request { callback, expires })
}

#[cfg(test)]
mod tests;
