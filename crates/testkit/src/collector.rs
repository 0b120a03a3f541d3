//! An OpenTelemetry collector that remembers spans and answers questions about them.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

pub use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::Span as WireSpan,
};
use tokio::{net::TcpListener, task::AbortHandle};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

use crate::{Log, local_address};

/// One span, as it was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The trace, in hex.
    pub trace_id: String,
    /// The span, in hex.
    pub span_id: String,
    /// Its parent; none for the root of a trace.
    pub parent_id: Option<String>,
    /// `service.name` of the process.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Server, client, producer, consumer or internal.
    pub kind: SpanKind,
    /// Its attributes, values as text.
    pub attributes: BTreeMap<String, String>,
    /// Names of its events, and their attributes as text.
    pub events: Vec<(String, BTreeMap<String, String>)>,
    /// Traces and spans that it links to.
    pub links: Vec<(String, String)>,
}

impl Span {
    /// Whether an attribute has this value.
    #[must_use]
    pub fn has(&self, attribute: &str, value: &str) -> bool {
        self.attributes.get(attribute).is_some_and(|found| found == value)
    }
}

/// The spans of one trace.
#[derive(Debug, Clone)]
pub struct Trace {
    /// In the order of their arrival.
    pub spans: Vec<Span>,
}

impl Trace {
    /// The first span of a service with this name.
    #[must_use]
    pub fn find(&self, service: &str, name: &str) -> Option<&Span> {
        self.spans.iter().find(|span| span.service == service && span.name == name)
    }

    /// The parent, if it is here.
    #[must_use]
    pub fn parent_of(&self, span: &Span) -> Option<&Span> {
        let parent = span.parent_id.as_ref()?;
        self.spans.iter().find(|other| &other.span_id == parent)
    }

    /// The parent, its parent, and so on.
    pub fn ancestors_of<'a>(&'a self, span: &'a Span) -> impl Iterator<Item = &'a Span> {
        std::iter::successors(self.parent_of(span), |span| self.parent_of(span))
    }

    /// Whether some span of service `child` has a parent in service `parent`.
    #[must_use]
    pub fn has_edge(&self, parent: &str, child: &str) -> bool {
        let children = self.spans.iter().filter(|span| span.service == child);
        children.filter_map(|span| self.parent_of(span)).any(|found| found.service == parent)
    }

    /// Fails with the whole tree unless `child` was called by `parent`.
    ///
    /// # Panics
    ///
    /// When there is no such edge.
    pub fn assert_edge(&self, parent: &str, child: &str) {
        assert!(
            self.has_edge(parent, child),
            "no span of {child} has a parent in {parent}:\n{}",
            self.tree()
        );
    }

    /// The spans indented under their parents.
    #[must_use]
    pub fn tree(&self) -> String {
        let roots = self.spans.iter().filter(|span| self.parent_of(span).is_none());
        roots.map(|root| self.branch(root, 0)).collect()
    }

    fn branch(&self, span: &Span, depth: usize) -> String {
        let line = format!("{:1$}{2}: {3}\n", "", depth * 2, span.service, span.name);
        let children = self.spans.iter().filter(|other| other.parent_id.as_ref() == Some(&span.span_id));
        children.fold(line, |tree, child| tree + &self.branch(child, depth + 1))
    }
}

/// Listens on a free port for OTLP over gRPC; ends with this value.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    spans: Arc<Log<Span>>,
    task: AbortHandle,
}

impl Collector {
    /// Starts an empty one.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind(local_address(0)).await?;
        let address = listener.local_addr()?;
        let spans = Arc::<Log<Span>>::default();
        let service = TraceServiceServer::new(Inbox(Arc::clone(&spans)));
        let server =
            Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener));
        let task = tokio::spawn(server).abort_handle();
        Ok(Self { address, spans, task })
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All spans so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.spans.all()
    }

    /// The spans of one trace so far.
    #[must_use]
    pub fn trace(&self, trace_id: &str) -> Trace {
        Trace { spans: self.spans().into_iter().filter(|span| span.trace_id == trace_id).collect() }
    }

    /// Waits for a span; earlier ones count.
    pub async fn wait_for(
        &self,
        what: &str,
        limit: Duration,
        mut wanted: impl FnMut(&Span) -> bool,
    ) -> anyhow::Result<Span> {
        self.spans.wait(what, limit, |all| all.iter().find(|span| wanted(span)).cloned()).await
    }

    /// Waits until a trace is as `wanted`; exporters send in batches, so parents may come after their children.
    pub async fn wait_for_trace(
        &self,
        trace_id: &str,
        limit: Duration,
        mut wanted: impl FnMut(&Trace) -> bool,
    ) -> anyhow::Result<Trace> {
        let whole = self.spans.wait("the whole trace", limit, |all| {
            let spans = all.iter().filter(|span| span.trace_id == trace_id).cloned().collect();
            Some(Trace { spans }).filter(|trace| wanted(trace))
        });
        whole
            .await
            .map_err(|error| error.context(format!("what came of it:\n{}", self.trace(trace_id).tree())))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Inbox(Arc<Log<Span>>);

#[tonic::async_trait]
impl TraceService for Inbox {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for resource in request.into_inner().resource_spans {
            let attributes = texts(resource.resource.unwrap_or_default().attributes);
            let service = attributes.get("service.name").cloned().unwrap_or_default();
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                self.0.push(span_of(&service, span));
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn span_of(service: &str, span: WireSpan) -> Span {
    Span {
        kind: span.kind(),
        trace_id: hex::encode(span.trace_id),
        span_id: hex::encode(span.span_id),
        parent_id: Some(span.parent_span_id).filter(|id| !id.is_empty()).map(hex::encode),
        service: service.to_owned(),
        name: span.name,
        attributes: texts(span.attributes),
        events: span.events.into_iter().map(|event| (event.name, texts(event.attributes))).collect(),
        links: span
            .links
            .into_iter()
            .map(|link| (hex::encode(link.trace_id), hex::encode(link.span_id)))
            .collect(),
    }
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    attributes
        .into_iter()
        .map(|KeyValue { key, value, .. }| (key, value.map(text).unwrap_or_default()))
        .collect()
}

fn text(value: AnyValue) -> String {
    match value.value {
        Some(Value::StringValue(text)) => text,
        Some(Value::BoolValue(truth)) => truth.to_string(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BytesValue(bytes)) => hex::encode(bytes),
        Some(Value::ArrayValue(list)) => {
            let texts: Vec<_> = list.values.into_iter().map(text).collect();
            texts.join(",")
        }
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use opentelemetry_proto::tonic::{
        collector::trace::v1::trace_service_client::TraceServiceClient,
        resource::v1::Resource,
        trace::v1::{ResourceSpans, ScopeSpans},
    };

    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    fn attribute(key: &str, value: &str) -> KeyValue {
        let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
        KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
    }

    fn exported(service: &str, id: u8, parent: Option<u8>, name: &str) -> ExportTraceServiceRequest {
        let span = WireSpan {
            trace_id: vec![7; 16],
            span_id: vec![id; 8],
            parent_span_id: parent.map(|id| vec![id; 8]).unwrap_or_default(),
            name: name.to_owned(),
            kind: SpanKind::Server.into(),
            attributes: vec![attribute("http.route", "/feed")],
            ..WireSpan::default()
        };
        let resource =
            Resource { attributes: vec![attribute("service.name", service)], ..Resource::default() };
        let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
        let resource_spans =
            ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() };
        ExportTraceServiceRequest { resource_spans: vec![resource_spans] }
    }

    #[tokio::test]
    async fn knows_who_called_whom_even_when_the_parent_comes_last() {
        let collector = Collector::start().await.unwrap();
        let mut client = TraceServiceClient::connect(collector.endpoint()).await.unwrap();
        client.export(exported("catalog-svc", 2, Some(1), "List")).await.unwrap();
        client.export(exported("gateway", 1, None, "GET /feed")).await.unwrap();

        let child =
            collector.wait_for("the call", SOON, |span| span.has("http.route", "/feed")).await.unwrap();
        let trace =
            collector.wait_for_trace(&child.trace_id, SOON, |trace| trace.spans.len() == 2).await.unwrap();
        trace.assert_edge("gateway", "catalog-svc");
        assert!(!trace.has_edge("catalog-svc", "gateway"));
        assert_eq!(trace.tree(), "gateway: GET /feed\n  catalog-svc: List\n");
        let ancestors: Vec<_> = trace.ancestors_of(&child).map(|span| span.name.as_str()).collect();
        assert_eq!(ancestors, ["GET /feed"]);
        assert_eq!(trace.find("gateway", "GET /feed").unwrap().parent_id, None);
        assert_eq!(child.kind, SpanKind::Server);
    }

    #[tokio::test]
    async fn a_trace_that_never_comes_whole_is_shown_as_far_as_it_came() {
        let collector = Collector::start().await.unwrap();
        let mut client = TraceServiceClient::connect(collector.endpoint()).await.unwrap();
        client.export(exported("gateway", 1, None, "GET /feed")).await.unwrap();
        let limit = Duration::from_millis(50);
        let error = collector.wait_for_trace(&"07".repeat(16), limit, |_| false).await.unwrap_err();
        assert!(error.to_string().contains("gateway: GET /feed"), "{error}");
    }
}
