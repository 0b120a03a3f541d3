//! PostgreSQL, NATS and dispatchers, and nothing else; the shops are in this process.

use std::{net::SocketAddr, ops::Range, time::Duration};

use anyhow::ensure;
use platform::{
    Clock, Ids, Random,
    bus::Message,
    sealing::{Sealer, SealingConfig},
};
use tempfile::TempDir;
use testkit::{
    child::Program,
    eventually, free_ports, local_address, paths,
    process::Process,
    servers::{Nats, Postgres, default_root},
};

use super::{
    bus::Bus,
    events::{Events, Form},
    ledger::Ledger,
    receiver::Receiver,
    shop::Shop,
    store::Store,
    usage::Processes,
};

const NAME: &str = "webhook-dispatcher";
const SOON: Duration = Duration::from_mins(1);
/// Deliveries to each shop before anything is measured: connections are open then.
const WARM_UP: usize = 20;

/// What is the same in all shapes.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Setup {
    /// A variable of the dispatchers' environment, such as MERCATO__DELIVERY__CONCURRENCY=512
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = variable)]
    vars: Vec<(String, String)>,
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Everything that a shape runs on; ends with this value.
pub(crate) struct Stage {
    pub(crate) shops: Vec<Shop>,
    pub(crate) bus: Bus,
    pub(crate) store: Store,
    pub(crate) receiver: Receiver,
    pub(crate) clock: Clock,
    events: Events,
    /// Deliveries below this number have been asked for.
    made: usize,
    dispatchers: Vec<Process>,
    vars: Vec<(String, String)>,
    nats: Nats,
    postgres: Postgres,
    folder: TempDir,
}

impl Stage {
    /// Starts everything with one dispatcher; so many shops are registered, and each has been told a few times.
    pub(crate) async fn open(shops: usize, setup: &Setup) -> anyhow::Result<Self> {
        let (clock, random) = (Clock::system(), Random::system());
        let root = default_root()?;
        let (postgres, nats) = tokio::try_join!(Postgres::start(&root), Nats::start(&root))?;
        let bus_ring = SealingConfig::single(&random.bytes());
        let ids = Ids::new(clock.clone(), random.clone());
        let receiver = Receiver::start(shops).await?;
        let new = |address: &SocketAddr| Shop::new(*address, shops, &ids, &random);
        let shops = receiver.addresses.iter().map(new).collect();
        let mut stage = Self {
            shops,
            bus: Bus::connect(&nats.url(), clock.clone()).await?,
            store: Store::connect(&postgres.url()).await?,
            receiver,
            clock,
            events: Events { sealer: Sealer::new(&bus_ring, random.clone())?, ids },
            made: 0,
            dispatchers: Vec::new(),
            vars: vars(&postgres.url(), &nats.url(), &bus_ring, &random, setup),
            nats,
            postgres,
            folder: tempfile::tempdir()?,
        };
        stage.migrate().await?;
        stage.start_dispatcher().await?;
        stage.register().await?;
        stage.warm_up(Form::Each).await?;
        Ok(stage)
    }

    async fn migrate(&self) -> anyhow::Result<()> {
        let log = self.folder.path().join("migrate.log");
        let program = Program::new(paths::binary(NAME)?).args(["migrate"]).clear_env();
        let mut running = program.envs(self.vars.iter().cloned()).envs(listening()?).log(&log).spawn()?;
        let ended = eventually("the migration", SOON, || std::future::ready(running.ended().transpose()));
        let (ended, said) = (ended.await??, std::fs::read_to_string(log).unwrap_or_default());
        ensure!(ended.success(), "`{NAME} migrate` ended with {ended}; it wrote:\n{said}");
        Ok(())
    }

    /// Starts one more.
    pub(crate) async fn start_dispatcher(&mut self) -> anyhow::Result<()> {
        let log = self.folder.path().join(format!("dispatcher-{}.log", self.dispatchers.len()));
        let [admin, grpc] = listening()?;
        let port = admin.1.rsplit_once(':').map_or(Ok(0), |(_, port)| port.parse())?;
        let vars = self.vars.iter().cloned().chain([admin, grpc]);
        let started = Process::start_logging_to(log, &paths::binary(NAME)?, &["serve"], vars, port).await?;
        self.dispatchers.push(started);
        Ok(())
    }

    /// Ends them as an operator does.
    pub(crate) async fn stop_dispatchers(&mut self) -> anyhow::Result<()> {
        for mut dispatcher in self.dispatchers.drain(..) {
            let ended = dispatcher.stop(SOON).await?;
            ensure!(ended.success(), "a dispatcher ended with {ended}; it wrote:\n{}", dispatcher.output());
        }
        Ok(())
    }

    async fn register(&self) -> anyhow::Result<()> {
        let events = self.shops.iter().map(|shop| self.events.tenant_changed(shop));
        self.bus.publish_all(&events.collect::<Result<Vec<_>, _>>()?).await?;
        let wanted = self.shops.len();
        let known = async || match self.store.endpoints().await {
            Ok(known) => (known == wanted).then_some(Ok(())),
            Err(error) => Some(Err(error)),
        };
        eventually("the endpoints", SOON, known).await?
    }

    async fn warm_up(&mut self, form: Form) -> anyhow::Result<()> {
        let (numbers, messages) = self.make(form, WARM_UP * self.shops.len())?;
        let ledger = self.receiver.note_in(Ledger::new(numbers.clone(), numbers.len()));
        self.bus.publish_all(&messages).await?;
        ledger.wait(SOON).await?;
        self.store.wait_delivered(self.made, SOON).await
    }

    /// From now on the shops are told of releases too: a dispatcher reads all endpoints when it starts.
    pub(crate) async fn subscribe(&mut self) -> anyhow::Result<()> {
        self.stop_dispatchers().await?;
        self.store.subscribe_all().await?;
        self.start_dispatcher().await?;
        self.warm_up(Form::All).await
    }

    /// The next messages, and the numbers of the deliveries that come of them: so many, one shop after the other.
    pub(crate) fn make(
        &mut self,
        form: Form,
        deliveries: usize,
    ) -> anyhow::Result<(Range<usize>, Vec<Message>)> {
        let numbers = self.made..self.made + deliveries;
        self.made = numbers.end;
        let messages = match form {
            Form::Each => self.licenses(numbers.clone())?,
            Form::All => self.releases(&numbers)?,
        };
        Ok((numbers, messages))
    }

    fn licenses(&self, numbers: Range<usize>) -> anyhow::Result<Vec<Message>> {
        let shops = self.shops.iter().cycle();
        let messages = numbers.zip(shops).map(|(number, shop)| self.events.license_issued(shop, number));
        Ok(messages.collect::<Result<_, _>>()?)
    }

    fn releases(&self, numbers: &Range<usize>) -> anyhow::Result<Vec<Message>> {
        let shops = self.shops.len();
        let is_whole = numbers.start.is_multiple_of(shops) && numbers.end.is_multiple_of(shops);
        ensure!(is_whole, "a release makes one delivery for each of {shops} shops");
        let releases = numbers.start / shops..numbers.end / shops;
        Ok(releases.map(|release| self.events.release_published(release)).collect())
    }

    /// How many deliveries have been asked for so far.
    pub(crate) fn made(&self) -> usize {
        self.made
    }

    /// Checks the receipts that the ledger kept: a share of all; how many.
    pub(crate) fn check_sample(&self, ledger: &Ledger) -> anyhow::Result<usize> {
        let (sample, now) = (ledger.take_sample(), self.clock.now_secs());
        for receipt in &sample {
            self.shops[receipt.shop].check(receipt, now)?;
        }
        Ok(sample.len())
    }

    /// Everything that works for a delivery.
    pub(crate) fn processes(&mut self) -> Processes {
        let mut processes: Processes = self.dispatchers.iter().map(|one| ("dispatcher", one.id())).collect();
        processes.push(("postgresql", self.postgres.server().id()));
        processes.push(("nats", self.nats.server().id()));
        processes.push(("bench", std::process::id()));
        processes
    }

    /// The last dispatcher that was started.
    pub(crate) fn dispatcher_id(&self) -> Option<u32> {
        self.dispatchers.last().map(Process::id)
    }
}

fn vars(
    database_url: &str,
    nats_url: &str,
    bus_ring: &SealingConfig,
    random: &Random,
    setup: &Setup,
) -> Vec<(String, String)> {
    let own_ring = SealingConfig::single(&random.bytes());
    let credential = Ids::new(Clock::system(), random.clone()).generate("nobody");
    let vars = [
        ("DATABASE_URL", database_url),
        ("NATS_URL", nats_url),
        ("MERCATO__GRPC__CALLERS__GATEWAY", credential.as_str()),
        ("MERCATO__SEALING__KEYS", own_ring.keys.expose()),
        ("MERCATO__BUS_SEALING__KEYS", bus_ring.keys.expose()),
        ("MERCATO__DELIVERY__ALLOW_CIDRS", "[\"127.0.0.0/8\"]"),
    ];
    let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
    vars.into_iter().chain(setup.vars.iter().cloned()).collect()
}

/// Each dispatcher has ports of its own.
fn listening() -> anyhow::Result<[(String, String); 2]> {
    let [admin, grpc] = free_ports::<2>()?.map(|port| local_address(port).to_string());
    Ok([("MERCATO__ADMIN__LISTEN".to_owned(), admin), ("MERCATO__GRPC__LISTEN".to_owned(), grpc)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_a_name_and_a_value() {
        assert_eq!(variable("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert!(variable("A").is_err());
    }
}
