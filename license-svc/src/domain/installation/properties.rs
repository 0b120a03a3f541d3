//! Whatever a shop does, and in whatever order the word of its callbacks comes.
#![allow(clippy::unwrap_used)]

use proptest::{prelude::*, sample::Index};

use super::{
    ApiKey, Asked, Installation, LastCallback, Operation, Outcome, Settlement, State, Step, ask,
    release::tests::{edition, facts},
};
use crate::domain::Illegal;

const VERSIONS: [&str; 4] = ["1.0.0", "1.1.0", "1.2.0", "2.0.0"];

#[derive(Debug, Clone)]
enum Happens {
    Install(usize),
    Update(usize),
    Remove,
    Silent(usize),
    /// Of any callback that was ever made, settled already or not.
    Settled(Index, usize, bool),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        2 => (0..VERSIONS.len()).prop_map(Happens::Install),
        2 => (0..VERSIONS.len()).prop_map(Happens::Update),
        1 => Just(Happens::Remove),
        1 => (0..VERSIONS.len()).prop_map(Happens::Silent),
        6 => (any::<Index>(), 0..Outcome::ALL.len(), any::<bool>())
            .prop_map(|(which, outcome, arrived)| Happens::Settled(which, outcome, arrived)),
    ]
}

/// A callback that was made, and how it ended.
struct Callback {
    of: usize,
    operation: Operation,
    version: String,
    settled: Option<Settlement>,
}

/// All installations of one app in one shop, and all callbacks; a callback's number is its place, from 1.
#[derive(Default)]
struct Shop {
    installations: Vec<Installation>,
    /// What each installation may say that it runs.
    acknowledged: Vec<Vec<String>>,
    callbacks: Vec<Callback>,
}

impl Shop {
    fn next(&self) -> i64 {
        i64::try_from(self.callbacks.len()).unwrap() + 1
    }

    fn present(&self) -> Option<usize> {
        self.installations.iter().position(|installation| installation.state.is_present())
    }

    fn take(&mut self, of: usize, step: Step) {
        let Step::Moves(after, callback) = step else { return };
        let before = &self.installations[of];
        assert!(before.state.is_present(), "what has left a shop never comes back");
        assert!(after.edition.version >= before.edition.version, "no version is followed by an earlier one");
        if let Some(operation) = callback {
            assert_eq!(after.sequence, self.next(), "each callback has a number of its own, and a later one");
            let version = match &after.state {
                State::Updating(updating) => updating.target.edition.version.to_string(),
                _ => after.edition.version.to_string(),
            };
            self.callbacks.push(Callback { of, operation, version, settled: None });
        }
        self.installations[of] = after;
    }

    fn install(&mut self, version: &str) {
        let present = self.present();
        let Ok(asked) = ask(present.map(|at| self.installations[at].clone()), &edition(version)) else {
            return;
        };
        let Asked::Anew { removed } = asked else { return };
        if let (Some(at), Some(removed)) = (present, removed) {
            self.installations[at] = removed;
        }
        let id = format!("itn_{}", self.installations.len());
        let release = facts(version).check().unwrap();
        let asked = Installation::request(id, "inst_1".into(), release, 0);
        self.installations.push(asked.clone());
        self.acknowledged.push(vec![version.to_owned()]);
        let hash = [u8::try_from(self.installations.len()).unwrap(); 32];
        let key = || Ok::<_, Illegal>(ApiKey { hash, sealed: Some(vec![1]) });
        let begun = asked.begin(self.next(), key).unwrap();
        self.take(self.installations.len() - 1, begun);
    }

    fn settle(&mut self, at: usize, outcome: Outcome, may_have_arrived: bool) {
        let next = self.next();
        let callback = &mut self.callbacks[at];
        let (of, version) = (callback.of, callback.version.clone());
        let told = LastCallback {
            operation: callback.operation,
            outcome,
            status: None,
            attempts: 1,
            settled_at_ms: 0,
        };
        let sequence = i64::try_from(at).unwrap() + 1;
        // Settled once, told as often as the bus likes.
        let settled =
            *callback.settled.get_or_insert(Settlement { sequence, callback: told, may_have_arrived });
        if settled.is_delivered() && settled.callback.operation == Operation::Update {
            self.acknowledged[of].push(version);
        }
        let step = self.installations[of].clone().settle(&settled, next);
        self.take(of, step);
    }

    fn happen(&mut self, what: &Happens) {
        let present = self.present();
        match (what, present) {
            (Happens::Install(version), _) => self.install(VERSIONS[*version]),
            (Happens::Update(version), Some(at)) => {
                let step = self.installations[at].clone().update(edition(VERSIONS[*version]), self.next());
                if let Ok(step) = step {
                    self.take(at, step);
                }
            }
            (Happens::Remove, Some(at)) => {
                let step = self.installations[at].clone().remove(self.next());
                self.take(at, step);
            }
            (Happens::Silent(version), Some(at)) => {
                let step = self.installations[at].clone().move_silently([edition(VERSIONS[*version])]);
                if let Step::Moves(after, _) = &step {
                    self.acknowledged[at].push(after.edition.version.to_string());
                }
                self.take(at, step);
            }
            (Happens::Settled(which, outcome, arrived), _) if !self.callbacks.is_empty() => {
                self.settle(which.index(self.callbacks.len()), Outcome::ALL[*outcome], *arrived);
            }
            _ => {}
        }
    }

    fn check(&self) {
        let present = self.installations.iter().filter(|installation| installation.state.is_present());
        assert!(present.count() <= 1, "an app is in a shop once");
        let keys = self.installations.iter().filter(|installation| installation.key.is_some());
        assert!(keys.count() <= 1, "no two keys live");
        for (installation, acknowledged) in self.installations.iter().zip(&self.acknowledged) {
            let has_access =
                matches!(installation.state, State::Installing | State::Installed | State::Updating(_));
            assert_eq!(installation.key.is_some(), has_access, "{}", installation.state.as_str());
            let version = installation.edition.version.to_string();
            assert!(acknowledged.contains(&version), "it runs {version}, of which nobody knows");
        }
    }

    /// Whether the app may hold the shop: it has, or may have, taken an Install, and no Remove after it.
    fn may_be_held(&self) -> bool {
        self.callbacks.iter().fold(false, |held, callback| match (callback.operation, callback.settled) {
            (Operation::Install, Some(settled)) => held || settled.is_delivered() || settled.may_have_arrived,
            (Operation::Remove, Some(settled)) => held && !settled.is_delivered(),
            _ => held,
        })
    }

    /// The rest of what the dispatcher has to say, the word of the latest callback first if so told.
    fn settle_all(&mut self, outcome: Outcome, may_have_arrived: bool, backwards: bool) {
        while let Some(at) = self.unsettled(backwards) {
            self.settle(at, outcome, may_have_arrived);
            self.check();
        }
    }

    fn unsettled(&self, backwards: bool) -> Option<usize> {
        let is_open = |callback: &Callback| callback.settled.is_none();
        if backwards {
            self.callbacks.iter().rposition(is_open)
        } else {
            self.callbacks.iter().position(is_open)
        }
    }
}

proptest! {
    #[test]
    fn no_two_keys_live_no_version_is_invented_everything_settles_and_no_app_holds_a_shop_unawares(
        story in prop::collection::vec(happens(), 0..40),
        last in 0..Outcome::ALL.len(),
        may_have_arrived in any::<bool>(),
        backwards in any::<bool>(),
    ) {
        let mut shop = Shop::default();
        for what in &story {
            shop.happen(what);
            shop.check();
        }
        shop.settle_all(Outcome::ALL[last], may_have_arrived, backwards);
        for installation in &shop.installations {
            let settled = matches!(installation.state, State::Installed | State::Removed | State::Cancelled);
            prop_assert!(settled, "{} is {}", installation.id, installation.state.as_str());
            let sealed = installation.key.as_ref().is_some_and(|key| key.sealed.is_some());
            prop_assert!(!sealed, "a key is kept sealed only until it is told");
        }
        if shop.present().is_none() && shop.may_be_held() {
            let last = shop.callbacks.last().map(|callback| callback.operation);
            prop_assert_eq!(last, Some(Operation::Remove), "an app that may hold a shop is told that it has left");
        }
    }
}
