//! The marketplace in either topology, with Stripe beside it.

use std::{collections::BTreeMap, process::ExitStatus, time::Duration};

use anyhow::{Context as _, bail};

use super::{
    Admin, Backing, FiveProcesses, Keys, Options, Plan, Service, Shop, Stripe,
    deployed::{DEPLOYMENT, Deployed},
    folder::Folder,
    one::{self, OneProcess, Place},
};
use crate::{
    process::Process,
    servers::{Nats, Valkey, default_root, test_env},
};

/// Twice the drain time: the one process drains its edges first, then what they call.
const STOP_LIMIT: Duration = Duration::from_secs(45);

/// In which form the marketplace runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topology {
    /// The five services on PostgreSQL, NATS and Valkey, as processes or as the containers that the environment names.
    FiveProcesses,
    /// `mercato serve` on its embedded parts.
    OneProcess,
}

impl Topology {
    /// Both, for the suite that passes over either.
    pub const ALL: [Self; 2] = [Self::OneProcess, Self::FiveProcesses];
}

/// A running marketplace; it ends with this value.
#[derive(Debug)]
pub struct Market {
    // In the order in which they end: who calls before who is called.
    stripe: Stripe,
    form: Form,
    keys: Keys,
    folder: Folder,
}

#[derive(Debug)]
enum Form {
    Five(Box<Five>),
    One(Box<OneProcess>),
    Deployed(Box<Deployed>),
}

/// Its name in docker-compose.yml.
const BUS: &str = "nats";
const IN_CONTAINERS: &str = "in a deployment its services are containers, not processes of this machine";

#[derive(Debug)]
struct Five {
    processes: FiveProcesses,
    nats: Nats,
    valkey: Valkey,
}

impl Market {
    /// Starts one, empty, and waits until every process is ready.
    pub async fn start(topology: Topology, options: Options) -> anyhow::Result<Self> {
        match topology {
            Topology::FiveProcesses => match Deployed::find()? {
                Some(deployed) => Self::use_deployed(deployed, options).await,
                None => Self::start_five(options).await,
            },
            Topology::OneProcess => Self::start_one(options).await,
        }
    }

    async fn start_five(options: Options) -> anyhow::Result<Self> {
        let (keys, folder, plan) = (Keys::generate(), Folder::new()?, Plan::new()?);
        let stripe = Stripe::start(&keys, &plan.stripe_webhook_url(), options.stripe_data.clone()).await?;
        let (root, env) = (default_root()?, test_env());
        let (database_url, nats, valkey) =
            tokio::try_join!(env.fresh_database(), Nats::start(&root), Valkey::start(&root))?;
        let backing = Backing {
            database_url,
            nats_url: nats.url(),
            redis_url: valkey.url(),
            stripe_url: stripe.url().to_owned(),
        };
        let processes = plan.start(keys.clone(), backing, options, folder.path()).await?;
        Ok(Self { stripe, form: Form::Five(Box::new(Five { processes, nats, valkey })), keys, folder })
    }

    async fn use_deployed(deployed: Deployed, options: Options) -> anyhow::Result<Self> {
        deployed.configure(&options).await.context("the deployment")?;
        let (keys, folder) = (deployed.keys(), Folder::new()?);
        let stripe = Stripe::at(&deployed.stripe_url, &keys)?;
        Ok(Self { stripe, form: Form::Deployed(Box::new(deployed)), keys, folder })
    }

    async fn start_one(options: Options) -> anyhow::Result<Self> {
        let (mut keys, folder, place) = (Keys::generate(), Folder::new()?, Place::free()?);
        let webhook_url = format!("{}/stripe/webhook", place.payments_url());
        let stripe = Stripe::start(&keys, &webhook_url, options.stripe_data.clone()).await?;
        let process = place.start(&keys, stripe.url(), &options, folder.path()).await?;
        keys.admin_key.clone_from(&process.admin_key);
        Ok(Self { stripe, form: Form::One(Box::new(process)), keys, folder })
    }

    /// The base of the gateway's URLs.
    #[must_use]
    pub fn gateway_url(&self) -> String {
        match &self.form {
            Form::Five(five) => five.processes.gateway_url(),
            Form::One(one) => one.place.gateway_url(),
            Form::Deployed(deployed) => deployed.gateway_url.clone(),
        }
    }

    /// The base of the URLs that Stripe calls.
    #[must_use]
    pub fn payments_url(&self) -> String {
        match &self.form {
            Form::Five(five) => five.processes.payments_url(),
            Form::One(one) => one.place.payments_url(),
            Form::Deployed(deployed) => deployed.payments_url.clone(),
        }
    }

    /// A name that nobody else has where others use the marketplace too.
    #[must_use]
    pub fn unique(&self, name: &str) -> String {
        match &self.form {
            Form::Five(_) | Form::One(_) => name.to_owned(),
            Form::Deployed(deployed) => format!("{name}-{}", deployed.tag),
        }
    }

    /// The stand-in for Stripe.
    #[must_use]
    pub fn stripe(&self) -> &Stripe {
        &self.stripe
    }

    /// The keys that outsiders hold: the operator's and Stripe's.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The operator.
    pub fn admin(&self) -> anyhow::Result<Admin> {
        Admin::new(&self.gateway_url(), &self.keys.admin_key)
    }

    /// Registers a shop that takes webhooks in this process.
    pub async fn shop(&self, name: &str) -> anyhow::Result<Shop> {
        Shop::register(&self.admin()?, &self.gateway_url(), name).await
    }

    /// The process that a service runs in.
    pub fn process(&mut self, service: Service) -> anyhow::Result<&mut Process> {
        match &mut self.form {
            Form::Five(five) => five.processes.process(service),
            Form::One(one) => Ok(&mut one.process),
            Form::Deployed(_) => bail!(IN_CONTAINERS),
        }
    }

    /// `kill -9` of the process that a service runs in.
    pub fn kill(&mut self, service: Service) -> anyhow::Result<()> {
        match &self.form {
            Form::Deployed(deployed) => deployed.kill(service.name()),
            Form::Five(_) | Form::One(_) => self.process(service)?.kill(),
        }
    }

    /// Starts the process that a service runs in again, on the same ports and data, and waits until it is ready.
    pub async fn restart(&mut self, service: Service) -> anyhow::Result<()> {
        match &self.form {
            Form::Deployed(deployed) => deployed.start(service.name()).await,
            Form::Five(_) | Form::One(_) => self.process(service)?.restart().await,
        }
    }

    /// `kill -9` of the bus; fails in one process, where the bus is a file.
    pub fn kill_bus(&mut self) -> anyhow::Result<()> {
        match &self.form {
            Form::Deployed(deployed) => deployed.kill(BUS),
            Form::Five(_) | Form::One(_) => self.nats()?.server().kill(),
        }
    }

    /// Starts the bus again on the same port and data, and waits until it answers.
    pub async fn restart_bus(&mut self) -> anyhow::Result<()> {
        match &self.form {
            Form::Deployed(deployed) => deployed.start(BUS).await,
            Form::Five(_) | Form::One(_) => self.nats()?.server().restart().await,
        }
    }

    /// Whether it is one of containers, in which the stores can be killed too.
    #[must_use]
    pub fn has_containers(&self) -> bool {
        matches!(self.form, Form::Deployed(_))
    }

    /// `kill -9` of a container, by its name in docker-compose.yml; fails where there are only processes.
    pub fn kill_container(&self, name: &str) -> anyhow::Result<()> {
        self.deployed()?.kill(name)
    }

    /// Starts a container again that was killed, and waits until every service is ready.
    pub async fn start_container(&self, name: &str) -> anyhow::Result<()> {
        self.deployed()?.start(name).await
    }

    fn deployed(&self) -> anyhow::Result<&Deployed> {
        match &self.form {
            Form::Deployed(deployed) => Ok(deployed),
            Form::Five(_) | Form::One(_) => {
                bail!("{DEPLOYMENT} names no deployment: there are no containers")
            }
        }
    }

    fn nats(&mut self) -> anyhow::Result<&mut Nats> {
        match &mut self.form {
            Form::Five(five) => Ok(&mut five.nats),
            Form::One(_) => bail!("in one process the bus is a file; kill the process instead"),
            Form::Deployed(_) => bail!(IN_CONTAINERS),
        }
    }

    /// `kill -9` of what speaks Redis; fails in one process, where limits are kept in memory.
    pub fn kill_redis(&mut self) -> anyhow::Result<()> {
        match &mut self.form {
            Form::Five(five) => five.valkey.server().kill(),
            Form::One(_) => bail!("in one process there is no Redis"),
            Form::Deployed(_) => bail!(IN_CONTAINERS),
        }
    }

    /// What each process has written so far, by its name.
    #[must_use]
    pub fn logs(&self) -> BTreeMap<String, String> {
        match &self.form {
            Form::Five(five) => {
                let processes = five.processes.processes();
                processes.map(|(service, process)| (service.to_string(), process.output())).collect()
            }
            Form::One(one) => [(one::NAME.to_owned(), one.log())].into(),
            Form::Deployed(deployed) => deployed.logs(),
        }
    }

    /// The folder that they are in, one file each.
    #[must_use]
    pub fn log_folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The resident memory of each process in KiB, by its name.
    pub fn resident_kib(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let of = |name: &str, process: &Process| Ok((name.to_owned(), process.resident_kib()?));
        match &self.form {
            Form::Five(five) => {
                five.processes.processes().map(|(service, process)| of(service.name(), process)).collect()
            }
            Form::One(one) => Ok([of(one::NAME, &one.process)?].into()),
            Form::Deployed(_) => bail!(IN_CONTAINERS),
        }
    }

    /// The base of the URLs of each process's health and metrics, by its name.
    pub fn admin_urls(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let of = |name: &str, process: &Process| (name.to_owned(), process.admin_url());
        match &self.form {
            Form::Five(five) => {
                Ok(five.processes.processes().map(|(service, process)| of(service.name(), process)).collect())
            }
            Form::One(one) => Ok([of(one::NAME, &one.process)].into()),
            Form::Deployed(_) => bail!(IN_CONTAINERS),
        }
    }

    /// Asks every process to end by `SIGTERM`, and waits; how each ended, by its name.
    pub async fn stop(&mut self) -> anyhow::Result<BTreeMap<String, ExitStatus>> {
        match &mut self.form {
            Form::Five(five) => five.processes.stop().await,
            Form::One(one) => Ok([(one::NAME.to_owned(), one.process.stop(STOP_LIMIT).await?)].into()),
            Form::Deployed(_) => bail!(IN_CONTAINERS),
        }
    }
}
