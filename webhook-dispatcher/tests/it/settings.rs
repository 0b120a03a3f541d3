//! What an operator sets for an endpoint.

use platform::{AppError, AppResult, Code, Principal};
use proto::webhooks::{
    Endpoint, EndpointEvents, EndpointHeader, EndpointHeaders, ListEndpointsRequest, UpdateEndpointRequest,
};

use crate::{
    apps::APP,
    harness::{Dispatcher, WAIT},
};

over_both! {
    an_endpoints_own_headers_go_with_each_request_and_are_told_to_nobody,
    what_an_endpoint_does_not_want_to_be_told_it_is_not,
    what_is_not_given_stays_as_it_is,
    bad_settings_say_what_would_be_right_and_repeat_nothing,
    a_hosted_apps_endpoint_has_no_settings,
}

impl Dispatcher {
    /// Sets what is given for the instance's endpoint.
    pub(crate) async fn set(
        &self,
        instance_id: &str,
        settings: UpdateEndpointRequest,
    ) -> AppResult<Endpoint> {
        let endpoint_id = self.endpoint(instance_id).await.unwrap().endpoint_id;
        let ask = self.request(&Principal::Operator, UpdateEndpointRequest { endpoint_id, ..settings });
        Ok(self.client().update_endpoint(ask).await.map_err(AppError::from)?.into_inner())
    }
}

fn headers(given: &[(&str, &str)]) -> UpdateEndpointRequest {
    let header =
        |(name, value): &(&str, &str)| EndpointHeader { name: (*name).into(), value: (*value).into() };
    let headers = Some(EndpointHeaders { headers: given.iter().map(header).collect() });
    UpdateEndpointRequest { headers, ..Default::default() }
}

fn events(names: &[&str]) -> UpdateEndpointRequest {
    let events = Some(EndpointEvents { names: names.iter().map(|name| (*name).to_owned()).collect() });
    UpdateEndpointRequest { events, ..Default::default() }
}

async fn an_endpoints_own_headers_go_with_each_request_and_are_told_to_nobody(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    let set = dispatcher.set("inst_1", headers(&[("Authorization", "Bearer shh"), ("X-Shop", "1")])).await;
    assert_eq!(set.unwrap().header_names, ["authorization", "x-shop"]);
    dispatcher.issue("inst_1").await;
    dispatcher.reaches("inst_1", "delivered").await;
    let request = shop.receiver.requests().remove(0);
    assert_eq!(request.header("authorization"), Some("Bearer shh"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    let told = dispatcher.endpoint("inst_1").await.unwrap();
    assert!(!format!("{told:?}").contains("shh"));

    assert!(dispatcher.set("inst_1", headers(&[])).await.unwrap().header_names.is_empty());
    dispatcher.issue("inst_1").await;
    shop.receiver.wait_for_count(2, WAIT).await.unwrap();
    assert_eq!(shop.receiver.requests()[1].header("authorization"), None);
}

async fn what_an_endpoint_does_not_want_to_be_told_it_is_not(dispatcher: Dispatcher) {
    let (silent, other) = (dispatcher.shop("inst_1").await, dispatcher.shop("inst_2").await);
    let set = dispatcher.set("inst_1", events(&["release-published", "license-revoked"])).await.unwrap();
    assert_eq!(set.events, ["license-revoked", "release-published"]);
    dispatcher.issue("inst_1").await;
    dispatcher.issue("inst_2").await;
    dispatcher.reaches("inst_2", "delivered").await;
    dispatcher.set("inst_1", events(&["license-issued"])).await.unwrap();
    dispatcher.issue("inst_1").await;
    dispatcher.reaches("inst_1", "delivered").await;
    assert_eq!((silent.receiver.requests().len(), other.receiver.requests().len()), (1, 1));
}

async fn what_is_not_given_stays_as_it_is(dispatcher: Dispatcher) {
    let _shop = dispatcher.shop("inst_1").await;
    dispatcher.set("inst_1", headers(&[("x-a", "1")])).await.unwrap();
    dispatcher.set("inst_1", events(&["license-issued", "license-revoked"])).await.unwrap();
    let rate = |per_second| UpdateEndpointRequest { rate_per_second: Some(per_second), ..Default::default() };
    let set = dispatcher.set("inst_1", rate(5)).await.unwrap();
    assert_eq!((set.header_names.len(), set.events.len(), set.rate_per_second), (1, 2, Some(5)));
    dispatcher.register("inst_1", "https://elsewhere.example").await;
    let followed = dispatcher.set("inst_1", rate(0)).await.unwrap();
    assert_eq!((followed.header_names.len(), followed.events.len(), followed.rate_per_second), (1, 2, None));
}

async fn bad_settings_say_what_would_be_right_and_repeat_nothing(dispatcher: Dispatcher) {
    let _shop = dispatcher.shop("inst_1").await;
    let bad = [
        (events(&["SECRET"]), "installation-changed"),
        (headers(&[("webhook-id", "SECRET")]), "webhook-*"),
        (headers(&[("x-a", "SECRET\n")]), "visible ASCII"),
        (UpdateEndpointRequest { rate_per_second: Some(u32::MAX), ..Default::default() }, "100,000"),
    ];
    for (settings, right) in bad {
        let error = dispatcher.set("inst_1", settings).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidData);
        assert!(error.message().contains(right) && !error.message().contains("SECRET"), "{error}");
    }
}

async fn a_hosted_apps_endpoint_has_no_settings(dispatcher: Dispatcher) {
    dispatcher.app().await;
    let ask = ListEndpointsRequest { marketplace_id: Some(APP.to_owned()), ..Default::default() };
    let endpoint_id = dispatcher.endpoints(ask).await.unwrap().endpoints.remove(0).endpoint_id;
    let ask = UpdateEndpointRequest { endpoint_id, ..headers(&[("x-a", "1")]) };
    let ask = dispatcher.request(&Principal::Operator, ask);
    let refused = AppError::from(dispatcher.client().update_endpoint(ask).await.unwrap_err());
    assert_eq!(refused.code(), Code::Conflict);
}
