//! The library alone, without the agent.

use platform::{Random, secret::Secret};
use tenant::{Client, ClientConfig, client::InstallationState};

use super::{
    hosted::{NOTES, installed},
    marketplace::{PK, SK},
};

#[tokio::test]
async fn the_clients_calls_are_those_of_the_contract() {
    let (marketplace, _shop) = installed().await;
    let config = ClientConfig {
        url: marketplace.url.parse().unwrap(),
        publishable_key: Secret::new(PK),
        secret_key: Some(Secret::new(SK)),
        instance_id: None,
    };
    let client = Client::new(config, Random::seeded(2)).unwrap();
    let all = client.installations(None).await.unwrap();
    assert_eq!(all.len(), 1);
    let one = client.installation(&all[0].id).await.unwrap();
    assert_eq!(
        (one.state, one.permissions),
        (InstallationState::Installed, vec!["api:orders.read".to_owned()])
    );
    let live = client.introspect(&Secret::new("live-key")).await.unwrap();
    assert!(live.active && live.marketplace_id.unwrap().as_str() == NOTES);
    assert!(!client.introspect(&Secret::new("another")).await.unwrap().active);
    let heard = marketplace.world().heard.clone();
    let install =
        heard.iter().find(|heard| heard.starts_with("POST /store/marketplace/installations\n")).unwrap();
    assert!(install.contains("prefer: \"wait=5\""), "{install}");
}
