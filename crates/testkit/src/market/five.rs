//! The five services as processes of their own, on real servers.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use anyhow::{Context as _, ensure};

use super::{
    Backing, Keys, Options, Service,
    options::var,
    recipe::{Addresses, Recipe},
};
use crate::{child::Program, eventually, free_ports, local_address, paths, process::Process};

const MIGRATION_LIMIT: Duration = Duration::from_mins(1);
/// The services' own drain time is 20 s.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// The five processes; they end with this value.
#[derive(Debug)]
pub struct FiveProcesses {
    recipe: Recipe,
    processes: BTreeMap<Service, Process>,
}

/// Where the five processes will listen: known before they start, so that Stripe can be told.
#[derive(Debug)]
pub struct Plan {
    addresses: Addresses,
}

impl Plan {
    /// Takes free ports.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self { addresses: Addresses::free()? })
    }

    /// Where Stripe's events go.
    #[must_use]
    pub fn stripe_webhook_url(&self) -> String {
        format!("http://{}/stripe/webhook", self.addresses.http(Service::Payments))
    }

    /// Migrates the four stores, starts the five processes of the running program's own build, and waits until all
    /// are ready. Each appends to `<folder>/<service>.log`; the releases' bytes go to `<folder>/artifacts`.
    pub async fn start(
        self,
        keys: Keys,
        backing: Backing,
        options: Options,
        folder: &Path,
    ) -> anyhow::Result<FiveProcesses> {
        let artifacts = folder.join("artifacts");
        std::fs::create_dir_all(&artifacts)?;
        let recipe = Recipe { keys, addresses: self.addresses, backing, options, artifacts };
        migrate_all(&recipe, folder).await?;
        let processes = serve_all(&recipe, folder).await?;
        Ok(FiveProcesses { recipe, processes })
    }
}

async fn migrate_all(recipe: &Recipe, folder: &Path) -> anyhow::Result<()> {
    let migrate = |service| migrate(recipe, folder, service);
    tokio::try_join!(
        migrate(Service::Catalog),
        migrate(Service::License),
        migrate(Service::Payments),
        migrate(Service::Dispatcher),
    )?;
    Ok(())
}

async fn migrate(recipe: &Recipe, folder: &Path, service: Service) -> anyhow::Result<()> {
    let log = log_of(folder, service);
    let program =
        Program::new(paths::binary(service.name())?).args(["migrate"]).clear_env().envs(recipe.vars(service));
    let mut running = program.log(&log).spawn()?;
    let what = format!("`{service} migrate`");
    let ended =
        eventually(&what, MIGRATION_LIMIT, || std::future::ready(running.ended().transpose())).await??;
    let said = std::fs::read_to_string(log).unwrap_or_default();
    ensure!(ended.success(), "`{service} migrate` ended with {ended}; it wrote:\n{said}");
    Ok(())
}

async fn serve_all(recipe: &Recipe, folder: &Path) -> anyhow::Result<BTreeMap<Service, Process>> {
    let serve = |service| serve(recipe, folder, service);
    let (gateway, catalog, license, payments, dispatcher) = tokio::try_join!(
        serve(Service::Gateway),
        serve(Service::Catalog),
        serve(Service::License),
        serve(Service::Payments),
        serve(Service::Dispatcher),
    )?;
    Ok([gateway, catalog, license, payments, dispatcher].into())
}

async fn serve(recipe: &Recipe, folder: &Path, service: Service) -> anyhow::Result<(Service, Process)> {
    let (binary, port) = (paths::binary(service.name())?, recipe.addresses.admin_port(service));
    let log = log_of(folder, service);
    let process = Process::start_logging_to(log, &binary, &["serve"], recipe.vars(service), port).await?;
    Ok((service, process))
}

fn log_of(folder: &Path, service: Service) -> PathBuf {
    folder.join(format!("{service}.log"))
}

impl FiveProcesses {
    /// The base of the gateway's URLs.
    #[must_use]
    pub fn gateway_url(&self) -> String {
        format!("http://{}", self.recipe.addresses.http(Service::Gateway))
    }

    /// The base of payments-svc's public URLs.
    #[must_use]
    pub fn payments_url(&self) -> String {
        format!("http://{}", self.recipe.addresses.http(Service::Payments))
    }

    /// One of the processes.
    pub fn process(&mut self, service: Service) -> anyhow::Result<&mut Process> {
        self.processes.get_mut(&service).with_context(|| format!("{service} was stopped"))
    }

    /// Starts these again at once, whether they run or not, and waits until all are ready.
    pub async fn restart(&mut self, service: Service) -> anyhow::Result<()> {
        self.process(service)?.restart().await
    }

    /// The processes and their names.
    pub fn processes(&self) -> impl Iterator<Item = (Service, &Process)> {
        self.processes.iter().map(|(service, process)| (*service, process))
    }

    /// Another process of a service on the same servers, with these variables over those of the first, on ports of its
    /// own; appends to `<folder>/<name>.log`.
    pub async fn start_replica(
        &self,
        service: Service,
        name: &str,
        vars: impl IntoIterator<Item = (String, String)>,
        folder: &Path,
    ) -> anyhow::Result<Process> {
        let [admin, grpc] = free_ports()?;
        let mut all = self.recipe.vars(service);
        all.push(var("MERCATO__ADMIN__LISTEN", &local_address(admin)));
        all.push(var("MERCATO__GRPC__LISTEN", &local_address(grpc)));
        all.extend(vars);
        let (log, binary) = (folder.join(format!("{name}.log")), paths::binary(service.name())?);
        Process::start_logging_to(log, &binary, &["serve"], all, admin).await
    }

    /// The processes themselves, each to be killed and restarted for itself.
    #[must_use]
    pub fn into_processes(self) -> BTreeMap<Service, Process> {
        self.processes
    }

    /// Waits until one of them ends by itself; which, and how.
    pub async fn one_has_ended(&mut self) -> anyhow::Result<(Service, ExitStatus)> {
        let ended = eventually("one of the services to end", Duration::MAX, || {
            let found = self.processes.iter_mut().find_map(|(service, process)| {
                process.ended().transpose().map(|status| status.map(|status| (*service, status)))
            });
            std::future::ready(found)
        });
        ended.await?
    }

    /// Asks all at once to end, and waits until they have; how each did.
    pub async fn stop(&mut self) -> anyhow::Result<BTreeMap<String, ExitStatus>> {
        for process in self.processes.values_mut() {
            process.signal(crate::child::Signal::TERM)?;
        }
        let mut ended = BTreeMap::new();
        for (service, process) in &mut self.processes {
            // A second signal would end at once what is still finishing its work.
            ended.insert(service.name().to_owned(), process.wait(STOP_LIMIT).await?);
        }
        Ok(ended)
    }
}
