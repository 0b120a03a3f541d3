use platform::{AppError, AppResult};
use wire::{
    instance::{InstanceRef, SealingKey},
    keys::{Jwks, SigningKey, VerifyingKey},
    license_key::LicenseKey,
    license_token::{self, LicenseClaims, TOKEN_LIFETIME_SECS},
};
use zeroize::Zeroizing;

use crate::config::LicenseConfig;

/// The marketplace's own keys: they sign tokens, open sealed instance ids and find licence keys.
pub(crate) struct Keyring {
    issuer: String,
    token: SigningKey,
    token_key_id: String,
    published: Jwks,
    sealing: SealingKey,
    lookup: Zeroizing<[u8; 32]>,
}

/// What a token says beside when and by whom.
pub(crate) struct Statement<'a> {
    pub(crate) license_id: &'a str,
    pub(crate) marketplace_id: &'a str,
    pub(crate) instance_id: &'a str,
    pub(crate) code: &'a str,
    pub(crate) nonce: Option<&'a str>,
}

impl Keyring {
    pub(super) fn new(config: &LicenseConfig) -> anyhow::Result<Self> {
        let token: SigningKey = config.token_key.parse()?;
        let mut published = vec![token.verifying_key()];
        for key in &config.previous_token_keys {
            published.push(key.parse::<VerifyingKey>()?);
        }
        Ok(Self {
            issuer: config.issuer.clone(),
            token_key_id: token.key_id(),
            token,
            published: Jwks::new(&published),
            sealing: config.sealing_key.parse()?,
            lookup: Zeroizing::new(config.lookup_key()?),
        })
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The keys by which tokens are verified, the present one first.
    pub(crate) fn jwks(&self) -> &Jwks {
        &self.published
    }

    /// The key to which shops seal their ids.
    pub(crate) fn sealing_key(&self) -> String {
        self.sealing.public_key().to_string()
    }

    /// The hash under which the key is stored.
    pub(super) fn hash(&self, key: &LicenseKey) -> [u8; 32] {
        key.lookup_hash(&self.lookup)
    }

    /// The instance that a shop has named, plain or sealed.
    pub(crate) fn reveal(&self, instance: &str) -> AppResult<String> {
        let named: InstanceRef = instance.parse().map_err(invalid)?;
        named.reveal(&self.sealing).map_err(invalid)
    }

    pub(super) fn sign(&self, statement: &Statement<'_>, now_secs: i64) -> String {
        let claims = LicenseClaims {
            iss: self.issuer.clone(),
            sub: statement.license_id.to_owned(),
            app: statement.marketplace_id.to_owned(),
            ins: license_token::instance_hash(statement.instance_id),
            st: statement.code.to_owned(),
            iat: now_secs,
            exp: now_secs + TOKEN_LIFETIME_SECS,
            nonce: statement.nonce.map(str::to_owned),
        };
        license_token::issue(&self.token, &self.token_key_id, &claims)
    }
}

/// None of wire's messages about an instance id holds any of it.
fn invalid(error: wire::instance::InstanceError) -> AppError {
    AppError::invalid(error.to_string())
}
