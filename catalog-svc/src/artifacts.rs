//! The releases' bytes: content-addressed objects in a folder or in S3.

use std::{ops::Range, path::Path as FilePath, sync::Arc, time::Duration};

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use object_store::{
    ClientOptions, Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    local::LocalFileSystem,
    path::Path,
    signer::{Method, Signer as _},
};
use platform::{AppError, AppResult};
use tokio::time::timeout;
use url::Url;
use wire::release::ArtifactDigest;

use crate::config::ArtifactsConfig;

/// A chunk is at least this long, save the last.
const CHUNK: usize = 64 * 1024;
/// contracts.md section 2: a download URL lives 15 minutes.
const PRESIGNED_FOR: Duration = Duration::from_mins(15);
const PROBE_WITHIN: Duration = Duration::from_secs(3);
const DEFAULT_REGION: &str = "us-east-1";
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Between two pieces of an answer. The answer as a whole may take as long as its reader does.
const READ_WITHIN: Duration = Duration::from_secs(30);

/// Where the bytes are; cheap to clone.
#[derive(Clone)]
pub struct Artifacts {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// Signs reads, where shops reach the address.
    signer: Option<Arc<AmazonS3>>,
}

impl Artifacts {
    /// Opens the configured store. A folder is made; S3 is asked with the first request.
    pub fn open(config: &ArtifactsConfig) -> anyhow::Result<Self> {
        let url = Url::parse(&config.url).context("artifacts.url is no URL")?;
        if url.scheme() == "s3" { Self::open_s3(config, &url) } else { Self::open_folder(&url) }
    }

    fn open_folder(url: &Url) -> anyhow::Result<Self> {
        let Ok(folder) = url.to_file_path() else { anyhow::bail!("artifacts.url must be file:///folder") };
        let store = folder_store(&folder).context("artifacts.url: the folder cannot be used")?;
        Ok(Self { store: Arc::new(store), prefix: Path::default(), signer: None })
    }

    fn open_s3(config: &ArtifactsConfig, url: &Url) -> anyhow::Result<Self> {
        // The S3 client speaks TLS through the process's provider.
        platform::tls::install_provider();
        let store = Arc::new(s3_store(config, url).context("artifacts: the S3 store cannot be used")?);
        let prefix = Path::parse(url.path()).context("artifacts.url: the prefix cannot be used")?;
        let signer = config.public.then(|| Arc::clone(&store));
        Ok(Self { store, prefix, signer })
    }

    /// Stores the bytes, atomically and durably. What is there already is left: the address tells the content.
    pub async fn put(&self, digest: &ArtifactDigest, bytes: Bytes) -> AppResult<()> {
        let size = bytes.len() as u64;
        if self.find_size(digest).await? == Some(size) {
            return Ok(());
        }
        self.store.put(&self.path(digest), bytes.into()).await.map(drop).map_err(away)
    }

    /// How many bytes the artefact has, if it is there.
    pub async fn find_size(&self, digest: &ArtifactDigest) -> AppResult<Option<u64>> {
        match self.store.head(&self.path(digest)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(away(error)),
        }
    }

    /// Streams a range that lies within the artefact, in chunks.
    pub async fn read(
        &self,
        digest: &ArtifactDigest,
        range: Range<u64>,
    ) -> AppResult<impl Stream<Item = AppResult<Bytes>> + Send + use<>> {
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let pieces = self.store.get_opts(&self.path(digest), options).await.map_err(away)?.into_stream();
        Ok(in_chunks(pieces).map_err(away))
    }

    /// A URL that reads the artefact for 15 minutes, where the store's address is public.
    pub async fn presign(&self, digest: &ArtifactDigest) -> AppResult<Option<String>> {
        let Some(signer) = &self.signer else { return Ok(None) };
        let url = signer.signed_url(Method::GET, &self.path(digest), PRESIGNED_FOR).await.map_err(away)?;
        Ok(Some(url.into()))
    }

    /// Whether the store answers now: it holds a small mark, which is made when it isn't there.
    pub async fn is_reachable(&self) -> bool {
        let mark = self.prefix.clone().join("mercato");
        let probe = async {
            match self.store.head(&mark).await {
                // S3 denies to look for what is missing unless one may list the bucket.
                Err(Error::NotFound { .. } | Error::PermissionDenied { .. }) => {
                    self.store.put(&mark, Bytes::from_static(b"Mercato's artefacts\n").into()).await.is_ok()
                }
                answer => answer.is_ok(),
            }
        };
        timeout(PROBE_WITHIN, probe).await.unwrap_or(false)
    }

    /// `sha256/ab/cdef….zip`: a level of folders keeps each of them small.
    fn path(&self, digest: &ArtifactDigest) -> Path {
        let hex = digest.to_string();
        let (folder, rest) = hex.split_at(2);
        self.prefix.clone().join("sha256").join(folder).join(format!("{rest}.zip"))
    }
}

fn folder_store(folder: &FilePath) -> anyhow::Result<LocalFileSystem> {
    std::fs::create_dir_all(folder)?;
    // The rows that name an artefact are durable, so the artefact must be.
    Ok(LocalFileSystem::new_with_prefix(folder)?.with_fsync(true))
}

fn s3_store(config: &ArtifactsConfig, url: &Url) -> object_store::Result<AmazonS3> {
    let client = ClientOptions::new()
        .with_allow_http(config.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://")))
        .with_connect_timeout(CONNECT_WITHIN)
        .with_read_timeout(READ_WITHIN)
        .with_timeout_disabled();
    let retry =
        RetryConfig { max_retries: 3, retry_timeout: Duration::from_secs(15), ..RetryConfig::default() };
    let mut builder = AmazonS3Builder::new()
        .with_client_options(client)
        .with_retry(retry)
        .with_bucket_name(url.host_str().unwrap_or_default())
        .with_region(config.region.as_deref().unwrap_or(DEFAULT_REGION));
    if let Some(endpoint) = &config.endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
    }
    if let (Some(access), Some(secret)) = (&config.access_key, &config.secret_key) {
        builder = builder.with_access_key_id(access.expose()).with_secret_access_key(secret.expose());
    }
    builder.build()
}

/// Stores hand out pieces of any size; a call's message is worth at least [`CHUNK`].
fn in_chunks<E: Send>(
    pieces: impl Stream<Item = Result<Bytes, E>> + Send,
) -> impl Stream<Item = Result<Bytes, E>> + Send {
    stream::try_unfold(Box::pin(pieces), |mut pieces| async move {
        let mut chunk = BytesMut::new();
        while chunk.len() < CHUNK {
            match pieces.next().await {
                Some(piece) => chunk.extend_from_slice(&piece?),
                None => break,
            }
        }
        Ok((!chunk.is_empty()).then(|| (chunk.freeze(), pieces)))
    })
}

fn away(error: Error) -> AppError {
    AppError::unavailable("the artefacts' store cannot be reached right now; try again shortly")
        .caused_by(error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use platform::secret::Secret;
    use tempfile::TempDir;

    use super::*;

    const EMPTY: &str = "e3/b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.zip";

    fn folder() -> (TempDir, Artifacts) {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(&ArtifactsConfig::folder(&folder.path().join("new"))).unwrap();
        (folder, artifacts)
    }

    fn s3(public: bool) -> ArtifactsConfig {
        ArtifactsConfig {
            url: "s3://bucket/some/prefix/".into(),
            endpoint: Some("http://127.0.0.1:9/".into()),
            region: Some("eu-south-1".into()),
            access_key: Some(Secret::new("key")),
            secret_key: Some(Secret::new("hunter2")),
            public,
        }
    }

    async fn read(artifacts: &Artifacts, digest: &ArtifactDigest, range: Range<u64>) -> Vec<Bytes> {
        artifacts.read(digest, range).await.unwrap().try_collect().await.unwrap()
    }

    #[tokio::test]
    async fn an_artifact_lies_under_its_digest_and_reads_back_in_chunks() {
        let (folder, artifacts) = folder();
        let bytes: Bytes = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect::<Vec<u8>>().into();
        let digest = ArtifactDigest::of(&bytes);
        assert_eq!(artifacts.find_size(&digest).await.unwrap(), None);
        artifacts.put(&digest, bytes.clone()).await.unwrap();
        artifacts.put(&digest, bytes.clone()).await.unwrap();
        assert_eq!(artifacts.find_size(&digest).await.unwrap(), Some(200_000));
        let hex = digest.to_string();
        assert!(folder.path().join(format!("new/sha256/{}/{}.zip", &hex[..2], &hex[2..])).is_file());

        let whole = read(&artifacts, &digest, 0..200_000).await;
        assert_eq!(whole.concat(), bytes);
        assert!(whole[..whole.len() - 1].iter().all(|chunk| (CHUNK..=4 * CHUNK).contains(&chunk.len())));
        assert_eq!(read(&artifacts, &digest, 70_000..70_003).await.concat(), bytes[70_000..70_003]);
    }

    #[tokio::test]
    async fn a_folder_is_reachable_until_it_is_gone() {
        let (folder, artifacts) = folder();
        assert!(artifacts.is_reachable().await);
        assert!(artifacts.is_reachable().await);
        std::fs::remove_dir_all(folder.path()).unwrap();
        std::fs::write(folder.path(), "no folder").unwrap();
        assert!(!artifacts.is_reachable().await);
        std::fs::remove_file(folder.path()).unwrap();
    }

    #[tokio::test]
    async fn a_public_s3_address_is_presigned_for_fifteen_minutes_without_the_secret() {
        let artifacts = Artifacts::open(&s3(true)).unwrap();
        let url = artifacts.presign(&ArtifactDigest::of(b"")).await.unwrap().unwrap();
        assert!(url.starts_with(&format!("http://127.0.0.1:9/bucket/some/prefix/sha256/{EMPTY}?")), "{url}");
        assert!(url.contains("X-Amz-Expires=900") && url.contains("eu-south-1"), "{url}");
        assert!(!url.contains("hunter2"));
    }

    #[tokio::test]
    async fn a_private_store_presigns_nothing() {
        let digest = ArtifactDigest::of(b"");
        assert_eq!(Artifacts::open(&s3(false)).unwrap().presign(&digest).await.unwrap(), None);
        let (_folder, artifacts) = folder();
        assert_eq!(artifacts.presign(&digest).await.unwrap(), None);
        assert_eq!(artifacts.path(&digest).as_ref(), format!("sha256/{EMPTY}"));
    }
}
