//! The promises of contracts.md section 7, kept alike by both transports.

mod embedded;
mod jetstream;
mod tools;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use platform::{
    AppError, Shutdown,
    bus::{Bus, BusError, ConsumeError, ConsumerSpec, Lag, MAX_PAYLOAD, Notice},
};
use tokio::{
    sync::{Barrier, Notify, mpsc},
    time::Instant,
};

use self::tools::{Flaky, Scene, Seen, Spans, event, soon};

/// Runs each promise over a transport.
macro_rules! conformance {
    ($bus:expr) => {
        $crate::bus::conformance!($bus;
            what_is_published_before_and_after_is_handled_once_settled_and_not_again
            a_failure_that_may_pass_is_tried_again_no_sooner_than_its_backoff
            what_can_never_be_handled_becomes_a_dead_letter_with_its_reason
            a_message_ends_only_after_its_dead_letter_is_stored
            a_handler_that_panics_again_and_again_costs_one_dead_letter
            a_repeated_publish_is_stored_once
            a_consumer_that_dies_midway_loses_nothing
            two_consumers_of_one_name_share
            two_consumers_of_two_names_each_get_all
            a_slow_handler_keeps_its_message
            how_far_a_consumer_is_behind_is_known
            shutdown_waits_for_the_handlers_in_flight
            the_consumers_span_is_a_child_of_the_publishers
            a_follower_sees_what_is_published_after_it_began
            what_no_stream_takes_is_refused
        );
    };
    ($bus:expr; $($promise:ident)*) => {
        $(
            #[tokio::test]
            async fn $promise() {
                $crate::bus::$promise($bus.await).await;
            }
        )*
    };
}
use conformance;

async fn what_is_published_before_and_after_is_handled_once_settled_and_not_again(bus: Bus) {
    let scene = Scene::new(&bus);
    let mut expected: Vec<_> = scene.publish(20).await;
    let (seen, handler) = Seen::new();
    let consumer = scene.consume(handler);
    expected.extend(scene.publish(20).await);
    expected.sort();
    assert_eq!(seen.take(40).await, expected);
    consumer.drain().await;
    let last = scene.publish(1).await;
    let consumer = scene.consume(seen.handler());
    assert_eq!(seen.take(1).await, last, "what was acknowledged must not come again");
    consumer.drain().await;
    seen.nothing_more();
}

async fn how_far_a_consumer_is_behind_is_known(bus: Bus) {
    let mut scene = Scene::new(&bus);
    scene.spec.concurrency = 1;
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (begun, go_on) = (begun.clone(), go_on.clone());
        move |_| {
            let (begun, go_on) = (begun.clone(), go_on.clone());
            async move {
                begun.notify_one();
                go_on.notified().await;
                Ok(())
            }
        }
    };
    let consumer = scene.consume(handler);
    scene.publish(3).await;
    soon(begun.notified()).await;
    let Lag { pending, outstanding } = bus.lag(&scene.spec).await.unwrap();
    assert!(outstanding >= 1 && pending + outstanding == 3, "{pending} and {outstanding}");
    for _ in 0..2 {
        go_on.notify_one();
        soon(begun.notified()).await;
    }
    go_on.notify_one();
    consumer.drain().await;
    assert_eq!(bus.lag(&scene.spec).await.unwrap(), Lag { pending: 0, outstanding: 0 });
}

async fn a_failure_that_may_pass_is_tried_again_no_sooner_than_its_backoff(bus: Bus) {
    let mut scene = Scene::new(&bus);
    scene.spec.backoff = vec![Duration::from_millis(150), Duration::from_millis(300)];
    let (tell, mut tries) = mpsc::unbounded_channel();
    let count = Arc::new(AtomicU32::new(0));
    let consumer = scene.consume(move |_| {
        let attempt = count.fetch_add(1, Ordering::SeqCst);
        tell.send(Instant::now()).unwrap();
        async move {
            let away = || ConsumeError::from(AppError::unavailable("the store is away"));
            if attempt < 3 { Err(away()) } else { Ok(()) }
        }
    });
    scene.publish(1).await;
    let mut times = Vec::new();
    for _ in 0..4 {
        times.push(soon(tries.recv()).await.unwrap());
    }
    consumer.drain().await;
    let waits: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits[0] >= Duration::from_millis(150), "{waits:?}");
    assert!(waits[1] >= Duration::from_millis(300) && waits[2] >= Duration::from_millis(300), "{waits:?}");
    assert!(tries.try_recv().is_err(), "handled in the end, it must not come again");
    assert_eq!(scene.dead_letters().await, []);
}

async fn what_can_never_be_handled_becomes_a_dead_letter_with_its_reason(bus: Bus) {
    let scene = Scene::new(&bus);
    let (seen, _) = Seen::new();
    let consumer =
        scene.consume(seen.then(|_| async { Err(AppError::invalid("the order is unknown").into()) }));
    let message = event(&scene.subject);
    bus.publish(&message).await.unwrap();
    seen.take(1).await;
    consumer.drain().await;
    let letters = scene.dead_letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].message, message);
    assert_eq!(
        (letters[0].consumer.as_str(), letters[0].reason.as_str()),
        (&*scene.spec.name, "the order is unknown")
    );
}

async fn a_message_ends_only_after_its_dead_letter_is_stored(bus: Bus) {
    let mut scene = Scene::new(&Bus::new(Flaky::new(bus, 2)));
    scene.spec.backoff = vec![Duration::from_millis(20)];
    let (seen, _) = Seen::new();
    let consumer = scene.consume(seen.then(|_| async { Err(ConsumeError::Reject("no".into())) }));
    let ids = scene.publish(1).await;
    assert_eq!(
        seen.take(3).await,
        [&*ids[0]; 3],
        "twice the letter could not be stored, so the message lived on"
    );
    consumer.drain().await;
    assert_eq!(scene.dead_letters().await.len(), 1);
    seen.nothing_more();
}

async fn a_handler_that_panics_again_and_again_costs_one_dead_letter(bus: Bus) {
    let mut scene = Scene::new(&bus);
    scene.spec.backoff = vec![Duration::from_millis(20)];
    scene.spec.max_crashes = 3;
    let poison = event(&scene.subject);
    let (seen, _) = Seen::new();
    let consumer = scene.consume(seen.then({
        let poison = poison.id.clone();
        move |message| {
            let is_poison = message.id == poison;
            async move {
                assert!(!is_poison, "the handler crashes, as this test wants it");
                Ok(())
            }
        }
    }));
    bus.publish(&poison).await.unwrap();
    let sound = scene.publish(1).await;
    let mut expected = vec![poison.id.clone(), poison.id.clone(), poison.id.clone(), sound[0].clone()];
    expected.sort();
    assert_eq!(seen.take(4).await, expected);
    consumer.drain().await;
    let letters = scene.dead_letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!((&letters[0].message, &*letters[0].reason), (&poison, "crashed its consumer 3 times"));
}

async fn a_repeated_publish_is_stored_once(bus: Bus) {
    let scene = Scene::new(&bus);
    let message = event(&scene.subject);
    bus.publish(&message).await.unwrap();
    bus.publish(&message).await.unwrap();
    let mut expected = scene.publish(1).await;
    expected.push(message.id);
    expected.sort();
    let (seen, handler) = Seen::new();
    let consumer = scene.consume(handler);
    assert_eq!(seen.take(2).await, expected);
    consumer.drain().await;
    seen.nothing_more();
}

async fn a_consumer_that_dies_midway_loses_nothing(bus: Bus) {
    let mut scene = Scene::new(&bus);
    scene.spec.ack_wait = Duration::from_secs(1);
    let (begun, _) = Seen::new();
    let dying = scene.consume(begun.then(|_| std::future::pending()));
    let ids = scene.publish(3).await;
    assert_eq!(begun.take(3).await, ids);
    dying.die().await;
    let (seen, handler) = Seen::new();
    let consumer = scene.consume(handler);
    assert_eq!(seen.take(3).await, ids);
    consumer.drain().await;
}

async fn two_consumers_of_one_name_share(bus: Bus) {
    let mut scene = Scene::new(&bus);
    scene.spec.concurrency = 1;
    let both_hold_one = Arc::new(Barrier::new(2));
    let (seen, _) = Seen::new();
    let meeting = || {
        let both_hold_one = Arc::clone(&both_hold_one);
        seen.then(move |_| {
            let both_hold_one = Arc::clone(&both_hold_one);
            async move {
                both_hold_one.wait().await;
                Ok(())
            }
        })
    };
    let (one, other) = (scene.consume(meeting()), scene.consume(meeting()));
    let ids = scene.publish(2).await;
    assert_eq!(seen.take(2).await, ids);
    one.drain().await;
    other.drain().await;
    seen.nothing_more();
}

async fn two_consumers_of_two_names_each_get_all(bus: Bus) {
    let (one, mut other) = (Scene::new(&bus), Scene::new(&bus));
    other.spec.subjects.clone_from(&one.spec.subjects);
    let ((seen_by_one, first), (seen_by_other, second)) = (Seen::new(), Seen::new());
    let consumers = [one.consume(first), other.consume(second)];
    let ids = one.publish(5).await;
    assert_eq!(seen_by_one.take(5).await, ids);
    assert_eq!(seen_by_other.take(5).await, ids);
    for consumer in consumers {
        consumer.drain().await;
    }
}

async fn a_slow_handler_keeps_its_message(bus: Bus) {
    let mut scene = Scene::new(&bus);
    scene.spec.ack_wait = Duration::from_secs(1);
    let (seen, _) = Seen::new();
    let consumer = scene.consume(seen.then(|_| async {
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        Ok(())
    }));
    let ids = scene.publish(1).await;
    assert_eq!(seen.take(1).await, ids);
    consumer.drain().await;
    seen.nothing_more();
}

async fn shutdown_waits_for_the_handlers_in_flight(bus: Bus) {
    let scene = Scene::new(&bus);
    let go = Arc::new(Notify::new());
    let (seen, _) = Seen::new();
    let consumer = scene.consume(seen.then({
        let go = Arc::clone(&go);
        move |_| {
            let go = Arc::clone(&go);
            async move {
                go.notified().await;
                Ok(())
            }
        }
    }));
    scene.publish(1).await;
    seen.take(1).await;
    let drain = consumer.drain();
    tokio::pin!(drain);
    assert!(futures::poll!(&mut drain).is_pending());
    go.notify_one();
    drain.await;
    let last = scene.publish(1).await;
    let consumer = scene.consume(seen.handler());
    assert_eq!(seen.take(1).await, last, "the handler in flight settled its message");
    consumer.drain().await;
}

async fn the_consumers_span_is_a_child_of_the_publishers(bus: Bus) {
    let spans = Spans::recorded();
    let scene = Scene::new(&bus);
    let (trace, id) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let mut message = event(&scene.subject);
    message.trace.traceparent = Some(format!("00-{trace}-{id}-01"));
    message.trace.tracestate = Some("vendor=1".into());
    let (inside, mut contexts) = mpsc::unbounded_channel();
    let consumer = scene.consume(move |message| {
        let inside = inside.clone();
        async move {
            inside.send((message.trace, platform::telemetry::TraceContext::current())).unwrap();
            Ok(())
        }
    });
    bus.publish(&message).await.unwrap();
    let (carried, current) = soon(contexts.recv()).await.unwrap();
    consumer.drain().await;
    assert_eq!(carried, message.trace);
    let span = spans.named(&format!("consume {}", scene.subject));
    assert_eq!(span.span_context.trace_id().to_string(), trace);
    assert_eq!(span.parent_span_id.to_string(), id);
    assert_eq!(span.span_kind, opentelemetry::trace::SpanKind::Consumer);
    let expected = format!("00-{trace}-{}-01", span.span_context.span_id());
    assert_eq!(current.traceparent, Some(expected), "the handler runs inside it");
}

async fn a_follower_sees_what_is_published_after_it_began(bus: Bus) {
    let scene = Scene::new(&bus);
    scene.publish(3).await;
    let mut follower = bus.notices(&[&scene.subject, "catalog.v1.app_changed"]).await.unwrap();
    let message = event(&scene.subject);
    bus.publish(&message).await.unwrap();
    assert_eq!(soon(follower.next()).await, Notice::Event(message));
}

async fn what_no_stream_takes_is_refused(bus: Bus) {
    Scene::new(&bus).publish(1).await;
    assert!(bus.is_ready().await);
    let wrong = event("orders.v1.paid");
    let told = bus.publish(&wrong).await.unwrap_err();
    assert!(matches!(&told, BusError::UnknownSubject(subject) if subject == "orders.v1.paid"));
    assert!(told.to_string().contains("payments.v1"), "the error says what would be right: {told}");
    assert!(matches!(bus.notices(&["orders.v1.paid"]).await, Err(BusError::UnknownSubject(_))));
    let spec = ConsumerSpec::new("c", ["orders.v1.paid"]);
    let opened = bus.consume(spec, Shutdown::new(), |_| async { Ok(()) });
    assert!(matches!(opened, Err(BusError::UnknownSubject(_))));
    let mut large = event("payments.v1.order_paid");
    large.payload = vec![0; MAX_PAYLOAD + 1].into();
    assert!(matches!(bus.publish(&large).await, Err(BusError::TooLarge(_))));
}
