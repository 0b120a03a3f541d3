//! Makes the planned faults happen, each at its time, and undoes them.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use serde::Serialize;
use testkit::{child::Signal, process::Process, proxy::Weather, relay::Manner, servers::Server as Child};
use tokio::{
    sync::Mutex,
    task::JoinSet,
    time::{Instant as Moment, sleep, sleep_until, timeout},
};

use crate::{
    fault::{Fault, Instance, Mood, Planned, Server, Timepiece},
    stage::Stage,
};

/// Until a process is ready again while what it needs may be away too.
const RESTART_LIMIT: Duration = Duration::from_mins(3);
/// A supervisor waits so long before it starts again what ended at once.
const RESTART_PAUSE: Duration = Duration::from_millis(500);

/// A fault that happened.
#[derive(Debug, Clone, Serialize)]
pub struct Inflicted {
    /// As it was planned.
    #[serde(flatten)]
    pub planned: Planned,
    /// When it was undone, and its subject ready again, in milliseconds since the run began.
    pub undone_ms: u128,
}

/// Makes all of them happen; returns when the last one is undone.
pub async fn inflict(stage: &Arc<Stage>, plan: &[Planned], begun: Moment) -> anyhow::Result<Vec<Inflicted>> {
    let mut running = JoinSet::new();
    let possible = plan.iter().filter(|planned| is_possible(stage, &planned.fault));
    for planned in possible.copied() {
        let stage = Arc::clone(stage);
        running.spawn(async move {
            sleep_until(begun + planned.at).await;
            eprintln!("{planned}");
            happen(&stage, planned).await.with_context(|| planned.to_string())?;
            anyhow::Ok(Inflicted { planned, undone_ms: begun.elapsed().as_millis() })
        });
    }
    let mut inflicted = Vec::with_capacity(plan.len());
    while let Some(done) = running.join_next().await {
        inflicted.push(done??);
    }
    inflicted.sort_by_key(|one| one.planned.at);
    Ok(inflicted)
}

fn is_possible(stage: &Stage, fault: &Fault) -> bool {
    !matches!(fault, Fault::Clock(..)) || stage.ground.has_clocks()
}

async fn happen(stage: &Stage, Planned { lasts, fault, .. }: Planned) -> anyhow::Result<()> {
    match fault {
        Fault::Kill(instance) => kill(stage, instance, lasts).await?,
        Fault::Freeze(instance) => freeze(stage.process(instance)?, lasts).await?,
        Fault::KillServer(server) => with_server(stage, server, Down::Killed, lasts).await?,
        Fault::StopServer(server) => with_server(stage, server, Down::Asked(polite(server)), lasts).await?,
        Fault::AbortPostgres => {
            with_server(stage, Server::Postgres, Down::Asked(Signal::QUIT), lasts).await?;
        }
        Fault::FreezeServer(server) => with_server(stage, server, Down::Frozen, lasts).await?,
        Fault::FillDisk => fill_disk(stage, lasts).await?,
        Fault::Clock(timepiece, by_ms) => step(stage, timepiece, by_ms, lasts).await?,
        Fault::Link(..) | Fault::AllLinks(..) | Fault::Road(..) | Fault::Relay(..) | Fault::Receiver(..) => {
            change(stage, fault);
            sleep(lasts).await;
            change(stage, over(fault));
        }
    }
    Ok(())
}

/// What is only told to something that goes on running.
fn change(stage: &Stage, fault: Fault) {
    match fault {
        Fault::Link(instance, server, weather) => stage.ground.weather(instance, server, weather),
        Fault::AllLinks(server, weather) => stage.ground.weather_for_all(server, weather),
        Fault::Road(way, weather) => stage.ground.roads.set_weather(way, weather),
        Fault::Relay(way, manner) => stage.ground.roads.set_manner(way, manner),
        Fault::Receiver(shop, mood) => stage.outlets[shop].set(mood),
        _ => {}
    }
}

/// The same thing, with nothing wrong any more.
fn over(fault: Fault) -> Fault {
    match fault {
        Fault::Link(instance, server, _) => Fault::Link(instance, server, Weather::Clear),
        Fault::AllLinks(server, _) => Fault::AllLinks(server, Weather::Clear),
        Fault::Road(way, _) => Fault::Road(way, Weather::Clear),
        Fault::Relay(way, _) => Fault::Relay(way, Manner::Faithful),
        Fault::Receiver(shop, _) => Fault::Receiver(shop, Mood::Good),
        other => other,
    }
}

async fn kill(stage: &Stage, instance: Instance, lasts: Duration) -> anyhow::Result<()> {
    let mut process = stage.process(instance)?.lock().await;
    anyhow::ensure!(process.ended()?.is_none(), "{instance} had ended by itself");
    process.kill()?;
    sleep(lasts).await;
    timeout(RESTART_LIMIT, restart(&mut process))
        .await
        .with_context(|| format!("{instance} did not come back"))
}

/// As a supervisor does: what ends at once, because its store is away, is started again.
async fn restart(process: &mut Process) {
    while process.restart().await.is_err() {
        sleep(RESTART_PAUSE).await;
    }
}

async fn freeze(process: &Mutex<Process>, lasts: Duration) -> anyhow::Result<()> {
    let mut process = process.lock().await;
    process.signal(Signal::STOP)?;
    sleep(lasts).await;
    process.signal(Signal::CONT)
}

#[derive(Debug, Clone, Copy)]
enum Down {
    Killed,
    Asked(Signal),
    Frozen,
}

/// What ends it in order; PostgreSQL would wait for its clients at `SIGTERM`.
fn polite(server: Server) -> Signal {
    match server {
        Server::Postgres => Signal::INT,
        Server::Nats | Server::Valkey => Signal::TERM,
    }
}

async fn with_server(stage: &Stage, server: Server, how: Down, lasts: Duration) -> anyhow::Result<()> {
    match server {
        Server::Postgres => down(stage.ground.servers.postgres.lock().await.server(), how, lasts).await,
        Server::Nats => down(stage.ground.servers.nats.lock().await.server(), how, lasts).await,
        Server::Valkey => down(stage.ground.servers.valkey.lock().await.server(), how, lasts).await,
    }
}

async fn down(server: &mut Child, how: Down, lasts: Duration) -> anyhow::Result<()> {
    anyhow::ensure!(server.ended()?.is_none(), "it had ended by itself");
    match how {
        Down::Killed => server.kill_all()?,
        Down::Asked(signal) => server.stop_by(signal).await?,
        Down::Frozen => server.signal_all(Signal::STOP)?,
    }
    sleep(lasts).await;
    match how {
        Down::Frozen => server.signal_all(Signal::CONT),
        Down::Killed | Down::Asked(_) => server.restart().await,
    }
}

async fn fill_disk(stage: &Stage, lasts: Duration) -> anyhow::Result<()> {
    let mut nats = stage.ground.servers.nats.lock().await;
    nats.restart_full().await?;
    sleep(lasts).await;
    nats.restart_with_room().await
}

async fn step(stage: &Stage, timepiece: Timepiece, by_ms: i64, lasts: Duration) -> anyhow::Result<()> {
    let Some(clock) = stage.ground.clock(timepiece) else { return Ok(()) };
    let by = Duration::from_millis(by_ms.unsigned_abs());
    if by_ms > 0 {
        clock.fast_by(by)?;
    } else {
        clock.slow_by(by)?;
    }
    sleep(lasts).await;
    clock.right()
}
