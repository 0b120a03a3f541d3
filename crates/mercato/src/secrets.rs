//! The keys of one marketplace: made once, kept beside its data.

use std::path::Path;

use anyhow::bail;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use platform::{Random, sealing::SealingConfig, secret::Secret};
use serde::{Deserialize, Serialize};

use crate::private::{self, expose};

const FILE: &str = "secrets.json";

/// Every key that the services hold. Lost together with a backup of it, licence keys that were sold are lost too.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// The operator's `ak_…`.
    #[serde(serialize_with = "expose")]
    pub admin_key: Secret,
    /// By which the services know the gateway.
    #[serde(serialize_with = "expose")]
    pub gateway_credential: Secret,
    /// Signs download URLs.
    #[serde(serialize_with = "expose")]
    pub download_key: Secret,
    /// Signs release statements.
    #[serde(serialize_with = "expose")]
    pub release_key: Secret,
    /// Signs licence tokens.
    #[serde(serialize_with = "expose")]
    pub token_key: Secret,
    /// Opens sealed instance ids.
    #[serde(serialize_with = "expose")]
    pub instance_key: Secret,
    /// Keys the hash under which licence keys are found.
    #[serde(serialize_with = "expose")]
    pub lookup_key: Secret,
    /// Seals catalog-svc's rows. A marketplace that was made before there were any gets the key with its next start.
    #[serde(default = "none", serialize_with = "expose")]
    pub catalog_sealing: Secret,
    /// Seals license-svc's rows.
    #[serde(serialize_with = "expose")]
    pub license_sealing: Secret,
    /// Seals payments-svc's rows.
    #[serde(serialize_with = "expose")]
    pub payments_sealing: Secret,
    /// Seals webhook-dispatcher's rows.
    #[serde(serialize_with = "expose")]
    pub webhooks_sealing: Secret,
    /// Seals what travels on the bus.
    #[serde(serialize_with = "expose")]
    pub bus_sealing: Secret,
}

impl Secrets {
    /// Those of the folder; made now where it is new. Tells whether they were.
    pub fn load_or_create(folder: &Path, random: &Random) -> anyhow::Result<(Self, bool)> {
        let path = folder.join(FILE);
        if let Some(secrets) = private::find(&path)? {
            return Ok((Self::completed(secrets, &path, random)?, false));
        }
        if folder.join("license.db").exists() {
            bail!(
                "{} is missing, but {} holds data that only its keys open; restore it from a backup",
                path.display(),
                folder.display()
            );
        }
        let secrets = Self::generate(random);
        private::write(&path, &secrets)?;
        Ok((secrets, true))
    }

    /// With the key that earlier versions did not make.
    fn completed(mut secrets: Self, path: &Path, random: &Random) -> anyhow::Result<Self> {
        if secrets.catalog_sealing == none() {
            secrets.catalog_sealing = key(random);
            private::write(path, &secrets)?;
        }
        Ok(secrets)
    }

    /// New ones.
    #[must_use]
    pub fn generate(random: &Random) -> Self {
        Self {
            admin_key: token("ak_", random),
            gateway_credential: token("", random),
            download_key: key(random),
            release_key: key(random),
            token_key: key(random),
            instance_key: key(random),
            lookup_key: key(random),
            catalog_sealing: key(random),
            license_sealing: key(random),
            payments_sealing: key(random),
            webhooks_sealing: key(random),
            bus_sealing: key(random),
        }
    }
}

/// What stands for a key that is not there.
fn none() -> Secret {
    Secret::new("")
}

/// The base64 of 32 random bytes.
pub(crate) fn key(random: &Random) -> Secret {
    Secret::new(BASE64_STANDARD.encode(random.bytes::<32>()))
}

/// 32 random bytes in hex behind a prefix.
pub(crate) fn token(prefix: &str, random: &Random) -> Secret {
    Secret::new(format!("{prefix}{}", hex::encode(random.bytes::<32>())))
}

/// A ring with this one key.
pub(crate) fn ring(key: &Secret) -> SealingConfig {
    SealingConfig { keys: Secret::new(format!("1:{}", key.expose())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (made, new) = Secrets::load_or_create(folder.path(), &Random::seeded(1)).unwrap();
        let (kept, again) = Secrets::load_or_create(folder.path(), &Random::seeded(2)).unwrap();
        assert!(new && !again);
        assert_eq!(made.admin_key, kept.admin_key);
        assert_eq!(made.lookup_key, kept.lookup_key);
        assert!(made.admin_key.starts_with("ak_") && made.admin_key != made.gateway_credential);
    }

    #[test]
    fn a_key_that_earlier_versions_did_not_make_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let (made, _) = Secrets::load_or_create(folder.path(), &Random::seeded(1)).unwrap();
        let earlier = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
        let mut earlier: serde_json::Value = serde_json::from_str(&earlier).unwrap();
        earlier.as_object_mut().unwrap().remove("catalog_sealing").unwrap();
        std::fs::write(folder.path().join(FILE), earlier.to_string()).unwrap();
        let (completed, new) = Secrets::load_or_create(folder.path(), &Random::seeded(2)).unwrap();
        let (again, _) = Secrets::load_or_create(folder.path(), &Random::seeded(3)).unwrap();
        assert!(!new && completed.catalog_sealing != none());
        assert_eq!(completed.catalog_sealing, again.catalog_sealing);
        assert_eq!(completed.admin_key, made.admin_key);
    }

    #[test]
    fn data_without_its_keys_is_not_run_with_new_ones() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("license.db"), "").unwrap();
        let error = Secrets::load_or_create(folder.path(), &Random::seeded(1)).unwrap_err();
        assert!(error.to_string().contains("restore it from a backup"), "{error}");
    }
}
