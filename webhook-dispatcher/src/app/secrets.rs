use std::{borrow::Cow, collections::BTreeMap, error::Error, str::FromStr};

use platform::{AppError, AppResult};
use serde::{Deserialize, Serialize};
use wire::{open2b::AppSecret, standard_webhooks::WebhookSecret};
use zeroize::Zeroizing;

use super::App;
use crate::{
    domain::{
        endpoint::Owner,
        settings::CustomHeaders,
        target::{BaseUrl, CallbackUrl},
    },
    sender::{Live, Recipient, Route},
    store::endpoint,
};

const SECRETS: &str = "endpoint.secrets";
const BODY: &str = "message.body";
const HEADERS: &str = "endpoint.headers";

/// A secret as it is sealed at rest.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    secret: Cow<'a, str>,
    expires_at_ms: Option<i64>,
}

impl App {
    pub(super) fn seal_secrets(&self, route: &Route) -> AppResult<Vec<u8>> {
        let stored = match route {
            Route::Shop { secrets, .. } | Route::Operator { secrets, .. } => {
                stored(secrets, WebhookSecret::expose)
            }
            Route::App { secrets, .. } => stored(secrets, AppSecret::expose),
        };
        let plain = serde_json::to_vec(&stored).map_err(AppError::unexpected)?;
        self.sealer.seal(SECRETS, &Zeroizing::new(plain))
    }

    /// The endpoint with its secrets opened, ready to be told.
    pub(super) fn recipient(&self, endpoint: &endpoint::Model) -> AppResult<Recipient> {
        let plain = Zeroizing::new(self.sealer.open(SECRETS, &endpoint.sealed_secrets)?);
        let stored: Vec<Stored<'_>> = serde_json::from_slice(&plain).map_err(AppError::unexpected)?;
        let route = match endpoint.owner() {
            Owner::Instance(_) => Route::Shop {
                base_url: BaseUrl::parse(&endpoint.base_url).map_err(AppError::unexpected)?,
                secrets: live(&stored)?,
            },
            Owner::App(_) => Route::App {
                url: CallbackUrl::parse(&endpoint.base_url).map_err(AppError::unexpected)?,
                secrets: live(&stored)?,
            },
            Owner::Operator => Route::Operator {
                url: CallbackUrl::parse(&endpoint.base_url).map_err(AppError::unexpected)?,
                secrets: live(&stored)?,
            },
        };
        let headers = self.open_headers(endpoint.sealed_headers.as_deref())?;
        let failing_since_ms = endpoint.failing_since_ms;
        Ok(Recipient { headers, failing_since_ms, ..Recipient::new(endpoint.id.clone(), route) })
    }

    /// Nothing: there are none.
    pub(super) fn seal_headers(&self, headers: &CustomHeaders) -> AppResult<Option<Vec<u8>>> {
        if headers.is_empty() {
            return Ok(None);
        }
        let plain = serde_json::to_vec(&headers.expose()).map_err(AppError::unexpected)?;
        self.sealer.seal(HEADERS, &Zeroizing::new(plain)).map(Some)
    }

    fn open_headers(&self, sealed: Option<&[u8]>) -> AppResult<CustomHeaders> {
        let Some(sealed) = sealed else { return Ok(CustomHeaders::default()) };
        let plain = Zeroizing::new(self.sealer.open(HEADERS, sealed)?);
        let stored: BTreeMap<&str, &str> = serde_json::from_slice(&plain).map_err(AppError::unexpected)?;
        CustomHeaders::parse(stored).map_err(AppError::unexpected)
    }

    pub(super) fn seal_body(&self, body: &[u8]) -> AppResult<Vec<u8>> {
        self.sealer.seal(BODY, body)
    }

    pub(super) fn open_body(&self, sealed: &[u8]) -> AppResult<Vec<u8>> {
        Ok(self.sealer.open(BODY, sealed)?)
    }
}

fn stored<S>(secrets: &[Live<S>], expose: fn(&S) -> &str) -> Vec<Stored<'_>> {
    let all = secrets.iter();
    all.map(|one| Stored { secret: expose(&one.secret).into(), expires_at_ms: one.expires_at_ms }).collect()
}

fn live<S>(stored: &[Stored<'_>]) -> AppResult<Vec<Live<S>>>
where
    S: FromStr<Err: Error + Send + Sync + 'static>,
{
    let open = |one: &Stored<'_>| {
        let secret = one.secret.parse().map_err(AppError::unexpected)?;
        Ok(Live { secret, expires_at_ms: one.expires_at_ms })
    };
    stored.iter().map(open).collect()
}
