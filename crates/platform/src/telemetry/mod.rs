//! Traces over OTLP, Prometheus metrics, logs with trace ids.

pub(crate) mod durations;
mod log;
mod sampling;
mod trace_context;

use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
pub use sampling::TracesSampler;
use serde::Deserialize;
use tokio::time::{MissedTickBehavior, interval};
pub use trace_context::TraceContext;
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// The target of every span. Spans are made at TRACE so that a log filter of `info` stays quiet about them.
pub const SPANS: &str = "otel::tracing";

/// Histograms keep what they are told until it is put into buckets: here, should nobody ask for the metrics.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

const LATENCY_SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Where logs and traces go.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// OTLP/gRPC collector, for example `http://collector:4317` (`OTEL_EXPORTER_OTLP_ENDPOINT`); none: no export.
    pub otlp_endpoint: Option<String>,
    /// Which traces are begun (`OTEL_TRACES_SAMPLER`).
    pub traces_sampler: TracesSampler,
    /// Its argument, the share of traces that are begun: from 0 to 1 (`OTEL_TRACES_SAMPLER_ARG`).
    #[serde(deserialize_with = "sampling::share")]
    pub traces_sampler_arg: f64,
    /// `human` or `json`.
    pub log_format: LogFormat,
    /// A filter such as `info,license_svc=debug`.
    pub log_filter: String,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For a terminal.
    Human,
    /// One JSON object per line.
    Json,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            traces_sampler: TracesSampler::ParentbasedAlwaysOn,
            traces_sampler_arg: 1.0,
            log_format: LogFormat::Json,
            log_filter: "info".to_owned(),
        }
    }
}

/// Why telemetry could not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("telemetry.log_filter is no filter such as `info,license_svc=debug`: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The collector's address cannot be used.
    #[error("telemetry.otlp_endpoint cannot be used: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// Another recorder or subscriber was there before.
    #[error("telemetry was started twice: {0}")]
    Twice(String),
}

/// The running telemetry of this process.
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
    metrics: PrometheusHandle,
}

impl Telemetry {
    /// Starts logs, metrics and, where a collector is named, traces. Once per process, inside its runtime.
    pub fn start(config: &TelemetryConfig, service: &'static str) -> Result<Self, TelemetryError> {
        // What the gRPC layers put into a call and take out of it; without one they carry nothing, and say nothing.
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        let provider = match &config.otlp_endpoint {
            Some(endpoint) => Some(tracer_provider(endpoint, config, service)?),
            None => None,
        };
        let spans = provider.as_ref().map(|provider| {
            tracing_opentelemetry::layer()
                .with_tracer(provider.tracer(service))
                .with_location(false)
                .with_threads(false)
                .with_filter(tracing_subscriber::filter::filter_fn(|meta| meta.target() == SPANS))
        });
        let lines = tracing_subscriber::fmt::layer()
            .event_format(log::Lines::new(config.log_format, service))
            .with_writer(std::io::stderr)
            .with_filter(EnvFilter::try_new(&config.log_filter)?);
        tracing_subscriber::registry()
            .with(spans)
            .with(lines)
            .try_init()
            .map_err(|error| TelemetryError::Twice(error.to_string()))?;
        Ok(Self { provider, metrics: start_metrics(service)? })
    }

    /// Renders `/metrics`.
    #[must_use]
    pub fn metrics(&self) -> PrometheusHandle {
        self.metrics.clone()
    }

    /// Sends what is left, for at most `bound`: a collector that is away must not hold up the end.
    pub async fn stop(self, bound: Duration) {
        let Some(provider) = self.provider else { return };
        let flush = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(bound));
        if tokio::time::timeout(bound, flush).await.is_err() {
            tracing::warn!("the trace collector did not take the last spans in time");
        }
    }
}

fn tracer_provider(
    endpoint: &str,
    config: &TelemetryConfig,
    service: &'static str,
) -> Result<SdkTracerProvider, TelemetryError> {
    let sampler = config.traces_sampler.with(config.traces_sampler_arg);
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(Duration::from_secs(5))
        .build()?;
    let resource = Resource::builder()
        .with_service_name(service)
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let provider = SdkTracerProvider::builder().with_sampler(sampler).with_batch_exporter(exporter);
    Ok(provider.with_resource(resource).build())
}

fn start_metrics(service: &'static str) -> Result<PrometheusHandle, TelemetryError> {
    let twice = |error: metrics_exporter_prometheus::BuildError| TelemetryError::Twice(error.to_string());
    let metrics = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &LATENCY_SECONDS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(twice)?;
    // What OpenTelemetry's own exporter for Prometheus tells of its resource.
    let version = env!("CARGO_PKG_VERSION");
    metrics::gauge!("target_info", "service_name" => service, "service_version" => version).set(1.0);
    tokio::spawn(keep_up(metrics.clone()));
    Ok(metrics)
}

async fn keep_up(metrics: PrometheusHandle) {
    let mut ticks = interval(UPKEEP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        metrics.run_upkeep();
    }
}
