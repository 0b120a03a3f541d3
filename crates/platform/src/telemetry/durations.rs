//! Histograms of how long things took, one for each way in which they are told apart.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use metrics::{Histogram, Label};

/// One histogram tells how many there were, how they ended and how long they took. Each of them is looked up by its
/// labels once, and by its key from then on. There are as many as there are keys, so a key holds nothing that a caller
/// can make up.
pub(crate) struct Durations<K> {
    name: &'static str,
    labels: fn(&K) -> Vec<Label>,
    known: RwLock<HashMap<K, Histogram>>,
}

impl<K: Eq + Hash> Durations<K> {
    pub(crate) fn new(name: &'static str, labels: fn(&K) -> Vec<Label>) -> Self {
        Self { name, labels, known: RwLock::default() }
    }

    pub(crate) fn record(&self, key: K, took: Duration) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(histogram) = known.get(&key) {
            return histogram.record(took.as_secs_f64());
        }
        drop(known);
        let histogram = metrics::histogram!(self.name, (self.labels)(&key));
        histogram.record(took.as_secs_f64());
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(key, histogram);
    }
}

/// `error.type` of the OpenTelemetry conventions: what went well has none.
pub(crate) fn error_type(error: Option<&'static str>) -> Option<Label> {
    error.map(|error| Label::from_static_parts("error_type", error))
}
