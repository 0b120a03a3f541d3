//! `verify` and `feed`.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri};
use testkit::market::{Market, Shop};

use crate::{
    bare::Bare,
    load::{Ask, Connection, Load, Round, closed_loop},
    report::{Report, median},
    stage::Stage,
};

/// As many apps as a page of the feed shows.
const APPS: usize = 20;
const SOON: Duration = Duration::from_secs(30);

/// Checks of a licence by the shop that holds its seat.
pub(crate) async fn verify(load: Load) -> anyhow::Result<Report> {
    let stage = Stage::open().await?;
    let apps = stage.publish(1).await?;
    let shop = stage.market.shop("bench-shop").await?;
    let key = buy(&stage.market, &shop, &apps[0]).await?;
    let ask = Ask {
        method: Method::POST,
        path: "/store/marketplace/license/verify".to_owned(),
        headers: headers(&stage.market, &shop)?,
        body: shop.question(&key, &apps[0]).to_string().into(),
    };
    compare("verify", &stage.market, &ask, load).await
}

/// The first page of the feed.
pub(crate) async fn feed(load: Load) -> anyhow::Result<Report> {
    let stage = Stage::open().await?;
    stage.publish(APPS).await?;
    let shop = stage.market.shop("bench-shop").await?;
    let ask = Ask {
        method: Method::GET,
        path: "/store/marketplace/feed".to_owned(),
        headers: headers(&stage.market, &shop)?,
        body: Bytes::new(),
    };
    compare("feed", &stage.market, &ask, load).await
}

async fn buy(market: &Market, shop: &Shop, app: &str) -> anyhow::Result<String> {
    let order = shop.checkout(app, "1.0.0").await?;
    market.stripe().pay(&order.session_id).await?;
    Ok(shop.wait_for_license(app, SOON).await?.license_key()?.to_owned())
}

fn headers(market: &Market, shop: &Shop) -> anyhow::Result<HeaderMap> {
    let host = address(&market.gateway_url())?.to_string();
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_str(&host)?);
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("x-publishable-api-key", HeaderValue::from_str(&shop.registration.publishable_key)?);
    Ok(headers)
}

/// The socket of a base URL.
pub(crate) fn address(url: &str) -> anyhow::Result<SocketAddr> {
    let url: Uri = url.parse()?;
    Ok(url.authority().context("a URL without an address")?.as_str().parse()?)
}

async fn compare(name: &'static str, market: &Market, ask: &Ask, load: Load) -> anyhow::Result<Report> {
    let gateway = address(&market.gateway_url())?;
    let answer = Connection::open(gateway).await?.ask(ask.request()).await?;
    ensure!(!answer.is_empty(), "an empty answer is nothing to compare");
    let bare = Bare::start(&answer, market.log_folder()).await?;
    for address in [gateway, bare.address] {
        closed_loop(address, ask, load.connections, Duration::from_secs(2)).await?;
    }
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    for round in 1..=load.rounds {
        reference.push(closed_loop(bare.address, ask, load.connections, load.round()).await?);
        ours.push(closed_loop(gateway, ask, load.connections, load.round()).await?);
        let (theirs, mine) = (&reference[round - 1], &ours[round - 1]);
        eprintln!("{name} {round}: {:.0}/s, bare {:.0}/s", mine.per_second, theirs.per_second);
    }
    Ok(report(name, &ours, &reference, load).with("answer_bytes", answer.len()))
}

fn report(name: &'static str, ours: &[Round], reference: &[Round], load: Load) -> Report {
    let rates = |rounds: &[Round]| median(rounds.iter().map(|round| round.per_second).collect());
    let latency = |rounds: &[Round], percent| {
        median(rounds.iter().map(|round| round.latencies.percentile_ms(percent)).collect())
    };
    Report::new(name, "requests/s", rates(ours), rates(reference))
        .with_measure("p50_ms", latency(ours, 50))
        .with_measure("p99_ms", latency(ours, 99))
        .with_measure("reference_p50_ms", latency(reference, 50))
        .with_measure("reference_p99_ms", latency(reference, 99))
        .with("connections", load.connections)
        .with("rounds", load.rounds)
}
