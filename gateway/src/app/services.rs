use platform::{
    AppResult, Principal,
    grpc::{Channel, IdentityConfig, Peer},
};
use proto::{
    catalog::{catalog_admin_client::CatalogAdminClient, catalog_client::CatalogClient},
    license::{
        installations_client::InstallationsClient, instances_client::InstancesClient,
        licenses_client::LicensesClient,
    },
    payments::checkout_client::CheckoutClient,
    webhooks::webhooks_client::WebhooksClient,
};
use tonic::{Request, Response, Status};

use crate::config::PeersConfig;

/// The services behind the gateway.
pub(crate) struct Services {
    catalog: Peer,
    license: Peer,
    payments: Peer,
    webhooks: Peer,
}

/// Room for a whole catalogue page or an operator's listing.
const ANSWER_BYTES: usize = 32 * 1024 * 1024;

impl Services {
    pub(crate) fn connect(peers: &PeersConfig, identity: &IdentityConfig) -> AppResult<Self> {
        Ok(Self {
            catalog: Peer::connect(&peers.catalog, identity)?,
            license: Peer::connect(&peers.license, identity)?,
            payments: Peer::connect(&peers.payments, identity)?,
            webhooks: Peer::connect(&peers.webhooks, identity)?,
        })
    }

    pub(crate) fn catalog(&self) -> CatalogClient<Channel> {
        CatalogClient::new(self.catalog.channel()).max_decoding_message_size(ANSWER_BYTES)
    }

    pub(crate) fn catalog_admin(&self) -> CatalogAdminClient<Channel> {
        CatalogAdminClient::new(self.catalog.channel()).max_decoding_message_size(ANSWER_BYTES)
    }

    pub(crate) fn instances(&self) -> InstancesClient<Channel> {
        InstancesClient::new(self.license.channel())
    }

    pub(crate) fn licenses(&self) -> LicensesClient<Channel> {
        LicensesClient::new(self.license.channel())
    }

    pub(crate) fn installations(&self) -> InstallationsClient<Channel> {
        InstallationsClient::new(self.license.channel())
    }

    pub(crate) fn checkout(&self) -> CheckoutClient<Channel> {
        CheckoutClient::new(self.payments.channel())
    }

    pub(crate) fn webhooks(&self) -> WebhooksClient<Channel> {
        WebhooksClient::new(self.webhooks.channel())
    }

    /// A call for `principal`. Every service knows the gateway by the same credential.
    pub(crate) fn request<T>(&self, principal: &Principal, message: T) -> AppResult<Request<T>> {
        self.catalog.request(principal, message)
    }
}

/// The answer of a service, or what it said instead.
pub(crate) fn answer<T>(result: Result<Response<T>, Status>) -> AppResult<T> {
    Ok(result?.into_inner())
}
