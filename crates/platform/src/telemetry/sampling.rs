//! Which traces are begun.

use opentelemetry_sdk::trace::Sampler;
use serde::{Deserialize, Deserializer, de::Error as _};

/// The samplers of OpenTelemetry's `OTEL_TRACES_SAMPLER`, by their names there.
///
/// Those that begin with `parentbased_` ask only where a trace begins, and go by what was decided there from then on, so
/// that a sale is traced from end to end or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TracesSampler {
    /// Each span.
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// A share, decided anew in each process by the trace's id: the same everywhere if the share is.
    Traceidratio,
    /// Each trace: what to keep is decided by the collector, which sees how a trace ended.
    ParentbasedAlwaysOn,
    /// None but those that a caller has begun.
    ParentbasedAlwaysOff,
    /// A share of the traces.
    ParentbasedTraceidratio,
}

impl TracesSampler {
    /// The sampler with its argument.
    pub(super) fn with(self, share: f64) -> Sampler {
        let parent_based = |root: Sampler| Sampler::ParentBased(Box::new(root));
        match self {
            Self::AlwaysOn => Sampler::AlwaysOn,
            Self::AlwaysOff => Sampler::AlwaysOff,
            Self::Traceidratio => Sampler::TraceIdRatioBased(share),
            Self::ParentbasedAlwaysOn => parent_based(Sampler::AlwaysOn),
            Self::ParentbasedAlwaysOff => parent_based(Sampler::AlwaysOff),
            Self::ParentbasedTraceidratio => parent_based(Sampler::TraceIdRatioBased(share)),
        }
    }
}

/// A number from 0 to 1.
pub(super) fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let share = f64::deserialize(deserializer)?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(D::Error::custom("must be from 0 to 1")) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        config::{self, Problems},
        telemetry::TelemetryConfig,
    };

    #[derive(Debug, Deserialize)]
    struct Config {
        telemetry: TelemetryConfig,
    }

    impl config::Config for Config {
        const SECTIONS: &'static [&'static str] = &["telemetry"];

        fn check(&self, _: &mut Problems) {}
    }

    fn read(vars: &[(&str, &str)]) -> Result<TelemetryConfig, config::ConfigError> {
        let vars: BTreeMap<_, _> = vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        config::load_from::<Config>(vars).map(|config| config.telemetry)
    }

    #[test]
    fn a_share_is_taken_under_the_standards_names() {
        for name in [
            "always_on",
            "always_off",
            "traceidratio",
            "parentbased_always_on",
            "parentbased_always_off",
            "parentbased_traceidratio",
        ] {
            let telemetry =
                read(&[("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", "0.25")]).unwrap();
            let sampler = telemetry.traces_sampler.with(telemetry.traces_sampler_arg);
            assert_eq!(format!("{sampler:?}").contains("0.25"), name.ends_with("ratio"), "{name}");
        }
        let whole =
            read(&[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "1")]).unwrap();
        assert!((whole.traces_sampler_arg - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn what_is_no_sampler_or_no_share_is_refused() {
        let refused = read(&[("OTEL_TRACES_SAMPLER", "jaeger_remote")]).unwrap_err().to_string();
        assert!(refused.contains("telemetry.traces_sampler"), "{refused}");
        for share in ["-0.1", "1.5", "NaN", "half"] {
            let refused = read(&[("OTEL_TRACES_SAMPLER_ARG", share)]).unwrap_err().to_string();
            assert!(refused.contains("telemetry.traces_sampler_arg"), "{share}: {refused}");
        }
    }
}
