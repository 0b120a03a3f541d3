//! The whole marketplace with a proxy on every connection to a server, a clock of its own in every process, and a second
//! dispatcher.

use std::{
    collections::BTreeMap,
    fs::Permissions,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use futures::future::try_join_all;
use sea_orm::{ConnectionTrait as _, Database};
use tempfile::TempDir;
use testkit::{
    clock::{ClockLibrary, SteppedClock},
    local_address,
    market::{self, Admin, Backing, FiveProcesses, Keys, Options, Package, Service, Stripe},
    process::Process,
    proxy::{Proxy, Weather},
    servers::{Nats, Postgres, Valkey, default_root},
};
use tokio::sync::Mutex;

use crate::{
    fault::{Instance, Mood, Server, Timepiece, Way},
    install::Hosted,
    outlet::Outlet,
    plan::{Form, LOST_CAUSE},
    road::Roads,
};

const DATABASE: &str = "chaos";
const VENDOR: &str = "acme";
/// An attempt may last for so long, a lease and what a silent replica holds up for this much longer: the least that the
/// dispatcher takes, so that what is killed or frozen is taken over during the run.
const TIMEOUT_SECONDS: &str = "2";
const LEASE_SECONDS: &str = "8";
/// Circuits open as they do in production, and try again while the run lasts.
const COOL_DOWN_SECONDS: &str = "1";

/// Everything that runs; it ends with this value.
pub struct Stage {
    // In the order in which they end: who calls before who is called.
    /// The operator.
    pub admin: Admin,
    /// The apps on offer.
    pub apps: Vec<String>,
    /// Our processes.
    pub processes: BTreeMap<Instance, Mutex<Process>>,
    /// The shops.
    pub outlets: Vec<Outlet>,
    /// The hosted apps on offer.
    pub hosted: Vec<Hosted>,
    /// What they run on.
    pub ground: Ground,
}

/// What our processes run on, and the ways to it.
pub struct Ground {
    /// The stand-in for Stripe.
    pub stripe: Stripe,
    /// The servers.
    pub servers: Servers,
    /// Their addresses, past the proxies.
    pub backing: Backing,
    /// The ways between Stripe and payments-svc.
    pub roads: Roads,
    stripe_api_url: String,
    links: Links,
    clocks: Clocks,
    _clock_folder: TempDir,
}

/// The three servers.
pub struct Servers {
    /// The stores.
    pub postgres: Mutex<Postgres>,
    /// The bus.
    pub nats: Mutex<Nats>,
    /// The gateway's limits.
    pub valkey: Mutex<Valkey>,
}

type Links = BTreeMap<(Instance, Server), Proxy>;
type Clocks = BTreeMap<Timepiece, SteppedClock>;

impl Ground {
    /// Starts the servers, and a proxy for each connection that one of ours will hold.
    async fn lay(keys: &Keys, stripe_webhook_url: &str) -> anyhow::Result<Self> {
        let (root, (clock_folder, clocks)) = (default_root()?, clocks()?);
        let mut roads = Roads::default();
        let events = roads.lay(Way::Events, address_of(stripe_webhook_url)?).await?;
        let stripe_webhook_url = at(stripe_webhook_url, events);
        let store_clock = clocks.get(&Timepiece::Store).map(SteppedClock::vars).into_iter().flatten();
        let (stripe, postgres, nats, valkey) = tokio::try_join!(
            Stripe::start(keys, &stripe_webhook_url, None),
            Postgres::start_with(&root, store_clock),
            Nats::start(&root),
            Valkey::start(&root),
        )?;
        let backing = Backing {
            database_url: create_database(&postgres).await?,
            nats_url: nats.url(),
            redis_url: valkey.url(),
            stripe_url: stripe.url().to_owned(),
        };
        let calls = roads.lay(Way::Calls, address_of(stripe.url())?).await?;
        let stripe_api_url = at(stripe.url(), calls);
        let mut servers =
            Servers { postgres: Mutex::new(postgres), nats: Mutex::new(nats), valkey: Mutex::new(valkey) };
        let links = links(&mut servers).await?;
        Ok(Self {
            stripe,
            servers,
            backing,
            roads,
            stripe_api_url,
            links,
            clocks,
            _clock_folder: clock_folder,
        })
    }

    /// What one process is told: its own way to each server and to Stripe, and its own clock.
    fn vars(&self, instance: Instance) -> Vec<(String, String)> {
        let servers = [
            (Server::Postgres, "DATABASE_URL", &self.backing.database_url),
            (Server::Nats, "NATS_URL", &self.backing.nats_url),
            (Server::Valkey, "REDIS_URL", &self.backing.redis_url),
        ];
        let through = |(server, name, url): (Server, &str, &String)| {
            let link = self.links.get(&(instance, server))?;
            Some((name.to_owned(), at(url, link.address())))
        };
        let clock = self.clocks.get(&Timepiece::Of(instance)).map(SteppedClock::vars);
        let stripe = ("MERCATO__STRIPE__API_URL".to_owned(), self.stripe_api_url.clone());
        let stripe = (instance == Instance::Payments).then_some(stripe);
        servers.into_iter().filter_map(through).chain(clock.into_iter().flatten()).chain(stripe).collect()
    }

    /// Changes a connection's weather.
    pub fn weather(&self, instance: Instance, server: Server, weather: Weather) {
        if let Some(link) = self.links.get(&(instance, server)) {
            link.set(weather);
        }
    }

    /// Changes the weather of everybody's connections to a server.
    pub fn weather_for_all(&self, server: Server, weather: Weather) {
        let links = self.links.iter().filter(|((_, to), _)| *to == server);
        links.for_each(|(_, link)| link.set(weather));
    }

    /// Whether clocks can be stepped on this machine.
    #[must_use]
    pub fn has_clocks(&self) -> bool {
        !self.clocks.is_empty()
    }

    /// A clock, where they can be stepped.
    #[must_use]
    pub fn clock(&self, timepiece: Timepiece) -> Option<&SteppedClock> {
        self.clocks.get(&timepiece)
    }
}

impl Stage {
    /// Starts it all; each process appends to `<folder>/<name>.log`.
    pub async fn start(form: &Form, folder: &Path) -> anyhow::Result<Self> {
        let (keys, plan) = (Keys::generate(), market::Plan::new()?);
        let ground = Ground::lay(&keys, &plan.stripe_webhook_url()).await?;
        let options = options(form, |instance| ground.vars(instance));
        let first = plan.start(keys.clone(), ground.backing.clone(), options, folder).await?;
        let second = second_dispatcher(&first, ground.vars(Instance::SecondDispatcher), folder).await?;
        let gateway_url = first.gateway_url();
        let admin = Admin::new(&gateway_url, &keys.admin_key)?;
        let (apps, hosted) = publish(&admin, form).await?;
        let outlets = open_shops(&admin, &gateway_url, form.shops).await?;
        Ok(Self { admin, apps, processes: processes(first, second), outlets, hosted, ground })
    }

    /// One of our processes.
    pub fn process(&self, instance: Instance) -> anyhow::Result<&Mutex<Process>> {
        self.processes.get(&instance).with_context(|| format!("{instance} does not run"))
    }

    /// Our processes that have ended by themselves.
    pub async fn ended(&self) -> anyhow::Result<Vec<Instance>> {
        let mut ended = Vec::new();
        for (instance, process) in &self.processes {
            ended.extend(process.lock().await.ended()?.map(|_| *instance));
        }
        Ok(ended)
    }
}

/// In a folder of the machine's own: PostgreSQL runs as another user, to whom cargo's may be closed.
fn clocks() -> anyhow::Result<(TempDir, Clocks)> {
    let folder = tempfile::Builder::new().prefix("mercato-clocks-").tempdir()?;
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    let Some(library) = ClockLibrary::compile(folder.path())? else { return Ok((folder, Clocks::new())) };
    let processes = Instance::ALL.map(|instance| (Timepiece::Of(instance), instance.to_string()));
    let store = (Timepiece::Store, "store".to_owned());
    let clocks = processes.into_iter().chain([store]);
    let clocks = clocks.map(|(timepiece, name)| anyhow::Ok((timepiece, library.clock(&name)?)));
    let clocks = clocks.collect::<anyhow::Result<_>>()?;
    Ok((folder, clocks))
}

async fn create_database(postgres: &Postgres) -> anyhow::Result<String> {
    let url = postgres.url();
    let administrator = Database::connect(url.as_str()).await?;
    administrator.execute_unprepared(&format!("CREATE DATABASE {DATABASE}")).await?;
    administrator.close().await?;
    Ok(url.replace("/postgres?", &format!("/{DATABASE}?")))
}

async fn links(servers: &mut Servers) -> anyhow::Result<Links> {
    let ports = [
        (Server::Postgres, servers.postgres.get_mut().server().port()),
        (Server::Nats, servers.nats.get_mut().server().port()),
        (Server::Valkey, servers.valkey.get_mut().server().port()),
    ];
    let mut links = Links::new();
    for instance in Instance::ALL {
        for (server, port) in ports.iter().filter(|(server, _)| instance.servers().contains(server)) {
            links.insert((instance, *server), Proxy::start(local_address(*port)).await?);
        }
    }
    Ok(links)
}

/// The loopback address in a URL.
fn address_of(url: &str) -> anyhow::Result<SocketAddr> {
    let authority = url.split('/').nth(2).with_context(|| format!("{url} names no host"))?;
    authority.parse().with_context(|| format!("{url} names no address"))
}

/// The URL with another port of the loopback address.
fn at(url: &str, address: SocketAddr) -> String {
    let Some((before, after)) = url.split_once("127.0.0.1:") else { return url.to_owned() };
    format!("{before}{address}{}", after.trim_start_matches(|digit: char| digit.is_ascii_digit()))
}

fn options(form: &Form, vars: impl Fn(Instance) -> Vec<(String, String)>) -> Options {
    let schedule = format!("{:?}", form.schedule);
    let options = [
        ("SCHEDULE_SECONDS", schedule.as_str()),
        ("TIMEOUT_SECONDS", TIMEOUT_SECONDS),
        ("LEASE_SECONDS", LEASE_SECONDS),
        ("CIRCUIT_COOL_DOWN_SECONDS", COOL_DOWN_SECONDS),
        ("CIRCUIT_LONGEST_COOL_DOWN_SECONDS", COOL_DOWN_SECONDS),
    ];
    let told = options.iter().fold(Options::default(), |told, (name, value)| {
        told.var(Service::Dispatcher, &format!("MERCATO__DELIVERY__{name}"), value)
    });
    let first = Instance::ALL.into_iter().filter(|instance| *instance != Instance::SecondDispatcher);
    first.fold(told, |told, instance| {
        vars(instance).iter().fold(told, |told, (name, value)| told.var(instance.service(), name, value))
    })
}

async fn second_dispatcher(
    first: &FiveProcesses,
    vars: Vec<(String, String)>,
    folder: &Path,
) -> anyhow::Result<Process> {
    first.start_replica(Service::Dispatcher, &Instance::SecondDispatcher.to_string(), vars, folder).await
}

fn processes(first: FiveProcesses, second: Process) -> BTreeMap<Instance, Mutex<Process>> {
    let mut running = first.into_processes();
    let named = Instance::ALL.into_iter().filter_map(|instance| match instance {
        Instance::SecondDispatcher => None,
        instance => Some((instance, Mutex::new(running.remove(&instance.service())?))),
    });
    let mut processes: BTreeMap<_, _> = named.collect();
    processes.insert(Instance::SecondDispatcher, Mutex::new(second));
    processes
}

async fn publish(admin: &Admin, form: &Form) -> anyhow::Result<(Vec<String>, Vec<Hosted>)> {
    let vendor = admin.create_vendor(VENDOR).await?;
    let (mut apps, mut hosted) = (Vec::with_capacity(form.apps), Vec::with_capacity(form.hosted));
    for number in 0..form.apps {
        let package = Package::new(&format!("@{VENDOR}/app-{number}")).price_cents(4_900);
        admin.import(&vendor, &package).await?;
        apps.push(package.marketplace_id().to_owned());
    }
    for number in 0..form.hosted {
        hosted.push(Hosted::publish(admin, &vendor, number).await?);
    }
    Ok((apps, hosted))
}

async fn open_shops(admin: &Admin, gateway_url: &str, count: usize) -> anyhow::Result<Vec<Outlet>> {
    let outlets = try_join_all((0..count).map(|number| Outlet::open(admin, gateway_url, number))).await?;
    if let Some(lost_cause) = outlets.get(LOST_CAUSE) {
        lost_cause.set(Mood::Fails);
    }
    Ok(outlets)
}

/// Where the logs and the report of a run go: `chaos/` of cargo's target directory, emptied.
pub fn folder(name: &str) -> anyhow::Result<PathBuf> {
    let folder = testkit::paths::target_dir()?.join("chaos").join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("{} can't be emptied", folder.display()))?;
    }
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
