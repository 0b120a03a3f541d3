//! `sale`: from Stripe's event at payments-svc to the receipt in the shop.

mod orders;

use std::{net::SocketAddr, time::Duration};

use anyhow::ensure;
use tokio::time::Instant;
use wire::{
    standard_webhooks::{self, WebhookSecret},
    timed_signature,
};

use crate::{
    gateway::address,
    load::{Ask, count},
    open_loop::Pool,
    receipts::Receipts,
    report::{Latencies, Report, median},
};
use orders::{Orders, Sale, unix_now};

const LIMIT: Duration = Duration::from_mins(2);
const WARM_UP: usize = 100;

/// How much is sold.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Args {
    /// Sales per second while latencies are measured
    #[arg(long, default_value_t = 50)]
    rate: usize,
    /// Seconds for which they are
    #[arg(long, default_value_t = 20)]
    seconds: usize,
    /// Sales of each round at full speed
    #[arg(long, default_value_t = 400)]
    sales: usize,
    /// Rounds at full speed, alternating with the reference's; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Connections that events are posted on
    #[arg(long, default_value_t = 16)]
    connections: usize,
}

impl Default for Args {
    fn default() -> Self {
        Self { rate: 50, seconds: 20, sales: 400, rounds: 3, connections: 16 }
    }
}

impl Args {
    fn all_sales(self) -> usize {
        WARM_UP + self.rate * self.seconds + self.sales * self.rounds
    }
}

/// Sales at a fixed rate for the latency, then at full speed beside a loop that only posts signed webhooks.
pub(crate) async fn run(args: Args) -> anyhow::Result<Report> {
    ensure!(args.rounds > 0 && args.sales > 0 && args.rate > 0, "nothing to measure");
    let receipts = Receipts::start().await?;
    let orders = Orders::place(args.all_sales(), &receipts).await?;
    let payments = address(&orders.stage.market.payments_url())?;
    let pool = Pool::open(payments, args.connections).await?;
    let (warm_up, rest) = orders.sales.split_at(WARM_UP);
    let (steady, full) = rest.split_at(args.rate * args.seconds);
    at_rate(warm_up, args.rate, &pool, &receipts).await?;
    let latencies = at_rate(steady, args.rate, &pool, &receipts).await?;
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    for (round, sales) in full.chunks(args.sales).enumerate() {
        reference.push(bare_loop(sales, args.connections, receipts.address()).await?);
        ours.push(at_full_speed(sales, &pool, &receipts).await?);
        eprintln!("sale {}: {:.0}/s, bare {:.0}/s", round + 1, ours[round], reference[round]);
    }
    let report = Report::new("sale", "sales/s", median(ours), median(reference)).with_latencies(&latencies);
    Ok(report.with("rate", args.rate).with("sales", args.sales).with("connections", args.connections))
}

/// Posts the events at the rate; how long each took until its shop was told.
async fn at_rate(sales: &[Sale], rate: usize, pool: &Pool, receipts: &Receipts) -> anyhow::Result<Latencies> {
    let asks: Vec<Ask> = sales.iter().map(Sale::event).collect::<anyhow::Result<_>>()?;
    let due = pool.send_at_rate(&asks.iter().collect::<Vec<_>>(), rate).await?;
    receipts.wait_for(&sales.iter().map(|sale| &sale.what).collect::<Vec<_>>(), LIMIT).await?;
    let told = sales.iter().filter_map(|sale| receipts.at(&sale.what));
    Ok(Latencies::new(told.zip(due).map(|(told, due)| told.saturating_duration_since(due)).collect()))
}

/// Sales per second, from the first event to the last receipt.
async fn at_full_speed(sales: &[Sale], pool: &Pool, receipts: &Receipts) -> anyhow::Result<f64> {
    let asks: Vec<Ask> = sales.iter().map(Sale::event).collect::<anyhow::Result<_>>()?;
    let began = Instant::now();
    pool.send_all(&asks.iter().collect::<Vec<_>>()).await?;
    let all: Vec<_> = sales.iter().map(|sale| &sale.what).collect();
    let ended = receipts.wait_for(&all, LIMIT).await?;
    Ok(count(sales.len()) / (ended - began).as_secs_f64())
}

/// The least that could tell the shops the same: signs each webhook both ways and posts it, to the same receiver.
async fn bare_loop(sales: &[Sale], connections: usize, receiver: SocketAddr) -> anyhow::Result<f64> {
    let pool = Pool::open(receiver, connections).await?;
    let secret = WebhookSecret::from_random([7; 32]);
    let began = Instant::now();
    let asks: Vec<Ask> =
        sales.iter().map(|sale| signed(sale, receiver, &secret)).collect::<anyhow::Result<_>>()?;
    pool.send_all(&asks.iter().collect::<Vec<_>>()).await?;
    Ok(count(sales.len()) / began.elapsed().as_secs_f64())
}

fn signed(sale: &Sale, receiver: SocketAddr, secret: &WebhookSecret) -> anyhow::Result<Ask> {
    let (id, now) = (format!("dly_{}", sale.session_id), unix_now()?);
    let mut ask = sale.webhook(receiver)?;
    let standard = standard_webhooks::sign(&[secret], &id, now, &ask.body);
    let carpha = timed_signature::sign(&[secret.expose()], now, &ask.body);
    let headers = [
        ("x-carpha-signature", carpha),
        ("x-carpha-delivery-id", id.clone()),
        ("webhook-id", id),
        ("webhook-timestamp", now.to_string()),
        ("webhook-signature", standard),
    ];
    for (name, value) in headers {
        ask.headers.insert(name, value.parse()?);
    }
    Ok(ask)
}
