//! Ids: `prefix_` + ULID (contracts.md section 1).

use ulid::Ulid;

use crate::{Clock, Random};

/// Makes ids.
#[derive(Clone)]
pub struct Ids {
    clock: Clock,
    random: Random,
}

impl Ids {
    /// From the service's clock and randomness.
    #[must_use]
    pub fn new(clock: Clock, random: Random) -> Self {
        Self { clock, random }
    }

    /// A new id such as `ord_01J…`; ids made later sort later, to the millisecond.
    #[must_use]
    pub fn generate(&self, prefix: &str) -> String {
        let millis = u64::try_from(self.clock.now_ms()).unwrap_or(0);
        let ulid = Ulid::from_parts(millis, u128::from_be_bytes(self.random.bytes()));
        format!("{prefix}_{ulid}")
    }
}

/// Whether `id` has the form `prefix_` + ULID.
#[must_use]
pub fn is_id(id: &str, prefix: &str) -> bool {
    id.strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'))
        .is_some_and(|ulid| Ulid::from_string(ulid).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_its_form_and_no_other() {
        let ids = Ids::new(Clock::manual(1_700_000_000_000), Random::seeded(1));
        let id = ids.generate("ord");
        assert!(is_id(&id, "ord"), "{id}");
        assert!(!is_id(&id, "lic"));
        assert!(!is_id("ord_", "ord"));
        assert!(!is_id("ord-01J", "ord"));
        assert_ne!(id, ids.generate("ord"));
    }
}
