//! The bus over a real NATS: the common promises, and what happens when the server goes and comes.

use platform::bus::{Bus, JetStreamBus, NatsConfig, Notice};
use testkit::servers::{Nats, default_root, test_env};

use super::{
    conformance,
    tools::{Scene, Seen, soon},
};

async fn connected(url: &str) -> Bus {
    let bus = JetStreamBus::connect(&NatsConfig::new(url)).await.unwrap();
    Bus::new(bus)
}

async fn shared() -> Bus {
    connected(&test_env().nats_url).await
}

async fn own() -> Nats {
    Nats::start(&default_root().unwrap()).await.unwrap()
}

conformance!(shared());

#[tokio::test]
async fn services_that_start_at_once_all_find_the_streams_declared() {
    let nats = own().await;
    let url = nats.url();
    let starts = (0..8).map(|_| async {
        let bus = connected(&url).await;
        Scene::new(&bus).publish(1).await;
    });
    futures::future::join_all(starts).await;
}

#[tokio::test]
async fn a_killed_server_costs_no_message() {
    let mut nats = own().await;
    let bus = connected(&nats.url()).await;
    let scene = Scene::new(&bus);
    let (seen, handler) = Seen::new();
    let consumer = scene.consume(handler);
    seen.all(&scene.publish(5).await).await;
    nats.server().kill().unwrap();
    assert!(!bus.is_ready().await);
    nats.server().restart().await.unwrap();
    // What was handled may come again: its acknowledgement may have died with the server.
    seen.all(&scene.publish(5).await).await;
    consumer.drain().await;
    assert!(bus.is_ready().await);
}

#[tokio::test]
async fn a_follower_is_told_of_a_gap_when_the_server_was_away() {
    let mut nats = own().await;
    let bus = connected(&nats.url()).await;
    let scene = Scene::new(&bus);
    scene.publish(1).await;
    let mut follower = bus.notices(&[&scene.subject]).await.unwrap();
    nats.server().kill().unwrap();
    nats.server().restart().await.unwrap();
    assert_eq!(soon(follower.next()).await, Notice::Gap);
    let ids = scene.publish(1).await;
    let Notice::Event(message) = soon(follower.next()).await else { panic!("it goes on after the gap") };
    assert_eq!([message.id], *ids);
}

#[tokio::test]
async fn a_server_that_comes_later_is_waited_for() {
    let mut nats = own().await;
    nats.server().kill().unwrap();
    let bus = connected(&nats.url()).await;
    assert!(!bus.is_ready().await);
    let scene = Scene::new(&bus);
    let (seen, handler) = Seen::new();
    let consumer = scene.consume(handler);
    nats.server().restart().await.unwrap();
    let ids = scene.publish(1).await;
    assert_eq!(seen.take(1).await, ids);
    consumer.drain().await;
}

#[tokio::test]
async fn streams_and_consumers_that_the_server_lost_are_made_again() {
    let nats = own().await;
    let bus = connected(&nats.url()).await;
    let scene = Scene::new(&bus);
    let (seen, handler) = Seen::new();
    let consumer = scene.consume(handler);
    let ids = scene.publish(1).await;
    assert_eq!(seen.take(1).await, ids);
    let client = async_nats::connect(nats.url()).await.unwrap();
    async_nats::jetstream::new(client).delete_stream("PAYMENTS").await.unwrap();
    let ids = scene.publish(1).await;
    assert_eq!(seen.take(1).await, ids);
    consumer.drain().await;
}

#[tokio::test]
async fn an_address_that_can_never_work_is_refused_without_being_echoed() {
    let config = NatsConfig::new("http://user:hunter2@[nonsense");
    let refused = JetStreamBus::connect(&config).await.err().unwrap();
    assert!(!refused.is_transient());
    assert!(!format!("{refused} {config:?}").contains("hunter2"));
}
