//! The least that could tell the shops the same: connections that are kept open, both signatures, and nothing kept.

use std::{ops::Range, sync::Arc};

use futures::future::try_join_all;
use platform::Clock;
use tokio::time::Instant;

use super::{events::Form, shop::Shop};
use crate::load::{Connection, count};

/// Signs and posts each number to its shop, on so many connections; deliveries per second. Each shop has at least one
/// connection.
pub(crate) async fn bare_loop(
    shops: &[Shop],
    form: Form,
    numbers: Range<usize>,
    connections: usize,
    clock: &Clock,
) -> anyhow::Result<f64> {
    let (deliveries, lanes) = (numbers.len(), lanes(connections, shops.len()));
    let open =
        try_join_all((0..lanes).map(|lane| Connection::open(shops[lane % shops.len()].address))).await?;
    let shops = Arc::new(shops.iter().map(Shop::copy).collect::<anyhow::Result<Vec<_>>>()?);
    let began = Instant::now();
    let posting = open.into_iter().enumerate().map(|(lane, connection)| {
        let numbers = numbers.clone().skip(lane).step_by(lanes);
        tokio::spawn(post(connection, Arc::clone(&shops), lane, (form, numbers), clock.clone()))
    });
    for posted in try_join_all(posting).await? {
        posted?;
    }
    Ok(count(deliveries) / began.elapsed().as_secs_f64())
}

/// A multiple of the shops, so that a lane posts to one shop alone.
fn lanes(connections: usize, shops: usize) -> usize {
    connections.div_ceil(shops) * shops
}

async fn post(
    mut connection: Connection,
    shops: Arc<Vec<Shop>>,
    lane: usize,
    (form, numbers): (Form, impl Iterator<Item = usize>),
    clock: Clock,
) -> anyhow::Result<()> {
    let shop = &shops[lane % shops.len()];
    for number in numbers {
        connection.ask(shop.signed(form, number, clock.now_secs())?).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use platform::{Ids, Random};

    use super::*;
    use crate::dispatch::{ledger::Ledger, receiver::Receiver};

    #[test]
    fn lanes_are_shared_out_evenly() {
        assert_eq!((lanes(64, 1), lanes(64, 100), lanes(256, 100)), (64, 100, 300));
    }

    #[tokio::test]
    async fn every_number_comes_once_to_its_shop_and_is_signed_right() {
        let (receiver, clock, random) =
            (Receiver::start(3).await.unwrap(), Clock::system(), Random::seeded(1));
        let ids = Ids::new(clock.clone(), random.clone());
        let shops: Vec<Shop> =
            receiver.addresses.iter().map(|address| Shop::new(*address, 3, &ids, &random)).collect();
        let ledger = receiver.note_in(Ledger::new(0..200, 200));
        assert!(bare_loop(&shops, Form::Each, 0..200, 4, &clock).await.unwrap() > 0.0);
        ledger.wait(Duration::from_secs(1)).await.unwrap();
        assert_eq!(ledger.extra().unwrap(), crate::dispatch::ledger::Extra::default());
        let sample = ledger.take_sample();
        assert_eq!(sample.len(), 5);
        for receipt in sample {
            assert_eq!(receipt.shop, receipt.number % 3);
            shops[receipt.shop].check(&receipt, clock.now_secs()).unwrap();
        }
    }
}
