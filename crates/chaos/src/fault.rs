//! What can go wrong, and to whom.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};
use testkit::{market::Service, proxy::Weather, relay::Manner};

/// A process of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Instance {
    /// REST in front.
    Gateway,
    /// Vendors, apps, releases.
    Catalog,
    /// Instances and licences.
    License,
    /// Checkout, and Stripe's events.
    Payments,
    /// One of the two that tell shops.
    Dispatcher,
    /// The other one.
    SecondDispatcher,
}

impl Instance {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Gateway,
        Self::Catalog,
        Self::License,
        Self::Payments,
        Self::Dispatcher,
        Self::SecondDispatcher,
    ];

    /// What it runs.
    #[must_use]
    pub fn service(self) -> Service {
        match self {
            Self::Gateway => Service::Gateway,
            Self::Catalog => Service::Catalog,
            Self::License => Service::License,
            Self::Payments => Service::Payments,
            Self::Dispatcher | Self::SecondDispatcher => Service::Dispatcher,
        }
    }

    /// The servers that it holds connections to.
    #[must_use]
    pub fn servers(self) -> [Server; 2] {
        match self {
            Self::Gateway => [Server::Nats, Server::Valkey],
            _ => [Server::Nats, Server::Postgres],
        }
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::SecondDispatcher => "webhook-dispatcher-2",
            other => other.service().name(),
        })
    }
}

/// A server that ours run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    /// The stores.
    Postgres,
    /// The bus.
    Nats,
    /// The gateway's shared limits.
    Valkey,
}

impl Server {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Postgres, Self::Nats, Self::Valkey];
}

impl fmt::Display for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Postgres => "PostgreSQL",
            Self::Nats => "NATS",
            Self::Valkey => "Valkey",
        })
    }
}

/// A way between Stripe and payments-svc.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Of Stripe's events to payments-svc.
    Events,
    /// Of the calls of payments-svc to Stripe.
    Calls,
}

impl Way {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Events, Self::Calls];
}

impl fmt::Display for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Events => "Stripe's events",
            Self::Calls => "calls to Stripe",
        })
    }
}

/// How a shop's receiver answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// `204`.
    Good,
    /// `204`, after a while.
    Slow,
    /// `500`.
    Fails,
    /// `503` with a `Retry-After`.
    Busy,
    /// It says nothing.
    Hangs,
    /// It resets the connection.
    Resets,
    /// It closes the connection in the middle of its answer's head.
    Breaks,
    /// `410`: its endpoint is disabled, and enabled again when this is over.
    Gone,
}

impl Mood {
    /// Those that a fault may bring.
    pub const BAD: [Self; 7] =
        [Self::Slow, Self::Fails, Self::Busy, Self::Hangs, Self::Resets, Self::Breaks, Self::Gone];

    fn text(self) -> &'static str {
        match self {
            Self::Good => "answers 204",
            Self::Slow => "answers late",
            Self::Fails => "answers 500",
            Self::Busy => "answers 503 with Retry-After",
            Self::Hangs => "hangs",
            Self::Resets => "resets",
            Self::Breaks => "breaks off",
            Self::Gone => "answers 410",
        }
    }
}

/// Whose clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timepiece {
    /// A process's.
    Of(Instance),
    /// The store's, by which leases are measured.
    Store,
}

/// What happens, and is undone when its time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `SIGKILL`; started again.
    Kill(Instance),
    /// `SIGSTOP`; `SIGCONT`.
    Freeze(Instance),
    /// `SIGKILL` of all its processes at once; started again.
    KillServer(Server),
    /// Asked to end in order: PostgreSQL by its fast shutdown; started again.
    StopServer(Server),
    /// PostgreSQL breaks off, and leaves the rest to its recovery: its immediate shutdown; started again.
    AbortPostgres,
    /// `SIGSTOP` of all its processes; `SIGCONT`.
    FreezeServer(Server),
    /// NATS has no room for another message.
    FillDisk,
    /// The network between one process and a server.
    Link(Instance, Server, Weather),
    /// The network between all and a server.
    AllLinks(Server, Weather),
    /// The network between Stripe and payments-svc, one way.
    Road(Way, Weather),
    /// Whoever passes on what goes between Stripe and payments-svc, one way.
    Relay(Way, Manner),
    /// A shop's receiver.
    Receiver(usize, Mood),
    /// A clock goes this many milliseconds fast, or slow where it is negative.
    Clock(Timepiece, i64),
}

/// What a fault lays its hand on: no two at once on the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A process.
    Process(Instance),
    /// A server.
    Server(Server),
    /// A network.
    Link(Instance, Server),
    /// The network between Stripe and payments-svc, one way.
    Road(Way),
    /// Whoever passes on what goes there.
    Relay(Way),
    /// A receiver.
    Receiver(usize),
    /// A clock.
    Clock(Timepiece),
}

impl Fault {
    /// What it lays its hand on.
    #[must_use]
    pub fn subjects(&self) -> Vec<Subject> {
        match *self {
            Self::Kill(instance) | Self::Freeze(instance) => vec![Subject::Process(instance)],
            Self::KillServer(server) | Self::StopServer(server) | Self::FreezeServer(server) => {
                vec![Subject::Server(server)]
            }
            Self::AbortPostgres => vec![Subject::Server(Server::Postgres)],
            Self::FillDisk => vec![Subject::Server(Server::Nats)],
            Self::Link(instance, server, _) => vec![Subject::Link(instance, server)],
            Self::AllLinks(server, _) => {
                let holders = Instance::ALL.into_iter().filter(|one| one.servers().contains(&server));
                holders.map(|instance| Subject::Link(instance, server)).collect()
            }
            Self::Road(way, _) => vec![Subject::Road(way)],
            Self::Relay(way, _) => vec![Subject::Relay(way)],
            Self::Receiver(shop, _) => vec![Subject::Receiver(shop)],
            Self::Clock(timepiece, _) => vec![Subject::Clock(timepiece)],
        }
    }

    /// Its kind, for counting.
    #[must_use]
    pub fn kind(&self) -> String {
        match self {
            Self::Kill(instance) => format!("kill -9 {instance}"),
            Self::Freeze(instance) => format!("freeze {instance}"),
            Self::KillServer(server) => format!("kill -9 {server}"),
            Self::StopServer(server) => format!("shut down {server}"),
            Self::AbortPostgres => "shut down PostgreSQL at once".to_owned(),
            Self::FreezeServer(server) => format!("freeze {server}"),
            Self::FillDisk => "fill the disk of NATS".to_owned(),
            Self::Link(_, server, weather) | Self::AllLinks(server, weather) => {
                format!("{} to {server}", verb(*weather))
            }
            Self::Road(way, weather) => format!("{} of {way}", verb(*weather)),
            Self::Relay(way, manner) => told(*way, *manner),
            Self::Receiver(_, mood) => format!("a receiver {}", mood.text()),
            Self::Clock(Timepiece::Of(_), _) => "step a process's clock".to_owned(),
            Self::Clock(Timepiece::Store, _) => "step PostgreSQL's clock".to_owned(),
        }
    }
}

fn verb(weather: Weather) -> &'static str {
    match weather {
        Weather::Clear => "clear connections",
        Weather::Slow(_) => "slow connections",
        Weather::Stalled => "stall connections",
        Weather::Cut => "cut connections",
    }
}

fn told(way: Way, manner: Manner) -> String {
    match manner {
        Manner::Faithful => format!("{way} pass"),
        Manner::Refuses => format!("{way} are answered 503 on the way"),
        Manner::LosesAnswers => format!("{way} arrive and are answered 502"),
        Manner::Repeats => format!("{way} arrive three times"),
        Manner::Reorders => format!("{way} arrive out of order"),
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(instance, _, weather) => {
                write!(formatter, "{} from {instance}{}", self.kind(), by(*weather))
            }
            Self::AllLinks(_, weather) => write!(formatter, "{} from all{}", self.kind(), by(*weather)),
            Self::Road(_, weather) => write!(formatter, "{}{}", self.kind(), by(*weather)),
            Self::Receiver(shop, mood) => write!(formatter, "the receiver of shop-{shop} {}", mood.text()),
            Self::Clock(Timepiece::Of(instance), by) => {
                write!(formatter, "step the clock of {instance} by {by} ms")
            }
            Self::Clock(Timepiece::Store, by) => write!(formatter, "step the clock of PostgreSQL by {by} ms"),
            other => formatter.write_str(&other.kind()),
        }
    }
}

fn by(weather: Weather) -> String {
    match weather {
        Weather::Slow(delay) => format!(" by {} ms", delay.as_millis()),
        _ => String::new(),
    }
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A fault and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// When it begins, since the run did, in milliseconds.
    #[serde(serialize_with = "millis")]
    pub at: Duration,
    /// After how long it is undone, in milliseconds.
    #[serde(serialize_with = "millis")]
    pub lasts: Duration,
    /// What happens.
    pub fault: Fault,
}

impl fmt::Display for Planned {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, lasts) = (self.at.as_secs_f64(), self.lasts.as_secs_f64());
        write!(formatter, "{at:7.2} s  {}, for {lasts:.2} s", self.fault)
    }
}

fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u128(duration.as_millis())
}
