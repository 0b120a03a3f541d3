use platform::{AppError, AppResult};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::App;
use crate::{
    domain::target::BaseUrl,
    sender::{LiveSecret, Recipient},
    store::endpoint,
};

const SECRETS: &str = "endpoint.secrets";
const BODY: &str = "message.body";

/// A secret as it is sealed at rest.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    secret: std::borrow::Cow<'a, str>,
    expires_at_ms: Option<i64>,
}

impl App {
    pub(super) fn seal_secrets(&self, secrets: &[LiveSecret]) -> AppResult<Vec<u8>> {
        let stored = secrets
            .iter()
            .map(|one| Stored { secret: one.secret.expose().into(), expires_at_ms: one.expires_at_ms });
        let plain = serde_json::to_vec(&stored.collect::<Vec<_>>()).map_err(AppError::unexpected)?;
        self.sealer.seal(SECRETS, &Zeroizing::new(plain))
    }

    /// The endpoint with its secrets opened, ready to be told.
    pub(super) fn recipient(&self, endpoint: &endpoint::Model) -> AppResult<Recipient> {
        Ok(Recipient {
            endpoint_id: endpoint.id.clone(),
            instance_id: endpoint.instance_id.clone(),
            base_url: BaseUrl::parse(&endpoint.base_url).map_err(AppError::unexpected)?,
            secrets: self.open_secrets(&endpoint.sealed_secrets)?,
        })
    }

    fn open_secrets(&self, sealed: &[u8]) -> AppResult<Vec<LiveSecret>> {
        let plain = Zeroizing::new(self.sealer.open(SECRETS, sealed)?);
        let stored: Vec<Stored<'_>> = serde_json::from_slice(&plain).map_err(AppError::unexpected)?;
        let open = |one: Stored<'_>| {
            let secret = one.secret.parse().map_err(AppError::unexpected)?;
            Ok(LiveSecret { secret, expires_at_ms: one.expires_at_ms })
        };
        stored.into_iter().map(open).collect()
    }

    pub(super) fn seal_body(&self, body: &[u8]) -> AppResult<Vec<u8>> {
        self.sealer.seal(BODY, body)
    }

    pub(super) fn open_body(&self, sealed: &[u8]) -> AppResult<Vec<u8>> {
        Ok(self.sealer.open(BODY, sealed)?)
    }
}
