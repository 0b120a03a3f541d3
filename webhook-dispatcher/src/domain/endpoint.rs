//! Whose an endpoint is, whether it takes deliveries, and who said that it does not.

use super::kind::{CALLBACK, WEBHOOK};

/// The operator disabled it.
pub const BY_OPERATOR: &str = "operator";
/// It answered 410.
pub const GONE: &str = "gone";

/// Whose endpoint it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A shop's: `inst_…`. It is told events.
    Instance(String),
    /// A hosted app's: `@vendor/name`. It is called back.
    App(String),
}

impl Owner {
    /// The name of the kind of what it is told.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Instance(_) => WEBHOOK,
            Self::App(_) => CALLBACK,
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

    /// After a change of the instance. What answered 410 was the old URL; a new one begins afresh.
    #[must_use]
    pub fn follow(self, instance_disabled: bool, moved: bool) -> Self {
        let reason = self.reason.filter(|reason| !(moved && reason == GONE));
        Self { by_instance: instance_disabled, reason }
    }

    /// After an answer 410. An operator's word stays.
    #[must_use]
    pub fn gone(self) -> Self {
        Self { reason: self.reason.or_else(|| Some(GONE.to_owned())), ..self }
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
