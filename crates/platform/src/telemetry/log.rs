//! The form of a log line: for people or as JSON, both with the trace id.

use std::fmt;

use opentelemetry::{Context, trace::TraceContextExt as _};
use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use super::LogFormat;

/// Formats one event as one line.
pub(super) struct Lines {
    format: LogFormat,
    service: &'static str,
}

impl Lines {
    pub(super) fn new(format: LogFormat, service: &'static str) -> Self {
        Self { format, service }
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let trace = trace_id();
        match self.format {
            LogFormat::Json => self.json(&mut to, event, fields.0, trace),
            LogFormat::Human => human(&mut to, event, fields.0, trace),
        }
    }
}

impl Lines {
    fn json(
        &self,
        to: &mut Writer<'_>,
        event: &Event<'_>,
        fields: Map<String, Value>,
        trace: Option<String>,
    ) -> fmt::Result {
        let mut line = Map::new();
        line.insert("timestamp".to_owned(), now().into());
        line.insert("level".to_owned(), event.metadata().level().as_str().into());
        line.insert("service".to_owned(), self.service.into());
        line.insert("target".to_owned(), event.metadata().target().into());
        line.extend(trace.map(|trace| ("trace_id".to_owned(), trace.into())));
        line.extend(fields);
        writeln!(to, "{}", Value::Object(line))
    }
}

fn human(
    to: &mut Writer<'_>,
    event: &Event<'_>,
    mut fields: Map<String, Value>,
    trace: Option<String>,
) -> fmt::Result {
    let message = fields.remove("message");
    let message = message.as_ref().and_then(Value::as_str).unwrap_or_default();
    write!(to, "{} {:>5} {}: {message}", now(), event.metadata().level(), event.metadata().target())?;
    for (name, value) in fields {
        write!(to, " {name}={value}")?;
    }
    match trace {
        Some(trace) => writeln!(to, " trace_id={trace}"),
        None => writeln!(to),
    }
}

fn trace_id() -> Option<String> {
    Context::map_current(|context| {
        let span = context.span();
        let span = span.span_context();
        span.is_valid().then(|| span.trace_id().to_string())
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "a log line tells when it was written, whatever the service's clock"
)]
fn now() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }
}
