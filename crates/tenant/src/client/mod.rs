//! The marketplace's REST calls, typed (contracts.md section 2).
//!
//! What leaves the shop is ids, versions and the instance id, sealed to the marketplace's key; at checkout the buyer's
//! e-mail address. Nothing else is ever sent.

mod answers;
mod error;
mod installations;
mod transport;

use std::collections::BTreeMap;

use platform::{Random, secret::Secret};
use semver::Version;
use serde::Serialize;
use tokio::sync::OnceCell;
use url::Url;
use wire::{
    instance::{self, SealingPublicKey},
    license_key::LicenseKey,
    manifest::MarketplaceId,
};

pub use answers::{
    AppKind, CheckoutSession, Deactivated, Download, Feed, IssuedLicense, License, Product, ProductDetail,
    PublicKey, Release, Update, Verified, WellKnown,
};
pub use error::ClientError;
pub use installations::{
    Access, Installation, InstallationState, Introspection, LastCallback, PendingUpdate,
};
use transport::Transport;

const STORE: &str = "store/marketplace";
/// The most ids that one question about updates may hold (contracts.md section 2).
const MAX_VERSIONS: usize = 200;
const LICENSES_PER_PAGE: u32 = 100;

/// Where the marketplace is and who the shop is there.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The marketplace's address, `CARPHACOM_FEDERATION_URL`.
    pub url: Url,
    /// `pk_…`, sent on every read, `CARPHACOM_FEDERATION_PK`.
    pub publishable_key: Secret,
    /// `sk_…`, for the administrator's own calls.
    pub secret_key: Option<Secret>,
    /// `inst_…`; needed to buy and to verify licences. It only leaves the shop sealed.
    pub instance_id: Option<Secret>,
}

/// A client of one marketplace for one shop.
pub struct Client {
    transport: Transport,
    instance_id: Option<Secret>,
    random: Random,
    sealing_key: OnceCell<SealingPublicKey>,
}

/// What part of the feed to read.
#[derive(Debug, Clone, Default, Serialize)]
pub struct FeedQuery {
    /// One of the types of contracts.md section 1.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub app_type: Option<String>,
    /// Words to find.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// From 1.
    pub page: u32,
    /// At most 100.
    pub per_page: u32,
}

/// A question about a licence (contracts.md section 5).
#[derive(Debug, Clone, Copy)]
pub struct LicenseQuestion<'a> {
    /// The key.
    pub license_key: &'a LicenseKey,
    /// The app it should cover.
    pub marketplace_id: &'a MarketplaceId,
    /// The version it should cover.
    pub version: Option<&'a Version>,
    /// Makes the answer fresh and its token this question's own.
    pub nonce: Option<&'a str>,
}

#[derive(Serialize)]
struct LicenseBody<'a> {
    license_key: String,
    marketplace_id: &'a MarketplaceId,
    instance_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a Version>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
}

#[derive(Serialize)]
struct CheckoutBody<'a> {
    marketplace_id: &'a MarketplaceId,
    version: &'a Version,
    customer_email: &'a str,
    instance_id: String,
}

impl Client {
    /// A client; nothing is sent yet.
    pub fn new(config: ClientConfig, random: Random) -> Result<Self, ClientError> {
        let transport = Transport::new(config.url, &config.publishable_key, config.secret_key)?;
        Ok(Self { transport, instance_id: config.instance_id, random, sealing_key: OnceCell::new() })
    }

    /// The plain instance id, for comparing it with a licence token's `ins`.
    #[must_use]
    pub fn instance_id(&self) -> Option<&str> {
        self.instance_id.as_ref().map(Secret::expose)
    }

    /// Whether the administrator's own calls are possible.
    #[must_use]
    pub fn has_secret_key(&self) -> bool {
        self.transport.has_secret_key()
    }

    /// Who the marketplace is: its issuer name and public keys.
    pub async fn well_known(&self) -> Result<WellKnown, ClientError> {
        self.transport.json(self.transport.get(".well-known/mercato.json")?).await
    }

    /// A page of what is on offer.
    pub async fn feed(&self, query: &FeedQuery) -> Result<Feed, ClientError> {
        let request = self.transport.get(&format!("{STORE}/feed"))?.query(query);
        self.transport.json(request).await
    }

    /// One app with all its versions and the keys that vouch for them.
    pub async fn product(&self, app: &MarketplaceId) -> Result<ProductDetail, ClientError> {
        let request = self.transport.get(&format!("{STORE}/feed/{app}"))?;
        let detail: ProductDetail = self.transport.json(request).await?;
        // Whose keys are asked for follows from the name: another app's would be those of another vendor.
        if detail.product.marketplace_id == *app { Ok(detail) } else { Err(ClientError::Unreadable) }
    }

    /// What is newer than the given versions. Apps that the marketplace doesn't know are left out of the answer.
    pub async fn updates(
        &self,
        versions: &BTreeMap<MarketplaceId, Version>,
    ) -> Result<Vec<Update>, ClientError> {
        let all: Vec<_> = versions.iter().collect();
        let mut updates = Vec::new();
        for part in all.chunks(MAX_VERSIONS) {
            let part: BTreeMap<_, _> = part.iter().copied().collect();
            let part = serde_json::to_string(&part).map_err(|_| ClientError::Unreadable)?;
            let request = self.transport.get(&format!("{STORE}/updates"))?.query(&[("versions", part)]);
            let answer: answers::Updates = self.transport.json(request).await?;
            updates.extend(answer.updates);
        }
        Ok(updates)
    }

    /// Where the artefact of a release can be fetched in the next minutes. A paid app needs its licence key.
    pub async fn download(
        &self,
        app: &MarketplaceId,
        version: &Version,
        license_key: Option<&LicenseKey>,
    ) -> Result<Download, ClientError> {
        let mut request = self.transport.get(&format!("{STORE}/download/{app}/{version}"))?;
        if let Some(key) = license_key {
            request = request.header("x-carpha-license", transport::secret_value(&key.to_string())?);
            if self.instance_id.is_some() {
                request = request.header("x-carpha-instance", self.sealed_instance().await?);
            }
        }
        self.transport.json(request).await
    }

    /// The artefact's bytes, at most `max_bytes` and not one more than was announced.
    pub async fn fetch(&self, download: &Download, max_bytes: u64) -> Result<Vec<u8>, ClientError> {
        let limit = download.size.map_or(max_bytes, |size| size.min(max_bytes));
        self.transport.fetch(&download.url, limit).await
    }

    /// Opens a checkout; the answer's `url` is where the buyer pays.
    pub async fn checkout(
        &self,
        app: &MarketplaceId,
        version: &Version,
        customer_email: &str,
        idempotency_key: &str,
    ) -> Result<CheckoutSession, ClientError> {
        let instance_id = self.sealed_instance().await?;
        let body = CheckoutBody { marketplace_id: app, version, customer_email, instance_id };
        let request = self.transport.post(&format!("{STORE}/checkout/session"), &body)?;
        let request = request.header("idempotency-key", idempotency_key);
        let session: CheckoutSession = self.transport.json(request).await?;
        // A browser will be sent there.
        let is_web = Url::parse(&session.url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if is_web { Ok(session) } else { Err(ClientError::Unreadable) }
    }

    /// Whether a licence covers an app, a version and this shop.
    pub async fn verify(&self, question: &LicenseQuestion<'_>) -> Result<Verified, ClientError> {
        let body = self.license_body(question).await?;
        self.transport.json(self.transport.post(&format!("{STORE}/license/verify"), &body)?).await
    }

    /// Frees this shop's seat of a licence. Needs the secret key.
    pub async fn deactivate(&self, question: &LicenseQuestion<'_>) -> Result<Deactivated, ClientError> {
        let body = self.license_body(question).await?;
        let request = self.transport.post(&format!("{STORE}/license/deactivate"), &body)?;
        self.transport.json(self.transport.as_administrator(request)?).await
    }

    /// All licences of this shop with their keys. Needs the secret key.
    pub async fn licenses(&self) -> Result<Vec<IssuedLicense>, ClientError> {
        let mut licenses: Vec<IssuedLicense> = Vec::new();
        loop {
            let page = [("limit", LICENSES_PER_PAGE.to_string()), ("offset", licenses.len().to_string())];
            let request = self.transport.get(&format!("{STORE}/licenses"))?.query(&page);
            let request = self.transport.as_administrator(request)?;
            let answer: answers::Licenses = self.transport.json(request).await?;
            let was_last = answer.licenses.is_empty();
            licenses.extend(answer.licenses);
            if was_last || licenses.len() >= answer.count {
                return Ok(licenses);
            }
        }
    }

    async fn license_body<'a>(&self, question: &LicenseQuestion<'a>) -> Result<LicenseBody<'a>, ClientError> {
        Ok(LicenseBody {
            license_key: question.license_key.to_string(),
            marketplace_id: question.marketplace_id,
            instance_id: self.sealed_instance().await?,
            version: question.version,
            nonce: question.nonce,
        })
    }

    /// The instance id in a fresh sealed box, so that two questions can't be linked on their way.
    async fn sealed_instance(&self) -> Result<String, ClientError> {
        let instance_id = self.instance_id.as_ref().ok_or(ClientError::NoInstanceId)?;
        let load = async || self.well_known().await.map(|known| known.sealing_key);
        let key = self.sealing_key.get_or_try_init(load).await?;
        instance::seal(key, instance_id, self.random.bytes()).map_err(|_| ClientError::NoInstanceId)
    }
}
