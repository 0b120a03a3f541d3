//! Hosted and static apps: the marketplace keeps the record of their installation.

use std::{collections::BTreeMap, time::Duration};

use semver::Version;
use wire::manifest::MarketplaceId;

use super::{
    App, ListingState, UseCaseError,
    installer::{JobError, blocking, refuse_unseen},
    trust::Doubt,
};
use crate::{
    agent::domain::{HostedNote, Job, added},
    client::{AppKind, Client, ClientError, Installation, InstallationState, ProductDetail},
};

/// Most apps answer within it; one that takes longer is seen on the page.
const WAIT: Duration = Duration::from_secs(5);

/// The installations of this shop: of each app the one that is here, or else the last one.
pub(crate) type Installations = BTreeMap<MarketplaceId, Installation>;

/// What the administrator is asked before an app is installed or updated.
pub(crate) struct Consent {
    pub(crate) detail: ProductDetail,
    /// What the release asks for; of a hosted app as its vendor has signed it.
    pub(crate) permissions: Vec<String>,
    /// Where a hosted app runs.
    pub(crate) address: Option<String>,
    /// What is here already.
    pub(crate) present: Option<Installation>,
    /// The id of the app's newest installation, whatever became of it; empty for none.
    pub(crate) newest: String,
    /// Why the release can't be vouched for: then nothing is asked.
    pub(crate) doubt: Option<Doubt>,
}

impl App {
    /// All installations; none where the shop is not connected, or has no secret key to ask with.
    pub(crate) async fn installations(&self) -> Result<Installations, ClientError> {
        let Some(client) = self.client.as_ref().filter(|client| client.has_secret_key()) else {
            return Ok(Installations::new());
        };
        Ok(newest_of_each(client.installations(None).await?))
    }

    /// What to ask about an app before it is installed or updated; its signatures are checked first. None where there
    /// is nothing to ask: it is to be paid first, or is here in the version on offer, or on its way.
    pub(crate) async fn consent(&self, app: &MarketplaceId) -> Result<Option<Consent>, UseCaseError> {
        if !self.client()?.has_secret_key() {
            return Err(ClientError::NoSecretKey.into());
        }
        let (detail, state) = self.look_at(app).await?;
        let newest = match state {
            ListingState::Available { covered: true, last } => last.map(|last| *last),
            ListingState::Registered(registered) => Some(registered.installation),
            _ => return Ok(None),
        };
        let newest_id = newest.as_ref().map(|newest| newest.id.clone()).unwrap_or_default();
        let present = newest.filter(is_here);
        let is_hosted = detail.product.kind == AppKind::Hosted;
        let has_it = |one: &Installation| is_hosted && one.version >= detail.product.version;
        if !detail.product.kind.has_installation() || present.as_ref().is_some_and(has_it) {
            return Ok(None);
        }
        Ok(Some(Consent { newest: newest_id, ..self.ask(app, detail, present) }))
    }

    fn ask(&self, app: &MarketplaceId, detail: ProductDetail, present: Option<Installation>) -> Consent {
        let vouched = match detail.product.kind {
            AppKind::Hosted => self.vouched_manifest(app, &detail).map(|(manifest, _)| Some(manifest)),
            _ => self.check_statement(app, &detail).map(|()| None),
        };
        let (manifest, doubt) = match vouched {
            Ok(manifest) => (manifest, None),
            Err(doubt) => (None, Some(doubt)),
        };
        let permissions = match &manifest {
            Some(manifest) => manifest.permissions().to_vec(),
            None => detail.product.permissions.clone(),
        };
        let address = manifest.map(|manifest| manifest.entry);
        Consent { permissions, address, present, newest: String::new(), doubt, detail }
    }

    /// Queues the removal of a hosted or static app.
    pub(crate) async fn remove(&self, app: MarketplaceId, version: Version) -> Result<(), UseCaseError> {
        self.client()?;
        let job = Job::removal(app, version, self.now_ms());
        Ok(self.state.change(|state| state.queue(job)).await?)
    }

    pub(super) async fn install_hosted(
        &self,
        client: &Client,
        job: &Job,
        detail: &ProductDetail,
    ) -> Result<(), JobError> {
        let offered = &detail.product.version;
        if *offered != job.version {
            return Err(JobError::NotOffered(offered.clone()));
        }
        let (manifest, signers) = self.vouched_manifest(&job.marketplace_id, detail)?;
        self.pin(&signers, &job.marketplace_id).await?;
        let note = HostedNote {
            marketplace_id: job.marketplace_id.clone(),
            version: job.version.clone(),
            name: manifest.name.clone(),
            address: manifest.entry.clone(),
        };
        self.state.change(|state| state.note_hosted(note)).await?;
        self.register(client, job, manifest.permissions()).await
    }

    /// Brings the marketplace's record of an app to what the administrator wants. Nothing is sent before each
    /// permission has been seen.
    pub(super) async fn register(
        &self,
        client: &Client,
        job: &Job,
        wanted: &[String],
    ) -> Result<(), JobError> {
        let newest = find_newest(client, &job.marketplace_id).await?;
        let newest_id = newest.as_ref().map(|newest| newest.id.clone()).unwrap_or_default();
        let present = newest.filter(is_here);
        let granted = present.as_ref().map_or(&[][..], |present| &present.permissions);
        refuse_unseen(added(wanted, granted), &job.allowed)?;
        self.refuse_withdrawn(job)?;
        match present {
            None if job.is_older_than(&newest_id) => return Err(JobError::Answered),
            None => client.install(&job.marketplace_id, &job.version, wanted, WAIT).await.map(drop)?,
            Some(present) if is_at(&present, job) => {}
            Some(present) => {
                client.update_installation(&present.id, &job.version, wanted, WAIT).await.map(drop)?;
            }
        }
        Ok(())
    }

    pub(super) async fn remove_app(&self, client: &Client, job: &Job) -> Result<(), JobError> {
        let newest = find_newest(client, &job.marketplace_id).await?;
        self.refuse_withdrawn(job)?;
        if let Some(present) = newest.filter(is_here) {
            client.remove_installation(&present.id, WAIT).await?;
        }
        let (statics, app) = (self.statics.clone(), job.marketplace_id.clone());
        blocking(move || Ok(statics.remove(&app).map_err(UseCaseError::from)?)).await
    }
}

/// The installation that is here, or else the last one.
async fn find_newest(client: &Client, app: &MarketplaceId) -> Result<Option<Installation>, ClientError> {
    Ok(newest_of_each(client.installations(Some(app)).await?).remove(app))
}

/// One on its way out is not: a new one takes its place.
fn is_here(one: &Installation) -> bool {
    one.state.is_present() && one.state != InstallationState::Removing
}

fn is_at(present: &Installation, job: &Job) -> bool {
    present.version == job.version || present.target_version.as_ref() == Some(&job.version)
}

fn newest_of_each(all: Vec<Installation>) -> Installations {
    let mut newest = Installations::new();
    for one in all {
        let rank = |one: &Installation| (one.state.is_present(), one.id.clone());
        match newest.get(&one.marketplace_id) {
            Some(known) if rank(known) >= rank(&one) => {}
            _ => drop(newest.insert(one.marketplace_id.clone(), one)),
        }
    }
    newest
}
