//! The whole pipeline among receivers that mean harm.

use testkit::{
    raw::RawServer,
    tls::{Authority, Certificate},
};
use webhook_dispatcher::{
    config::DeliveryConfig,
    domain::answer::Outcome::{Timeout, TooLarge},
};

use super::{
    Expected::{self, Status},
    Misdeed, Then, misdeed, plainly, tls,
};
use crate::harness::{Dispatcher, On};

fn misdeeds() -> Vec<Misdeed> {
    let flood = |bytes: &[u8]| Then::Flood(bytes.to_vec());
    vec![
        misdeed("hangs", Expected::None(Timeout), b"", Then::Hold),
        misdeed(
            "trickles",
            Expected::None(Timeout),
            b"HTTP/1.1 200 OK\r\n",
            Then::Trickle(b"x: y\r\n".to_vec()),
        ),
        misdeed(
            "endless headers",
            Expected::None(TooLarge),
            b"HTTP/1.1 200 OK\r\n",
            flood(b"x-more: more\r\n"),
        ),
        misdeed("an endless failure", Status(500), b"HTTP/1.1 500 No\r\n\r\n", flood(b"more ")),
        misdeed(
            "another protocol",
            Status(101),
            b"HTTP/1.1 101 Off\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
            Then::Hold,
        ),
    ]
}

/// A shop with a certificate of a private authority is told what it is to know, whoever is beside it; and what became of
/// the others is recorded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shops_that_mean_harm_hold_nobody_up_and_are_recorded() {
    let authority = Authority::new().unwrap();
    let delivery = DeliveryConfig {
        timeout_seconds: 2,
        lease_seconds: 10,
        allow_cidrs: vec!["127.0.0.0/8".parse().unwrap()],
        extra_roots: authority.pem(),
        ..DeliveryConfig::default()
    };
    let dispatcher = Dispatcher::start_with(On::Embedded, delivery).await;
    let good = tls::server(&authority, Certificate::Good).await;
    let good_url = format!("https://localhost:{}", good.address().port());
    dispatcher.register("inst_good", &good_url).await;
    let mut servers = Vec::new();
    for (number, misdeed) in misdeeds().into_iter().enumerate() {
        let (instance, one) = (format!("inst_{number}"), misdeed.clone());
        let server = RawServer::start(move |stream| plainly(one.clone(), stream)).await.unwrap();
        dispatcher.register(&instance, &format!("http://localhost:{}", server.address().port())).await;
        dispatcher.issue(&instance).await;
        servers.push((instance, misdeed, server));
    }
    dispatcher.issue("inst_good").await;
    dispatcher.reaches("inst_good", "delivered").await;
    for (instance, misdeed, _server) in &servers {
        let attempt = &dispatcher.attempted(instance, 1).await.attempts[0];
        let (outcome, status) = misdeed.expected.as_recorded();
        assert_eq!((attempt.outcome.as_str(), attempt.status), (outcome, status), "{}", misdeed.name);
    }
}
