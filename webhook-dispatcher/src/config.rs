//! What the dispatcher can be told.

use std::time::Duration;

use ipnet::IpNet;
use platform::{
    admin::AdminConfig,
    bus::NatsConfig,
    config::{Config as Checked, Problems},
    db::DatabaseConfig,
    grpc::GrpcConfig,
    lifecycle::LifecycleConfig,
    random::Random,
    sealing::{Sealer, SealingConfig},
    secret::Secret,
    service::{Base, ServiceConfig, StoreConfig},
    telemetry::TelemetryConfig,
};
use rustls::pki_types::CertificateDer;
use serde::Deserialize;
use wire::standard_webhooks::WebhookSecret;

use crate::{
    domain::{
        address::AddressPolicy, circuit::CircuitRules, health::HealthRules, schedule::Schedule,
        target::CallbackUrl,
    },
    sender::{BadRoots, ClientSettings, RESULT_MARGIN, read_roots},
};

const DAY: u64 = 24 * 3_600;
/// Connections that are kept for the next request, for each attempt that is worked on.
const IDLE_FACTOR: usize = 4;
const SHORTEST_RETENTION_DAYS: u64 = 8;

/// The whole configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Logs and traces.
    #[serde(default)]
    pub telemetry: TelemetryConfig,
    /// Health and metrics.
    pub admin: AdminConfig,
    /// NATS.
    pub bus: NatsConfig,
    /// How the process ends.
    #[serde(default)]
    pub lifecycle: LifecycleConfig,
    /// The store.
    pub database: DatabaseConfig,
    /// Where operators' calls arrive.
    pub grpc: GrpcConfig,
    /// Seals secrets and messages at rest.
    pub sealing: SealingConfig,
    /// Opens what the other services sealed for the bus.
    pub bus_sealing: SealingConfig,
    /// How deliveries are made.
    #[serde(default)]
    pub delivery: DeliveryConfig,
    /// The operator's own endpoint.
    #[serde(default)]
    pub operations: OperationsConfig,
}

/// How deliveries are made.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeliveryConfig {
    /// Seconds after the first, second, … failed attempt; after the last one the delivery is dead.
    pub schedule_seconds: Vec<u64>,
    /// The share by which a wait is made shorter or longer, below 1.
    pub jitter: f64,
    /// From the look-up of the name to the last byte of the answer.
    pub timeout_seconds: u64,
    /// How much of an answer's body is read.
    pub max_response_bytes: u64,
    /// Attempts that are worked on at once; 16 times as many may wait for their receivers.
    pub concurrency: usize,
    /// Attempts at once to one endpoint, at most: it begins with 4 and earns more with each success.
    pub concurrency_per_endpoint: usize,
    /// How long a replica may take from claiming a delivery to writing its result; more than 5 seconds longer than
    /// `timeout_seconds`.
    pub lease_seconds: u64,
    /// Networks that may be called although they are not public, also without TLS: `[127.0.0.0/8]`.
    pub allow_cidrs: Vec<IpNet>,
    /// Whether public addresses may be called without TLS.
    pub allow_http: bool,
    /// Ports of public addresses that may be called beside 80, 443, 8080 and 8443.
    pub allow_ports: Vec<u16>,
    /// PEM certificates of authorities that are trusted beside the public ones.
    pub extra_roots: String,
    /// Deliveries claimed at once.
    pub batch: usize,
    /// How long settled deliveries and their attempts are kept; longer than the 7 days for which an outbox can be published
    /// again, since they tell what was told before.
    pub retention_days: u64,
    /// How long what messages say is kept, if that is to be shorter: what was told longer ago can't be sent again.
    pub payload_retention_days: Option<u64>,
    /// How long the attempts of settled deliveries are kept, if that is to be shorter.
    pub attempt_retention_days: Option<u64>,
    /// How long deliveries to a disabled endpoint are held before they are given up.
    pub held_days: u64,
    /// Seconds after the first, second, … attempt of an Install that had no answer; the last one comes again and again.
    pub install_schedule_seconds: Vec<u64>,
    /// So long after it was taken an Install without any answer is given up.
    pub install_give_up_seconds: u64,
    /// How long a signed callback is good; each attempt is signed anew.
    pub callback_validity_seconds: u64,
    /// Attempts that are older than this no longer count for an endpoint's circuit.
    pub circuit_window_seconds: u64,
    /// With fewer attempts within the window the circuit stays closed.
    pub circuit_least_attempts: u32,
    /// From this share of failed attempts on the circuit opens.
    pub circuit_failing_share: f64,
    /// How long the circuit is open the first time; each time after it twice as long. So long is also an endpoint left
    /// alone that has too much to do and does not say for how long.
    pub circuit_cool_down_seconds: u64,
    /// How long the circuit is open at most, and how long an endpoint that asks for it is left alone at most.
    pub circuit_longest_cool_down_seconds: u64,
    /// After so many days of nothing but failure an endpoint is disabled.
    pub disable_after_failing_days: u64,
    /// Whether a shop's endpoint that is new, or at another URL, is told nothing before it has taken one signed request.
    pub verify_endpoints: bool,
}

/// The operator's own endpoint, which is told of what happens to the others.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OperationsConfig {
    /// Where it is; none: nobody is told.
    pub url: Option<String>,
    /// Signs what it is told: `whsec_` and base64 of 24 to 64 bytes.
    pub secret: Option<Secret>,
}

/// The operator's own endpoint, checked.
#[derive(Debug, Clone)]
pub struct Operations {
    /// Where it is.
    pub url: CallbackUrl,
    /// Signs what it is told.
    pub secret: WebhookSecret,
}

impl OperationsConfig {
    /// Nothing: nobody is told.
    pub fn endpoint(&self) -> Result<Option<Operations>, &'static str> {
        let (url, secret) = match (&self.url, &self.secret) {
            (None, None) => return Ok(None),
            (Some(url), Some(secret)) => (url, secret),
            _ => return Err("url and secret are given both, or neither"),
        };
        let url = CallbackUrl::parse(url);
        let url =
            url.map_err(|_| "url must be http or https with a host, without credentials or fragment")?;
        let secret = secret.parse().map_err(|_| "secret must be whsec_ and base64 of 24 to 64 bytes")?;
        Ok(Some(Operations { url, secret }))
    }
}

impl Default for DeliveryConfig {
    fn default() -> Self {
        Self {
            schedule_seconds: vec![60, 300, 1_800, 7_200, 43_200],
            jitter: 0.2,
            timeout_seconds: 30,
            max_response_bytes: 64 * 1024,
            concurrency: 256,
            concurrency_per_endpoint: 64,
            lease_seconds: 120,
            allow_cidrs: Vec::new(),
            allow_http: false,
            allow_ports: Vec::new(),
            extra_roots: String::new(),
            batch: 128,
            retention_days: 30,
            payload_retention_days: None,
            attempt_retention_days: None,
            held_days: 30,
            install_schedule_seconds: vec![5, 10, 20, 40, 60],
            install_give_up_seconds: 900,
            callback_validity_seconds: 600,
            circuit_window_seconds: 60,
            circuit_least_attempts: 10,
            circuit_failing_share: 0.5,
            circuit_cool_down_seconds: 60,
            circuit_longest_cool_down_seconds: 3_600,
            disable_after_failing_days: 5,
            verify_endpoints: false,
        }
    }
}

impl DeliveryConfig {
    /// When a failed delivery is tried again.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        Schedule {
            waits: self.schedule_seconds.iter().copied().map(Duration::from_secs).collect(),
            is_endless: false,
            jitter: self.jitter,
            throttle: Duration::from_secs(self.circuit_cool_down_seconds),
            longest_throttle: Duration::from_secs(self.circuit_longest_cool_down_seconds),
        }
    }

    /// When an Install without an answer is tried again.
    #[must_use]
    pub fn install_schedule(&self) -> Schedule {
        let waits = self.install_schedule_seconds.iter().copied().map(Duration::from_secs).collect();
        Schedule { waits, is_endless: true, ..self.schedule() }
    }

    /// When an endpoint that fails is spared, and when it is given up.
    #[must_use]
    pub fn health(&self) -> HealthRules {
        let circuit = CircuitRules {
            window: Duration::from_secs(self.circuit_window_seconds),
            least_attempts: self.circuit_least_attempts,
            failing_share: self.circuit_failing_share,
            cool_down: Duration::from_secs(self.circuit_cool_down_seconds),
            longest_cool_down: Duration::from_secs(self.circuit_longest_cool_down_seconds),
        };
        HealthRules { circuit, disable_after: Duration::from_secs(self.disable_after_failing_days * DAY) }
    }

    /// How long an Install is tried.
    #[must_use]
    pub fn install_time(&self) -> Duration {
        Duration::from_secs(self.install_give_up_seconds)
    }

    /// How long a signed callback is good.
    #[must_use]
    pub fn callback_validity(&self) -> Duration {
        Duration::from_secs(self.callback_validity_seconds)
    }

    /// How long an attempt may last.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }

    /// How long a claim lasts.
    #[must_use]
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds)
    }

    /// How long settled deliveries are kept.
    #[must_use]
    pub fn retention(&self) -> Duration {
        Duration::from_secs(self.retention_days * DAY)
    }

    /// How long what messages say is kept, if that is shorter.
    #[must_use]
    pub fn payload_retention(&self) -> Option<Duration> {
        self.payload_retention_days.map(|days| Duration::from_secs(days * DAY))
    }

    /// How long the attempts of settled deliveries are kept, if that is shorter.
    #[must_use]
    pub fn attempt_retention(&self) -> Option<Duration> {
        self.attempt_retention_days.map(|days| Duration::from_secs(days * DAY))
    }

    /// How long deliveries are held.
    #[must_use]
    pub fn held_retention(&self) -> Duration {
        Duration::from_secs(self.held_days * DAY)
    }

    /// How requests are bounded.
    pub fn client(&self) -> Result<ClientSettings, BadRoots> {
        Ok(ClientSettings {
            policy: AddressPolicy {
                allow: self.allow_cidrs.clone(),
                allow_http: self.allow_http,
                allow_ports: self.allow_ports.clone(),
            },
            timeout: self.timeout(),
            max_response_bytes: self.max_response_bytes,
            idle_per_host: self.concurrency_per_endpoint,
            idle: IDLE_FACTOR * self.concurrency,
            extra_roots: self.extra_roots()?,
        })
    }

    fn extra_roots(&self) -> Result<Vec<CertificateDer<'static>>, BadRoots> {
        if self.extra_roots.is_empty() { Ok(Vec::new()) } else { read_roots(self.extra_roots.as_bytes()) }
    }

    fn check(&self, problems: &mut Problems) {
        problems.check("delivery.extra_roots", self.extra_roots());
        if !(0.0..1.0).contains(&self.jitter) {
            problems.add("delivery.jitter", "must be at least 0 and below 1, such as 0.2 for ±20 %");
        }
        // Equal would not do: some of the lease has passed before the attempt begins.
        if self.lease() <= self.timeout().saturating_add(RESULT_MARGIN) {
            let least = "must be more than 5 seconds longer than delivery.timeout_seconds";
            problems.add("delivery.lease_seconds", least);
        }
        // A wait of nothing would come again and again.
        if self.install_schedule_seconds.is_empty() || self.install_schedule_seconds.contains(&0) {
            problems.add(
                "delivery.install_schedule_seconds",
                "must be seconds of at least 1, such as [5, 10, 20]",
            );
        }
        if self.callback_validity() <= self.timeout() {
            let least = "must be longer than delivery.timeout_seconds, or a request could expire on its way";
            problems.add("delivery.callback_validity_seconds", least);
        }
        if self.retention_days < SHORTEST_RETENTION_DAYS {
            let least =
                "must be at least 8: what was told must be known for longer than it can be published again";
            problems.add("delivery.retention_days", least);
        }
        self.check_shorter("payload_retention_days", self.payload_retention_days, problems);
        self.check_shorter("attempt_retention_days", self.attempt_retention_days, problems);
        if !(self.circuit_failing_share > 0.0 && self.circuit_failing_share <= 1.0) {
            problems.add("delivery.circuit_failing_share", "must be above 0 and at most 1, such as 0.5");
        }
        if self.circuit_longest_cool_down_seconds < self.circuit_cool_down_seconds {
            let least = "must be at least delivery.circuit_cool_down_seconds";
            problems.add("delivery.circuit_longest_cool_down_seconds", least);
        }
        for (key, value) in self.counts() {
            if value == 0 {
                problems.add(&format!("delivery.{key}"), "must be at least 1");
            }
        }
    }

    fn check_shorter(&self, key: &str, days: Option<u64>, problems: &mut Problems) {
        if days.is_some_and(|days| days == 0 || days > self.retention_days) {
            let right = "must be from 1 to delivery.retention_days, with which everything goes";
            problems.add(&format!("delivery.{key}"), right);
        }
    }

    fn counts(&self) -> [(&'static str, u64); 10] {
        let count = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        [
            ("timeout_seconds", self.timeout_seconds),
            ("concurrency", count(self.concurrency)),
            ("concurrency_per_endpoint", count(self.concurrency_per_endpoint)),
            ("batch", count(self.batch)),
            ("held_days", self.held_days),
            ("install_give_up_seconds", self.install_give_up_seconds),
            ("circuit_window_seconds", self.circuit_window_seconds),
            ("circuit_least_attempts", self.circuit_least_attempts.into()),
            ("circuit_cool_down_seconds", self.circuit_cool_down_seconds),
            ("disable_after_failing_days", self.disable_after_failing_days),
        ]
    }
}

impl Checked for Config {
    const SECTIONS: &'static [&'static str] = &["telemetry", "bus", "database"];

    fn check(&self, problems: &mut Problems) {
        self.database.check(problems);
        self.grpc.check(problems);
        problems.check("sealing.keys", Sealer::new(&self.sealing, Random::system()));
        problems.check("bus_sealing.keys", Sealer::new(&self.bus_sealing, Random::system()));
        self.delivery.check(problems);
        problems.check("operations", self.operations.endpoint());
    }
}

impl ServiceConfig for Config {
    fn base(&self) -> Base<'_> {
        Base { telemetry: &self.telemetry, admin: &self.admin, bus: &self.bus, lifecycle: &self.lifecycle }
    }
}

impl StoreConfig for Config {
    const SCHEMA: &'static str = "webhooks";

    fn database(&self) -> &DatabaseConfig {
        &self.database
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use platform::config::load_from;

    use super::*;

    pub(crate) fn load(more: &[(&str, &str)]) -> Result<Config, String> {
        let key = "1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
        let needed = [
            ("DATABASE_URL", "postgres://localhost/mercato"),
            ("NATS_URL", "nats://localhost:4222"),
            ("MERCATO__ADMIN__LISTEN", "127.0.0.1:7190"),
            ("MERCATO__GRPC__LISTEN", "127.0.0.1:7104"),
            ("MERCATO__GRPC__CALLERS__GATEWAY", "the gateway's own credential"),
            ("MERCATO__SEALING__KEYS", key),
            ("MERCATO__BUS_SEALING__KEYS", key),
        ];
        let vars = needed.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        load_from(vars.collect::<BTreeMap<_, _>>()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_said_is_as_in_the_contract() {
        let delivery = load(&[]).unwrap().delivery;
        assert_eq!(delivery.schedule(), Schedule::default());
        assert_eq!(delivery.install_schedule(), Schedule::install());
        assert_eq!(delivery.health().circuit, CircuitRules::default());
        assert_eq!(delivery.health().disable_after, Duration::from_hours(5 * 24));
        assert_eq!(delivery.install_time(), Duration::from_mins(15));
        assert_eq!(delivery.callback_validity(), Duration::from_mins(10));
        assert!(delivery.allow_cidrs.is_empty() && !delivery.allow_http);
    }

    #[test]
    fn lists_come_from_the_environment() {
        let given = [
            ("MERCATO__DELIVERY__ALLOW_CIDRS", "[127.0.0.0/8]"),
            ("MERCATO__DELIVERY__SCHEDULE_SECONDS", "[1, 2]"),
        ];
        let delivery = load(&given).unwrap().delivery;
        assert_eq!(delivery.allow_cidrs, ["127.0.0.0/8".parse::<IpNet>().unwrap()]);
        assert_eq!(delivery.schedule_seconds, [1, 2]);
    }

    #[test]
    fn the_shortest_lease_leaves_time_to_write_the_result() {
        let delivery = load(&[("MERCATO__DELIVERY__LEASE_SECONDS", "36")]).unwrap().delivery;
        assert!(delivery.lease() > delivery.timeout() + RESULT_MARGIN);
    }

    #[test]
    fn what_cannot_work_is_named() {
        let bad = [
            ("MERCATO__DELIVERY__LEASE_SECONDS", "35", "delivery.lease_seconds"),
            ("MERCATO__DELIVERY__JITTER", "1.5", "delivery.jitter"),
            ("MERCATO__DELIVERY__CONCURRENCY", "0", "delivery.concurrency"),
            ("MERCATO__DELIVERY__RETENTION_DAYS", "7", "delivery.retention_days"),
            ("MERCATO__DELIVERY__PAYLOAD_RETENTION_DAYS", "31", "delivery.payload_retention_days"),
            ("MERCATO__DELIVERY__ATTEMPT_RETENTION_DAYS", "0", "delivery.attempt_retention_days"),
            ("MERCATO__DELIVERY__INSTALL_SCHEDULE_SECONDS", "[5, 0]", "delivery.install_schedule_seconds"),
            ("MERCATO__DELIVERY__INSTALL_GIVE_UP_SECONDS", "0", "delivery.install_give_up_seconds"),
            ("MERCATO__DELIVERY__CALLBACK_VALIDITY_SECONDS", "30", "delivery.callback_validity_seconds"),
            ("MERCATO__DELIVERY__EXTRA_ROOTS", "nonsense", "delivery.extra_roots"),
            ("MERCATO__SEALING__KEYS", "nonsense", "sealing.keys"),
            ("MERCATO__DELIVERY__ALOW_HTTP", "true", "alow_http"),
            ("MERCATO__DELIVERY__CIRCUIT_FAILING_SHARE", "0", "delivery.circuit_failing_share"),
            (
                "MERCATO__DELIVERY__CIRCUIT_LONGEST_COOL_DOWN_SECONDS",
                "59",
                "delivery.circuit_longest_cool_down_seconds",
            ),
            ("MERCATO__OPERATIONS__URL", "https://ops.example/hooks", "operations"),
        ];
        for (name, value, key) in bad {
            let error = load(&[(name, value)]).unwrap_err();
            assert!(error.contains(key), "{key}: {error}");
        }
    }
}
