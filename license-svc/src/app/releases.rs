use platform::AppResult;

use super::App;
use crate::{domain::Release, store::releases};

/// What its row says is the same however often, and in whatever order, it is told: so neither needs an inbox.
impl App {
    /// Notes a release that was published, and moves the shops to it that need no update for it.
    pub(crate) async fn take_release(&self, release: &Release) -> AppResult<()> {
        releases::create_release(self.db.write(), release, false).await?;
        match &release.hosted {
            Some(hosted) => self.update_silently(hosted).await,
            None => Ok(()),
        }
    }

    /// Notes that a release is withdrawn: those who run it stay, no one else is moved to it.
    pub(crate) async fn take_yank(&self, release: &Release) -> AppResult<()> {
        Ok(releases::create_release(self.db.write(), release, true).await?)
    }
}
