//! Hosted apps, and what license-svc and catalog-svc announce about them.

use platform::{AppResult, telemetry::TraceContext};
use proto::{
    events::{
        AppChanged, AppSecret as SealedSecret, CallbackRequested, CallbackSettled, HostedEndpoint, purpose,
        subject,
    },
    webhooks as api,
};
use testkit::receiver::{Answer, Received, Receiver};
use wire::open2b::{self, Accepted, AppSecret, Operation, Request};

use crate::harness::{Dispatcher, WAIT};

pub(crate) const APP: &str = "@acme/loyalty";
pub(crate) const API_KEY: &str = "EZMRp7tfDT7JisRlGREU3R00do4nq0BSLHRKToTppOZRiTc75a";

/// A hosted app's backend.
pub(crate) struct HostedApp {
    pub(crate) receiver: Receiver,
    pub(crate) secret: AppSecret,
}

/// The secret that is made of this byte.
pub(crate) fn app_secret(byte: u8) -> AppSecret {
    AppSecret::from_bytes([byte; 32])
}

impl HostedApp {
    /// What it was asked, as an app's author reads it.
    pub(crate) fn asked(&self) -> Vec<Request> {
        let secrets = [Accepted::always(self.secret.clone())];
        // However long ago it came.
        let read = |one: &Received| open2b::parse_form(&one.body, &secrets, 0).unwrap();
        self.receiver.requests().iter().map(read).collect()
    }

    pub(crate) fn operations(&self) -> Vec<Operation> {
        self.asked().iter().map(|asked| asked.callback.operation()).collect()
    }
}

impl Dispatcher {
    /// A hosted app that answers 200, and whose endpoint is known.
    pub(crate) async fn app(&self) -> HostedApp {
        let app = HostedApp { receiver: Receiver::start().await.unwrap(), secret: app_secret(1) };
        app.receiver.answer(Answer::status(200));
        self.register_app(&format!("{}/hooks?from=mercato", app.receiver.url())).await;
        app
    }

    pub(crate) async fn register_app(&self, url: &str) -> api::Endpoint {
        self.app_changed(url, vec![(app_secret(1), None)], 1).await
    }

    /// Announces the app and waits until its endpoint is like that.
    pub(crate) async fn app_changed(
        &self,
        url: &str,
        secrets: Vec<(AppSecret, Option<i64>)>,
        revision: u32,
    ) -> api::Endpoint {
        let sealed = |(secret, expires_at_ms): (AppSecret, Option<i64>)| SealedSecret {
            sealed_secret: self.seal(purpose::APP_SECRET, secret.expose()),
            expires_at_ms,
        };
        let hosted = HostedEndpoint {
            installation_url: url.to_owned(),
            secrets: secrets.into_iter().map(sealed).collect(),
            revision,
        };
        let change =
            AppChanged { marketplace_id: APP.to_owned(), hosted: Some(hosted), ..Default::default() };
        self.publish(subject::APP_CHANGED, &change, TraceContext::default()).await;
        let known = || async { self.app_endpoint().await.filter(|endpoint| endpoint.base_url == url) };
        testkit::eventually("the app's endpoint", WAIT, known).await.unwrap()
    }

    pub(crate) async fn app_endpoint(&self) -> Option<api::Endpoint> {
        let marketplace_id = Some(APP.to_owned());
        let ask = api::ListEndpointsRequest { marketplace_id, ..Default::default() };
        self.endpoints(ask).await.unwrap().endpoints.into_iter().next()
    }

    pub(crate) async fn set_app_disabled(&self, disabled: bool) -> AppResult<api::Endpoint> {
        let endpoint_id = self.app_endpoint().await.unwrap().endpoint_id;
        self.set_endpoint_disabled(endpoint_id, disabled).await
    }

    pub(crate) fn callback(
        &self,
        instance_id: &str,
        operation: Operation,
        sequence: u64,
    ) -> CallbackRequested {
        let is_install = operation == Operation::Install;
        let key = if is_install { self.seal(purpose::API_KEY, API_KEY) } else { Vec::new() };
        CallbackRequested {
            installation_id: "itn_1".to_owned(),
            instance_id: instance_id.to_owned(),
            marketplace_id: APP.to_owned(),
            operation: operation.as_str().to_owned(),
            sequence,
            shop: "TN81S9AUB1".to_owned(),
            site_url: "https://www.store.example/".to_owned(),
            api_base_url: "https://store.example/api/".to_owned(),
            api_min_version: 1,
            api_max_version: 3,
            version: format!("1.{sequence}.0"),
            sealed_api_key: key,
        }
    }

    pub(crate) async fn call_back(&self, instance_id: &str, operation: Operation, sequence: u64) {
        self.call_back_in(instance_id, operation, sequence, TraceContext::default()).await;
    }

    pub(crate) async fn call_back_in(
        &self,
        instance_id: &str,
        operation: Operation,
        sequence: u64,
        trace: TraceContext,
    ) {
        let subject = match operation {
            Operation::Install => subject::INSTALLATION_REQUESTED,
            Operation::Update => subject::INSTALLATION_UPDATE_REQUESTED,
            Operation::Remove => subject::INSTALLATION_REMOVAL_REQUESTED,
        };
        self.publish(subject, &self.callback(instance_id, operation, sequence), trace).await;
    }

    /// Waits until the callback has settled.
    pub(crate) async fn settled(&self, instance_id: &str, sequence: u64) -> CallbackSettled {
        let what = format!("callback {sequence} of {instance_id} to settle");
        let settled = |all: &[CallbackSettled]| {
            all.iter().find(|one| one.instance_id == instance_id && one.sequence == sequence).cloned()
        };
        self.announced(&what, subject::CALLBACK_SETTLED, settled).await
    }

    /// Waits until this many callbacks have settled, each once.
    pub(crate) async fn all_settled(&self, count: usize) -> Vec<CallbackSettled> {
        let all = |all: &[CallbackSettled]| (all.len() >= count).then(|| all.to_vec());
        let all = self.announced("callbacks to settle", subject::CALLBACK_SETTLED, all).await;
        let mut once: Vec<_> = all.iter().map(|one| one.delivery_id.as_str()).collect();
        once.sort_unstable();
        once.dedup();
        assert_eq!((once.len(), all.len()), (count, count), "{all:?}");
        all
    }

    /// Waits until the instance's callback of this operation satisfies that.
    pub(crate) async fn called(
        &self,
        instance_id: &str,
        operation: Operation,
        what: &str,
        wanted: impl Fn(&api::DeliveryDetail) -> bool,
    ) -> api::DeliveryDetail {
        let look = || async {
            let all = self.deliveries_to(instance_id).await;
            let one = all.into_iter().find(|delivery| delivery.event == operation.as_str())?;
            Some(self.delivery(&one.delivery_id).await).filter(&wanted)
        };
        testkit::eventually(what, WAIT, look).await.unwrap()
    }
}
