use std::collections::HashMap;

use opentelemetry::{Context, propagation::TextMapPropagator as _, trace::TraceContextExt as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The W3C trace context, as it is stored beside a row and sent with a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceContext {
    /// `traceparent`.
    pub traceparent: Option<String>,
    /// `tracestate`.
    pub tracestate: Option<String>,
}

impl TraceContext {
    /// The context of the current span; empty where nothing is traced.
    #[must_use]
    pub fn current() -> Self {
        Self::of(&Span::current())
    }

    /// The context of a span.
    #[must_use]
    pub fn of(span: &Span) -> Self {
        // Where no collector is named there is nothing to tell, and this is asked for each message.
        if span.is_disabled() {
            return Self::default();
        }
        let mut headers = HashMap::new();
        TraceContextPropagator::new().inject_context(&span.context(), &mut headers);
        Self {
            traceparent: headers.remove("traceparent"),
            tracestate: headers.remove("tracestate").filter(|state| !state.is_empty()),
        }
    }

    /// Makes `span` a child of this context. Only before the span is entered for the first time.
    pub fn set_parent(&self, span: &Span) {
        if span.is_disabled() {
            return;
        }
        let context = self.extract();
        if context.span().span_context().is_valid() && span.set_parent(context).is_err() {
            tracing::debug!("a span was already started and keeps its own parent");
        }
    }

    /// Links `span` to this context: it belongs to another trace that this one caused.
    pub fn link(&self, span: &Span) {
        if span.is_disabled() {
            return;
        }
        let context = self.extract();
        if context.span().span_context().is_valid() {
            span.add_link(context.span().span_context().clone());
        }
    }

    fn extract(&self) -> Context {
        let mut headers = HashMap::new();
        headers.extend(self.traceparent.clone().map(|value| ("traceparent".to_owned(), value)));
        headers.extend(self.tracestate.clone().map(|value| ("tracestate".to_owned(), value)));
        TraceContextPropagator::new().extract_with_context(&Context::new(), &headers)
    }
}
