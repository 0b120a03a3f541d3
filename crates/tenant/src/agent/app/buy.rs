//! What the administrator starts.

use semver::Version;
use wire::manifest::MarketplaceId;

use super::{App, UseCaseError};
use crate::{agent::domain::Job, client::ClientError};

impl App {
    /// Opens a checkout and gives the address where it is paid.
    ///
    /// The note of it is written first: if this process dies in between, the licence still answers a checkout that was
    /// started here.
    pub(crate) async fn buy(&self, app: MarketplaceId, version: Version) -> Result<String, UseCaseError> {
        let client = self.client()?;
        let email = self.config.admin_email.as_ref().ok_or(UseCaseError::NoEmail)?;
        let key = self.ids().generate("buy");
        let now_ms = self.now_ms();
        let noted = (key.clone(), app.clone(), version.clone());
        self.state.change(|state| state.begin_checkout(noted.0, noted.1, noted.2, now_ms)).await?;
        match client.checkout(&app, &version, email.expose(), &key).await {
            Ok(session) => {
                self.state.change(|state| state.checkout_opened(&key, &session.id)).await?;
                Ok(session.url)
            }
            Err(error) => {
                self.forget_refused_checkout(&key, &error).await?;
                Err(error.into())
            }
        }
    }

    /// A call without an answer may have opened the order: its note stays.
    async fn forget_refused_checkout(&self, key: &str, error: &ClientError) -> Result<(), UseCaseError> {
        if !error.is_transient() {
            self.state.change(|state| state.drop_checkout(key)).await?;
        }
        Ok(())
    }

    /// Queues an installation or an update to this version. `allowed` are the added permissions that were shown, `after`
    /// is the app's newest installation then.
    pub(crate) async fn install(
        &self,
        app: MarketplaceId,
        version: Version,
        allowed: Vec<String>,
        after: Option<String>,
    ) -> Result<(), UseCaseError> {
        self.client()?;
        let job = Job { allowed, after, ..Job::new(app, version, self.now_ms()) };
        Ok(self.state.change(|state| state.queue(job)).await?)
    }

    /// Goes on with a job that waits for the administrator, granting what it asks, if that is what was shown.
    pub(crate) async fn resume(&self, app: &MarketplaceId, shown: &str) -> Result<(), UseCaseError> {
        Ok(self.state.change(|state| state.resume_job(app, shown)).await?)
    }

    /// Gives a job up. What is installed stays.
    pub(crate) async fn give_up(&self, app: &MarketplaceId) -> Result<(), UseCaseError> {
        self.state.change(|state| state.jobs.remove(app)).await?;
        Ok(())
    }
}
