//! Whose an endpoint is, whether it takes deliveries, and who said that it does not.

use super::kind::{CALLBACK, OPERATOR, WEBHOOK};

/// The operator disabled it.
pub const BY_OPERATOR: &str = "operator";
/// It answered 410.
pub const GONE: &str = "gone";
/// Nothing but failures came of it for days.
pub const FAILING: &str = "failing";
/// The operator's own, which is no longer configured.
pub const UNCONFIGURED: &str = "unconfigured";

/// Whose endpoint it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A shop's: `inst_…`. It is told events.
    Instance(String),
    /// A hosted app's: `@vendor/name`. It is called back.
    App(String),
    /// The operator's own. It is told of what happens to the others.
    Operator,
}

impl Owner {
    /// The name of the kind of what it is told.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Instance(_) => WEBHOOK,
            Self::App(_) => CALLBACK,
            Self::Operator => OPERATOR,
        }
    }
}

/// An endpoint is disabled by its instance, or by us for a reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The instance is disabled.
    pub by_instance: bool,
    /// Why we disabled it.
    pub reason: Option<String>,
}

/// Only the instance's own state keeps it disabled, which is not changed here.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the instance itself is disabled; enable the instance, and its endpoint follows")]
pub struct InstanceDisabled;

impl Standing {
    /// Whether deliveries are held.
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        self.by_instance || self.reason.is_some()
    }

    /// After a change of the instance. What answered 410, or failed for days, was the old URL; a new one begins afresh.
    #[must_use]
    pub fn follow(self, instance_disabled: bool, moved: bool) -> Self {
        let reason = self.reason.filter(|reason| !(moved && (reason == GONE || reason == FAILING)));
        Self { by_instance: instance_disabled, reason }
    }

    /// After an answer 410. An operator's word stays.
    #[must_use]
    pub fn gone(self) -> Self {
        Self { reason: self.reason.or_else(|| Some(GONE.to_owned())), ..self }
    }

    /// After days of nothing but failure. Whatever disabled it before stays.
    #[must_use]
    pub fn failing(self) -> Self {
        Self { reason: self.reason.or_else(|| Some(FAILING.to_owned())), ..self }
    }

    /// The operator's own, by the configuration: what an operator says besides stays.
    #[must_use]
    pub fn configured(self, is_configured: bool) -> Self {
        let reason = if is_configured {
            self.reason.filter(|reason| reason != UNCONFIGURED)
        } else {
            self.reason.or_else(|| Some(UNCONFIGURED.to_owned()))
        };
        Self { reason, ..self }
    }

    /// As the operator wants it.
    pub fn set_by_operator(self, disabled: bool) -> Result<Self, InstanceDisabled> {
        match disabled {
            true => Ok(Self { reason: Some(BY_OPERATOR.to_owned()), ..self }),
            false if self.by_instance => Err(InstanceDisabled),
            false => Ok(Self { reason: None, ..self }),
        }
    }

    /// For an operator to read.
    #[must_use]
    pub fn told_reason(&self) -> Option<String> {
        self.reason.clone().or_else(|| self.by_instance.then(|| "instance".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn gone_lasts_until_the_instance_moves_or_the_operator_enables_it() {
        let gone = Standing::default().gone();
        assert!(gone.clone().follow(false, false).is_disabled());
        assert!(!gone.clone().follow(false, true).is_disabled());
        assert!(!gone.set_by_operator(false).unwrap().is_disabled());
    }

    #[test]
    fn what_failed_for_days_is_tried_again_where_it_moves() {
        let failing = Standing::default().failing();
        assert_eq!(failing.told_reason().as_deref(), Some(FAILING));
        assert!(failing.clone().follow(false, false).is_disabled());
        assert!(!failing.clone().follow(false, true).is_disabled());
        assert_eq!(failing.clone().gone(), failing);
    }

    #[test]
    fn the_operators_own_endpoint_follows_the_configuration_and_the_operator() {
        let off = Standing::default().configured(false);
        assert!(off.is_disabled() && !off.configured(true).is_disabled());
        let disabled = Standing::default().set_by_operator(true).unwrap();
        assert_eq!(disabled.clone().configured(false).configured(true), disabled);
    }

    #[test]
    fn the_operators_word_outlives_a_move_and_a_410() {
        let disabled = Standing::default().set_by_operator(true).unwrap();
        assert_eq!(disabled.clone().gone().follow(false, true), disabled);
    }

    #[test]
    fn a_disabled_instance_is_not_enabled_here() {
        let disabled = Standing::default().follow(true, false);
        assert_eq!(disabled.clone().set_by_operator(false), Err(InstanceDisabled));
        assert_eq!(disabled.told_reason().as_deref(), Some("instance"));
    }
}
