//! The embedded bus: the common promises, and those about its file.

use std::{path::Path, time::Duration};

use platform::{
    Clock,
    bus::{Bus, ConsumerSpec, Delivery, EmbeddedBus, Notice, Transport},
};

use super::{
    conformance,
    tools::{Scene, Seen, event, soon},
};

async fn in_memory() -> Bus {
    Bus::new(EmbeddedBus::in_memory(Clock::system()).await.unwrap())
}

async fn opened(path: &Path, clock: &Clock) -> Bus {
    Bus::new(EmbeddedBus::open(path, clock.clone()).await.unwrap())
}

conformance!(in_memory());

async fn claim(bus: &Bus, scene: &Scene, count: usize) -> Vec<Delivery> {
    let mut deliveries = bus.deliveries(&scene.spec).await.unwrap();
    let mut claimed = Vec::new();
    for _ in 0..count {
        claimed.push(soon(deliveries.next()).await.unwrap());
    }
    claimed
}

/// Four messages: one acknowledged, one to be retried, one handed out, one untouched. The ids of the last three.
async fn four_messages(scene: &Scene, clock: &Clock) -> Vec<String> {
    let mut left = scene.publish(4).await;
    let claimed = claim(&scene.bus, scene, 3).await;
    claimed[0].settle.ack().await.unwrap();
    claimed[1].settle.retry(Duration::from_millis(1)).await.unwrap();
    clock.advance(Duration::from_millis(1));
    left.retain(|id| *id != claimed[0].message.id);
    left
}

async fn hands_out(path: &Path, clock: &Clock, spec: ConsumerSpec, expected: &[String]) {
    let bus = opened(path, clock).await;
    let scene = Scene { spec, ..Scene::new(&bus) };
    let (seen, handler) = Seen::new();
    let consumer = scene.consume(handler);
    assert_eq!(seen.take(expected.len()).await, expected);
    consumer.drain().await;
    seen.nothing_more();
}

#[tokio::test]
async fn reopened_it_hands_out_everything_but_what_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bus.db");
    let clock = Clock::manual(1_000_000);
    let scene = Scene::new(&opened(&path, &clock).await);
    let left = four_messages(&scene, &clock).await;
    let spec = scene.spec.clone();
    drop(scene);
    hands_out(&path, &clock, spec, &left).await;
}

/// The files as they are at this instant are what `kill -9` leaves behind.
#[tokio::test]
async fn killed_it_hands_out_everything_but_what_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let (path, left_behind) = (folder.path().join("bus.db"), folder.path().join("left.db"));
    let clock = Clock::manual(1_000_000);
    let scene = Scene::new(&opened(&path, &clock).await);
    let left = four_messages(&scene, &clock).await;
    std::fs::copy(&path, &left_behind).unwrap();
    std::fs::copy(folder.path().join("bus.db-wal"), folder.path().join("left.db-wal")).unwrap();
    hands_out(&left_behind, &clock, scene.spec.clone(), &left).await;
}

#[tokio::test]
async fn a_second_process_cannot_open_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bus.db");
    let bus = opened(&path, &Clock::system()).await;
    let refused = EmbeddedBus::open(&path, Clock::system()).await.err().unwrap();
    assert!(refused.to_string().contains("another process"), "{refused}");
    assert!(bus.is_ready().await);
}

#[tokio::test]
async fn a_delivery_dropped_unsettled_comes_again_when_its_wait_is_over() {
    let clock = Clock::manual(1_000_000);
    let bus = Bus::new(EmbeddedBus::in_memory(clock.clone()).await.unwrap());
    let scene = Scene::new(&bus);
    scene.publish(1).await;
    let mut deliveries = bus.deliveries(&scene.spec).await.unwrap();
    let first = soon(deliveries.next()).await.unwrap();
    assert_eq!(first.count, 1);
    drop(first);
    let mut again = tokio::spawn(async move { deliveries.next().await.unwrap() });
    let almost = scene.spec.ack_wait.checked_sub(Duration::from_millis(1)).unwrap();
    clock.advance(almost);
    bus.is_ready().await;
    tokio::task::yield_now().await;
    assert!(futures::poll!(&mut again).is_pending());
    clock.advance(Duration::from_millis(1));
    assert_eq!(soon(again).await.unwrap().count, 2);
}

#[tokio::test]
async fn what_was_fetched_and_not_handed_on_goes_to_the_other_consumer_at_once() {
    let bus = Bus::new(EmbeddedBus::in_memory(Clock::manual(0)).await.unwrap());
    let scene = Scene::new(&bus);
    scene.publish(3).await;
    let mut one = bus.deliveries(&scene.spec).await.unwrap();
    let held = soon(one.next()).await.unwrap();
    drop(one);
    let rest = claim(&bus, &scene, 2).await;
    assert!(rest.iter().all(|other| other.message.id != held.message.id && other.count == 1));
}

#[tokio::test]
async fn a_follower_that_falls_too_far_behind_is_told_of_the_gap() {
    let bus = in_memory().await;
    let scene = Scene::new(&bus);
    let mut follower = bus.notices(&[&scene.subject]).await.unwrap();
    for _ in 0..5 {
        scene.publish(1_000).await;
    }
    assert_eq!(soon(follower.next()).await, Notice::Gap);
    let Notice::Event(next) = soon(follower.next()).await else { panic!("it goes on after the gap") };
    assert_eq!(next.subject, scene.subject);
}

#[tokio::test]
async fn after_the_duplicate_window_the_same_id_is_a_new_message() {
    let clock = Clock::manual(1_000_000);
    let bus = EmbeddedBus::in_memory(clock.clone()).await.unwrap();
    let scene = Scene::new(&Bus::new(bus.clone()));
    let message = event(&scene.subject);
    bus.publish(&message).await.unwrap();
    clock.advance(platform::bus::DUPLICATE_WINDOW);
    bus.publish(&message).await.unwrap();
    let (seen, handler) = Seen::new();
    let consumer = scene.consume(handler);
    assert_eq!(seen.take(2).await, [&*message.id; 2]);
    consumer.drain().await;
}
