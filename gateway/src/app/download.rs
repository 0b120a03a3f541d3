use platform::{AppError, AppResult, Code, Principal, secret::Secret};
use proto::catalog::{ArtifactChunk, ReadArtifactRequest, Release};
use semver::Version;
use wire::{download_url, manifest::MarketplaceId};

use super::{App, VerifyQuestion, services::answer};

/// The question of `download/{marketplaceId}/{version}` (contracts.md section 2).
pub(crate) struct DownloadQuestion {
    pub(crate) marketplace_id: MarketplaceId,
    pub(crate) version: Version,
    pub(crate) license_key: Option<Secret>,
    /// Under a shared key, the instance that the licence is asked for.
    pub(crate) instance_id: Option<String>,
}

/// Where the artefact may be read, and until when.
pub(crate) struct Download {
    pub(crate) url: String,
    pub(crate) expires_at_ms: i64,
    pub(crate) release: Release,
}

/// The path of a download: what it names and how long that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TicketPath {
    pub(crate) sha256: String,
    pub(crate) size: u64,
    pub(crate) file_name: String,
}

impl TicketPath {
    fn of(release: &Release) -> Self {
        let name = release.marketplace_id.trim_start_matches('@').replace('/', "-");
        Self {
            sha256: release.sha256.clone(),
            size: release.size,
            file_name: format!("{name}-{}.zip", release.version),
        }
    }

    /// `/dl/{sha256}/{size}/{file name}`: the signature over it vouches for the size as well.
    pub(crate) fn path(&self) -> String {
        format!("/dl/{}/{}/{}", self.sha256, self.size, self.file_name)
    }
}

impl App {
    /// A URL that dies after 15 minutes; for a paid app only to who holds a licence of it.
    pub(crate) async fn download(
        &self,
        principal: &Principal,
        question: DownloadQuestion,
    ) -> AppResult<Download> {
        let release = self.get_release(&question.marketplace_id, &question.version).await?;
        if release.sha256.is_empty() {
            return Err(AppError::not_found("a hosted app has nothing to download; install it instead"));
        }
        if release.price_cents > 0 {
            self.require_license(principal, question).await?;
        }
        let expires_at = self.clock.now_secs() + download_url::LIFETIME_SECS;
        let url = match &release.presigned_url {
            Some(url) => url.clone(),
            None => self.own_url(&release, expires_at)?,
        };
        Ok(Download { url, expires_at_ms: expires_at * 1000, release })
    }

    fn own_url(&self, release: &Release, expires_at: i64) -> AppResult<String> {
        let key = self.download_keys.first().ok_or_else(|| AppError::unexpected("no download key"))?;
        let path = TicketPath::of(release).path();
        Ok(format!("{}{}", self.public_url, download_url::sign(key, &path, expires_at)))
    }

    async fn require_license(&self, principal: &Principal, question: DownloadQuestion) -> AppResult<()> {
        let license_key = question.license_key.ok_or_else(|| {
            AppError::new(Code::PaymentRequired, "this app is paid: send its licence key as x-carpha-license")
        })?;
        // What the header names is looked at even under the shop's own key: license-svc refuses another's.
        let instance_id =
            question.instance_id.or_else(|| principal.instance_id().map(str::to_owned)).ok_or_else(|| {
                AppError::invalid(
                    "under a shared key name the instance as well, in the header x-carpha-instance",
                )
            })?;
        let asked = VerifyQuestion {
            license_key,
            marketplace_id: question.marketplace_id.to_string(),
            instance_id,
            version: Some(question.version.to_string()),
            nonce: None,
        };
        let answer = self.ask(principal, asked, false).await?;
        if answer.valid {
            return Ok(());
        }
        Err(AppError::new(
            Code::PaymentRequired,
            format!("the licence does not cover this download: {}", answer.detail),
        ))
    }

    /// Whether a download's signature stands and lives.
    pub(crate) fn check_ticket(&self, path: &TicketPath, expires: i64, signature: &str) -> AppResult<()> {
        let keys: Vec<&[u8]> = self.download_keys.iter().map(Vec::as_slice).collect();
        download_url::verify(&keys, &path.path(), expires, signature, self.clock.now_secs())
            .map_err(|error| AppError::not_allowed(format!("{error}; ask for a new download URL")))
    }

    /// The bytes of an artefact, as they come.
    pub(crate) async fn read_artifact(
        &self,
        sha256: String,
        offset: u64,
        length: u64,
    ) -> AppResult<tonic::Streaming<ArtifactChunk>> {
        let question = ReadArtifactRequest { sha256, offset, length: Some(length) };
        let question = self.services.request(&Principal::Anonymous, question)?;
        answer(self.services.catalog().read_artifact(question).await)
    }
}
