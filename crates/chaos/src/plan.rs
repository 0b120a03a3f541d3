//! What a seed decides: every fault, its subject, its time and its length; and who buys what.

use std::{collections::BTreeMap, time::Duration};

use testkit::proxy::Weather;

use crate::{
    dice::Dice,
    fault::{Fault, Instance, Mood, Planned, Server, Subject, Timepiece},
};

/// The shop that never takes anything: what it is told is dead at the end of the schedule.
pub const LOST_CAUSE: usize = 0;

/// How large a run is.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    /// For so long faults begin, and end.
    pub length: Duration,
    /// From one fault's beginning to the next one's, at least and at most.
    pub gap: (Duration, Duration),
    /// Faults last by this share of what they last in the long form.
    pub scale: f64,
    /// Shops, the lost cause among them.
    pub shops: usize,
    /// Every shop but the lost cause buys every app.
    pub apps: usize,
    /// The lost cause buys so many: its circuit is open, so that they die one attempt after the other.
    pub lost_sales: usize,
    /// Every shop installs so many hosted apps.
    pub hosted: usize,
    /// Seconds after each failed attempt; longer in sum than any receiver is bad.
    pub schedule: Vec<u64>,
    /// So long everything may take to be settled after the last fault.
    pub patience: Duration,
}

impl Form {
    /// For `cargo xtask chaos`.
    #[must_use]
    pub fn long(length: Duration) -> Self {
        let sales = usize::try_from(length.as_secs() * 2).unwrap_or(usize::MAX).max(60);
        Self {
            length,
            gap: (Duration::from_millis(500), Duration::from_millis(2_500)),
            scale: 1.0,
            shops: 31,
            apps: sales.div_ceil(30),
            lost_sales: 5,
            hosted: 4,
            schedule: vec![1, 1, 2, 3, 4, 5, 6, 7, 8, 8],
            patience: Duration::from_mins(5),
        }
    }

    /// For the tests.
    #[must_use]
    pub fn short() -> Self {
        Self {
            length: Duration::from_secs(12),
            gap: (Duration::from_millis(300), Duration::from_millis(1_100)),
            scale: 0.25,
            shops: 9,
            apps: 6,
            lost_sales: 2,
            hosted: 2,
            schedule: vec![1, 1, 2, 2, 3, 3],
            patience: Duration::from_mins(3),
        }
    }

    /// Every pair of a shop and an app that is sold, in the order of the seed.
    #[must_use]
    pub fn sales(&self, seed: u64) -> Vec<(usize, usize)> {
        let good = (0..self.shops).filter(|shop| *shop != LOST_CAUSE);
        let mut sales: Vec<_> = good.flat_map(|shop| (0..self.apps).map(move |app| (shop, app))).collect();
        sales.extend((0..self.lost_sales.min(self.apps)).map(|app| (LOST_CAUSE, app)));
        Dice::new(!seed).shuffle(&mut sales);
        sales
    }

    /// The faults of a seed.
    #[must_use]
    pub fn plan(&self, seed: u64) -> Vec<Planned> {
        Planner { form: self, dice: Dice::new(seed), deck: Vec::new(), busy: BTreeMap::new() }.plan()
    }
}

/// What comes as often as any other; a deck of these is dealt before the next is shuffled.
#[derive(Debug, Clone, Copy)]
enum Card {
    Kill(Instance),
    Freeze(Instance),
    KillServer(Server),
    StopServer(Server),
    FreezeServer(Server),
    FillDisk,
    Link,
    AllLinks(Server),
    Receiver(Mood),
    Clock,
    StoreClock,
}

/// After its end, a subject is left alone for so long.
const REST: Duration = Duration::from_secs(2);
/// A step of a clock within the five minutes for which a signature is good, on both sides.
const LONGEST_STEP: Duration = Duration::from_mins(1);

struct Planner<'a> {
    form: &'a Form,
    dice: Dice,
    deck: Vec<Card>,
    busy: BTreeMap<Subject, Duration>,
}

impl Planner<'_> {
    fn plan(mut self) -> Vec<Planned> {
        let (least, most) = self.form.gap;
        let mut plan = Vec::new();
        let mut at = self.dice.between(least, most);
        while at < self.form.length {
            plan.extend(self.next(at));
            at += self.dice.between(least, most);
        }
        plan
    }

    /// The first of the next cards whose subject is free; nothing where all hands are full.
    fn next(&mut self, at: Duration) -> Option<Planned> {
        for _ in 0..8 {
            let card = self.deal();
            let fault = self.fault(card);
            let lasts = self.lasts(&fault).min(self.form.length.saturating_sub(at));
            let subjects = fault.subjects();
            if subjects.iter().all(|subject| self.busy.get(subject).is_none_or(|until| *until <= at)) {
                let until = at + lasts + REST.mul_f64(self.form.scale);
                self.busy.extend(subjects.into_iter().map(|subject| (subject, until)));
                return Some(Planned { at, lasts, fault });
            }
        }
        None
    }

    fn deal(&mut self) -> Card {
        if self.deck.is_empty() {
            self.deck = deck();
            self.dice.shuffle(&mut self.deck);
        }
        self.deck.pop().unwrap_or(Card::Link)
    }

    fn fault(&mut self, card: Card) -> Fault {
        match card {
            Card::Kill(instance) => Fault::Kill(instance),
            Card::Freeze(instance) => Fault::Freeze(instance),
            Card::KillServer(server) => Fault::KillServer(server),
            Card::StopServer(server) => Fault::StopServer(server),
            Card::FreezeServer(server) => Fault::FreezeServer(server),
            Card::FillDisk => Fault::FillDisk,
            Card::Link => self.link(),
            Card::AllLinks(server) => Fault::AllLinks(server, self.weather()),
            Card::Receiver(mood) => Fault::Receiver(self.good_shop(), mood),
            Card::Clock => {
                let whose = self.dice.pick(&Instance::ALL, Instance::Dispatcher);
                Fault::Clock(Timepiece::Of(whose), self.step())
            }
            Card::StoreClock => Fault::Clock(Timepiece::Store, self.step()),
        }
    }

    fn link(&mut self) -> Fault {
        let instance = self.dice.pick(&Instance::ALL, Instance::Dispatcher);
        let server = self.dice.pick(&instance.servers(), Server::Nats);
        Fault::Link(instance, server, self.weather())
    }

    fn weather(&mut self) -> Weather {
        let slow = self.dice.between(Duration::from_millis(20), Duration::from_millis(250));
        self.dice.pick(&[Weather::Cut, Weather::Stalled, Weather::Slow(slow)], Weather::Cut)
    }

    fn good_shop(&mut self) -> usize {
        LOST_CAUSE + 1 + self.dice.below(self.form.shops - 1)
    }

    fn step(&mut self) -> i64 {
        let longest = LONGEST_STEP.mul_f64(self.form.scale.powi(2));
        let step = self.dice.between(Duration::from_millis(500), longest).as_millis();
        let step = i64::try_from(step).unwrap_or(0);
        if self.dice.coin() { step } else { -step }
    }

    /// What others wait for ends within a lease or an acknowledgement's wait, and beyond it.
    fn lasts(&mut self, fault: &Fault) -> Duration {
        let (least, most) = match fault {
            Fault::Kill(_) | Fault::KillServer(_) | Fault::StopServer(_) => (0, 4_000),
            Fault::Freeze(Instance::License) => (1_000, 35_000),
            Fault::Freeze(Instance::Dispatcher | Instance::SecondDispatcher) => (1_000, 20_000),
            Fault::Freeze(_) | Fault::FreezeServer(_) | Fault::FillDisk => (1_000, 10_000),
            Fault::Link(_, _, Weather::Cut) | Fault::AllLinks(_, Weather::Cut) => (300, 6_000),
            Fault::Link(..) | Fault::AllLinks(..) => (1_000, 15_000),
            Fault::Receiver(..) => (2_000, 20_000),
            Fault::Clock(..) => (3_000, 15_000),
        };
        let lasts = self.dice.between(Duration::from_millis(least), Duration::from_millis(most));
        Duration::from_millis(u64::try_from(lasts.mul_f64(self.form.scale).as_millis()).unwrap_or(0))
    }
}

fn deck() -> Vec<Card> {
    let mut deck = vec![
        Card::FreezeServer(Server::Nats),
        Card::FreezeServer(Server::Valkey),
        Card::FillDisk,
        Card::Clock,
        Card::Clock,
        Card::StoreClock,
        Card::AllLinks(Server::Postgres),
        Card::AllLinks(Server::Nats),
    ];
    deck.extend(Instance::ALL.iter().flat_map(|one| [Card::Kill(*one), Card::Freeze(*one)]));
    deck.extend(Server::ALL.iter().flat_map(|one| [Card::KillServer(*one), Card::StopServer(*one)]));
    deck.extend([Card::Link; 6]);
    deck.extend(Mood::BAD.iter().map(|mood| Card::Receiver(*mood)));
    deck
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_seed_decides_the_plan_and_another_decides_another() {
        let form = Form::long(Duration::from_mins(10));
        assert_eq!(form.plan(1), form.plan(1));
        assert_ne!(form.plan(1), form.plan(2));
        assert_ne!(form.sales(1), form.sales(2));
    }

    #[test]
    fn ten_minutes_hold_every_kind_of_fault() {
        let plan = Form::long(Duration::from_mins(10)).plan(3);
        let kinds: BTreeSet<String> = plan.iter().map(|planned| planned.fault.kind()).collect();
        assert!(plan.len() > 250, "{}", plan.len());
        assert!(kinds.len() >= 35, "{kinds:#?}");
    }

    #[test]
    fn every_pair_is_sold_once() {
        let form = Form::short();
        let sales = form.sales(1);
        assert_eq!(sales.iter().collect::<BTreeSet<_>>().len(), sales.len());
        assert_eq!(sales.len(), 8 * 6 + 2);
    }

    #[test]
    fn no_receiver_is_bad_for_as_long_as_a_delivery_lives() {
        for form in [Form::short(), Form::long(Duration::from_mins(10))] {
            let lives = Duration::from_secs(form.schedule.iter().sum()).mul_f64(0.8);
            assert!(Duration::from_secs(20).mul_f64(form.scale) < lives);
        }
    }

    proptest! {
        #[test]
        fn no_two_faults_are_on_one_subject_at_once_and_all_end_in_time(seed: u64) {
            let form = Form::long(Duration::from_mins(2));
            let mut free_at: BTreeMap<Subject, Duration> = BTreeMap::new();
            for planned in form.plan(seed) {
                let until = planned.at + planned.lasts;
                prop_assert!(until <= form.length);
                for subject in planned.fault.subjects() {
                    let before = free_at.insert(subject, until);
                    prop_assert!(before.is_none_or(|before| before < planned.at));
                }
                if let Fault::Receiver(shop, _) = planned.fault {
                    prop_assert!(shop != LOST_CAUSE && shop < form.shops);
                }
            }
        }
    }
}
