//! The shops' side: one listener for each, so that each is a host of its own; they answer 204 and keep nothing.

use std::{
    net::SocketAddr,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use testkit::local_address;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{events::number_in, ledger::Ledger, shop::Receipt};

/// The listeners; they end with this value.
pub(crate) struct Receiver {
    pub(crate) addresses: Vec<SocketAddr>,
    state: Arc<State>,
    _listening: JoinSet<()>,
}

struct State {
    ledger: RwLock<Arc<Ledger>>,
    /// Of each shop: whether it takes requests and never answers.
    hangs: Box<[AtomicBool]>,
}

impl Receiver {
    /// Listens on so many ports.
    pub(crate) async fn start(shops: usize) -> anyhow::Result<Self> {
        let hangs = (0..shops).map(|_| AtomicBool::new(false)).collect();
        let state = Arc::new(State { ledger: RwLock::new(Arc::new(Ledger::new(0..0, 0))), hangs });
        let (mut addresses, mut listening) = (Vec::with_capacity(shops), JoinSet::new());
        for shop in 0..shops {
            let listener = TcpListener::bind(local_address(0)).await?;
            addresses.push(listener.local_addr()?);
            listening.spawn(accept(listener, shop, Arc::clone(&state)));
        }
        Ok(Self { addresses, state, _listening: listening })
    }

    /// From now on receipts are noted here.
    pub(crate) fn note_in(&self, ledger: Ledger) -> Arc<Ledger> {
        let ledger = Arc::new(ledger);
        *self.state.ledger.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&ledger);
        ledger
    }

    /// From now on the shops of which this is true never answer.
    pub(crate) fn hang(&self, which: impl Fn(usize) -> bool) {
        for (shop, hangs) in self.state.hangs.iter().enumerate() {
            hangs.store(which(shop), Ordering::Relaxed);
        }
    }
}

impl State {
    fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.ledger.read().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn accept(listener: TcpListener, shop: usize, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, shop, Arc::clone(&state)));
    }
}

/// Until the other side closes: how it does is of no matter here.
async fn serve(stream: TcpStream, shop: usize, state: Arc<State>) {
    drop(stream.set_nodelay(true));
    let service = service_fn(|request| receive(request, shop, Arc::clone(&state)));
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

async fn receive(
    request: Request<Incoming>,
    shop: usize,
    state: Arc<State>,
) -> hyper::Result<Response<Empty<Bytes>>> {
    if state.hangs[shop].load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let (told, ledger) = (number_in(&body, shop, state.hangs.len()), state.ledger());
    let number = told.map(|(_, number)| number);
    let is_sample = ledger.note(number, head.headers.get("webhook-id"));
    if let Some((form, number)) = told.filter(|_| is_sample) {
        ledger.keep(Receipt { shop, form, number, headers: head.headers, body });
    }
    let mut answer = Response::new(Empty::new());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use platform::{Clock, Ids, Random};
    use tokio::time::timeout;

    use super::*;
    use crate::{
        dispatch::{events::Form, shop::Shop},
        load::Connection,
    };

    fn shop(address: SocketAddr) -> Shop {
        let random = Random::seeded(1);
        Shop::new(address, 2, &Ids::new(Clock::manual(0), random.clone()), &random)
    }

    #[tokio::test]
    async fn a_webhook_is_noted_at_its_shop_and_its_sample_can_be_checked() {
        let receiver = Receiver::start(2).await.unwrap();
        let ledger = receiver.note_in(Ledger::new(49..51, 2));
        let (second, now) = (shop(receiver.addresses[1]), 1_000);
        let mut connection = Connection::open(second.address).await.unwrap();
        for number in [49, 50] {
            connection.ask(second.signed(Form::Each, number, now).unwrap()).await.unwrap();
        }
        ledger.wait(Duration::from_secs(1)).await.unwrap();
        let sample = ledger.take_sample();
        assert_eq!(sample.iter().map(|one| (one.shop, one.number)).collect::<Vec<_>>(), [(1, 49)]);
        second.check(&sample[0], now).unwrap();
    }

    #[tokio::test]
    async fn a_shop_that_hangs_is_alone_in_that_and_notes_nothing() {
        let receiver = Receiver::start(2).await.unwrap();
        let ledger = receiver.note_in(Ledger::new(0..2, 2));
        receiver.hang(|shop| shop == 0);
        let [hanging, healthy] = [0, 1].map(|which| shop(receiver.addresses[which]));
        let mut connection = Connection::open(hanging.address).await.unwrap();
        let asked =
            timeout(Duration::from_millis(50), connection.ask(hanging.signed(Form::Each, 0, 0).unwrap()))
                .await;
        assert!(asked.is_err(), "it answered");
        let mut connection = Connection::open(healthy.address).await.unwrap();
        connection.ask(healthy.signed(Form::Each, 1, 0).unwrap()).await.unwrap();
        assert_eq!((ledger.told(), ledger.at(0)), (1, None));
    }
}
