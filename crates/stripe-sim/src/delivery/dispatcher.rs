//! Takes deliveries when their time comes, a bounded number at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::ambient;
use crate::app::Sim;
use crate::domain::delivery::{Answer, Delivery, Endpoint, RetrySchedule};
use crate::store::State;

const MAX_IN_FLIGHT: usize = 64;

/// Delivers until told to stop. What is in flight then is not waited for: it stays pending in the data file.
pub(crate) async fn deliver_until(sim: Arc<Sim>, stop: CancellationToken) {
    let mut flights = JoinSet::new();
    loop {
        let next = launch_due(&sim, &mut flights);
        tokio::select! {
            () = stop.cancelled() => return,
            () = sim.delivery_wanted.notified() => {}
            Some(_) = flights.join_next(), if !flights.is_empty() => {}
            () = sleep_until(next) => {}
        }
    }
}

/// Starts all that is due and fits, and gives the moment when more is due.
fn launch_due(sim: &Arc<Sim>, flights: &mut JoinSet<()>) -> Option<i64> {
    while flights.len() < MAX_IN_FLIGHT {
        match sim.store.touch(|state| state.claim_due(ambient::now_ms())) {
            Some(delivery) => flights.spawn(attempt(Arc::clone(sim), delivery)),
            None => return sim.store.read(State::next_due_ms),
        };
    }
    None
}

async fn sleep_until(at_ms: Option<i64>) {
    match at_ms {
        Some(at) => {
            let wait = u64::try_from(at - ambient::now_ms()).unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        None => std::future::pending().await,
    }
}

async fn attempt(sim: Arc<Sim>, delivery: Delivery) {
    let Some((endpoint, body)) = sim.store.read(|state| parcel(state, &delivery)) else {
        return record(&sim, delivery.abandoned(), false).await;
    };
    let answer = sim.sender.send(&endpoint, body).await;
    settle(&sim, delivery, answer, Some(&sim.schedule)).await;
}

/// Sends each of these deliveries once, all at once, whether delivery is paused or not.
pub(crate) async fn send_at_once(sim: &Arc<Sim>, deliveries: Vec<Delivery>) -> Vec<(Delivery, Answer)> {
    let mut flights = JoinSet::new();
    for delivery in deliveries {
        let sim = Arc::clone(sim);
        flights.spawn(async move {
            let (endpoint, body) = sim.store.read(|state| parcel(state, &delivery))?;
            let answer = sim.sender.send(&endpoint, body).await;
            Some((settle(&sim, delivery, answer, None).await, answer))
        });
    }
    flights.join_all().await.into_iter().flatten().collect()
}

/// The request of a delivery. Stripe sends events as indented JSON.
fn parcel(state: &State, delivery: &Delivery) -> Option<(Endpoint, Vec<u8>)> {
    let endpoint = state.find_endpoint(&delivery.endpoint)?.clone();
    let event = state.events.find(&delivery.event)?;
    Some((endpoint, serde_json::to_vec_pretty(&event.body()).ok()?))
}

async fn settle(sim: &Sim, delivery: Delivery, answer: Answer, schedule: Option<&RetrySchedule>) -> Delivery {
    let delivery = delivery.attempted(answer, schedule, ambient::now_ms());
    tracing::debug!(
        event = delivery.kind,
        answer = delivery.last_answer,
        attempt = delivery.attempts,
        "event sent"
    );
    record(sim, delivery.clone(), answer.is_success()).await;
    delivery
}

async fn record(sim: &Sim, delivery: Delivery, taken: bool) {
    let change = |state: &mut State| {
        if let Some(event) = state.events.find_mut(&delivery.event).filter(|_| taken) {
            event.undelivered.remove(&delivery.endpoint);
        }
        state.put_delivery(delivery);
    };
    // A failure is logged where it happens; the state in memory is right either way.
    let _ = sim.store.change(change).await;
    sim.delivery_wanted.notify_one();
}
