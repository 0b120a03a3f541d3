//! Ids: `prefix_` + ULID (contracts.md section 1).

use sha2::{Digest as _, Sha256};
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

/// The id of what follows from an event: whoever makes it, and however often, it is the same one. It carries the time
/// of the event's own id, so that it sorts with the ids of its time.
#[must_use]
pub fn derive(prefix: &str, event_id: &str, about: &str) -> String {
    // No id holds a zero byte, so no two pairs read alike.
    let hash = Sha256::new().chain_update(event_id).chain_update([0]).chain_update(about).finalize();
    let mut random = [0; 16];
    random.copy_from_slice(&hash[..16]);
    let ulid = Ulid::from_parts(time_of(event_id).unwrap_or(0), u128::from_be_bytes(random));
    format!("{prefix}_{ulid}")
}

/// The time that an id carries, Unix milliseconds.
#[must_use]
pub fn made_at_ms(id: &str) -> Option<i64> {
    i64::try_from(time_of(id)?).ok()
}

fn time_of(id: &str) -> Option<u64> {
    let (_, ulid) = id.split_once('_')?;
    Some(Ulid::from_string(ulid).ok()?.timestamp_ms())
}

/// No id of this time or later sorts before this text.
#[must_use]
pub fn floor(prefix: &str, at_ms: i64) -> String {
    format!("{prefix}_{}", Ulid::from_parts(u64::try_from(at_ms).unwrap_or(0), 0))
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

    #[test]
    fn a_derived_id_is_the_same_each_time_and_another_for_another_cause() {
        let event = Ids::new(Clock::manual(1_700_000_000_000), Random::seeded(1)).generate("evt");
        let id = derive("dly", &event, "ep_1");
        assert!(is_id(&id, "dly"), "{id}");
        assert_eq!(id, derive("dly", &event, "ep_1"));
        assert_ne!(id, derive("dly", &event, "ep_2"));
        assert_ne!(id, derive("dly", "evt_of another form", "ep_1"));
        assert_eq!(made_at_ms(&id), Some(1_700_000_000_000));
        assert_eq!(made_at_ms("evt_of another form"), None);
    }

    #[test]
    fn ids_of_a_time_sort_after_its_floor_and_before_the_next() {
        let id = Ids::new(Clock::manual(1_700_000_000_000), Random::seeded(1)).generate("dly");
        assert!(floor("dly", 1_700_000_000_000) <= id && id < floor("dly", 1_700_000_000_001));
    }
}
