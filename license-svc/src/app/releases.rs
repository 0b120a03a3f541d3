use platform::AppResult;

use super::App;
use crate::store::releases;

/// A release that the catalogue has published.
pub(crate) struct Release {
    pub(crate) marketplace_id: String,
    pub(crate) version: String,
    pub(crate) published_at_ms: i64,
}

impl App {
    /// Notes when a release was published. Its row is the same however often it comes, so it needs no inbox.
    pub(crate) async fn take_release(&self, release: &Release) -> AppResult<()> {
        let Release { marketplace_id, version, published_at_ms } = release;
        Ok(releases::create_release(self.db.write(), marketplace_id, version, *published_at_ms).await?)
    }
}
