//! What a seed decides: every fault, its subject, its time and its length; and who buys what.

use std::{collections::BTreeMap, time::Duration};

use testkit::{proxy::Weather, relay::Manner};

use crate::{
    acts::{Act, Case},
    dice::Dice,
    fault::{Fault, Instance, Mood, Planned, Server, Subject, Timepiece, Way},
};

/// The shop that never takes anything: what it is told is dead at the end of the schedule.
pub const LOST_CAUSE: usize = 0;

/// How a buyer pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Payment {
    /// At once.
    Card,
    /// It is told twice: under way, then there.
    Debit,
}

/// Who buys what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Purchase {
    /// Which shop.
    pub shop: usize,
    /// Which app.
    pub app: usize,
    /// How it is paid.
    pub payment: Payment,
}

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
    /// The lost cause buys so many, in the first half: its circuit is open, so that they die one attempt after the other,
    /// which takes half a minute each and more.
    pub lost_sales: usize,
    /// Of so many sales, the operator acts on the licence of one.
    pub sales_per_case: usize,
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
            lost_sales: usize::try_from(length.as_secs() / 60).map_or(5, |minutes| minutes.clamp(2, 5)),
            sales_per_case: 6,
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
            sales_per_case: 5,
            hosted: 2,
            schedule: vec![1, 1, 2, 2, 3, 3],
            patience: Duration::from_mins(3),
        }
    }

    /// Every pair of a shop and an app that is sold, in the order of the seed.
    #[must_use]
    pub fn sales(&self, seed: u64) -> Vec<Purchase> {
        let good = (0..self.shops).filter(|shop| *shop != LOST_CAUSE);
        let mut pairs: Vec<_> = good.flat_map(|shop| (0..self.apps).map(move |app| (shop, app))).collect();
        let mut dice = Dice::new(!seed);
        dice.shuffle(&mut pairs);
        for app in 0..self.lost_sales.min(self.apps) {
            pairs.insert(dice.below(pairs.len() / 2), (LOST_CAUSE, app));
        }
        let paid = |(shop, app)| Purchase { shop, app, payment: dice.pick(&PAYMENTS, Payment::Card) };
        pairs.into_iter().map(paid).collect()
    }

    /// What the operator does to the licences of some of these sales, in their order: to none of the last ones, whose
    /// licences come when the faults are over, nor to those of the lost cause.
    #[must_use]
    pub fn cases(&self, seed: u64) -> Vec<Case> {
        let sales = self.sales(seed);
        let pause = self.length.div_f64(u32::try_from(sales.len().max(1)).map_or(f64::MAX, f64::from));
        let mut dice = Dice::new(!seed.rotate_left(32));
        let early = sales.iter().zip(0u32..).take(sales.len() * 3 / 4);
        let chosen =
            early.filter(|(sale, _)| sale.shop != LOST_CAUSE && dice.below(self.sales_per_case) == 0);
        let chosen: Vec<_> = chosen.map(|(sale, place)| (*sale, pause * place)).collect();
        let case = |(sale, at): (Purchase, Duration)| {
            let acts = acts(&mut dice, LONGEST_PEACE.mul_f64(self.scale));
            Case { at, shop: sale.shop, app: sale.app, acts }
        };
        chosen.into_iter().map(case).collect()
    }

    /// The faults of a seed.
    #[must_use]
    pub fn plan(&self, seed: u64) -> Vec<Planned> {
        Planner { form: self, dice: Dice::new(seed), deck: Vec::new(), busy: BTreeMap::new() }.plan()
    }
}

/// One in four pays by debit.
const PAYMENTS: [Payment; 4] = [Payment::Card, Payment::Card, Payment::Card, Payment::Debit];
/// Before each of its acts, the operator leaves a licence alone for so long at most.
const LONGEST_PEACE: Duration = Duration::from_secs(6);

/// One to four acts that follow from each other; a revocation is the last.
fn acts(dice: &mut Dice, longest: Duration) -> Vec<(Duration, Act)> {
    let (mut acts, mut stands) = (Vec::new(), true);
    for _ in 0..=dice.below(4) {
        let act = match (dice.below(6), stands) {
            (0, _) => Act::Revoke,
            (_, true) => Act::Suspend,
            (_, false) => Act::Reinstate,
        };
        acts.push((dice.between(Duration::ZERO, longest), act));
        if act == Act::Revoke {
            break;
        }
        stands = !stands;
    }
    acts
}

/// What comes as often as any other; a deck of these is dealt before the next is shuffled.
#[derive(Debug, Clone, Copy)]
enum Card {
    Kill(Instance),
    Freeze(Instance),
    KillServer(Server),
    StopServer(Server),
    AbortPostgres,
    FreezeServer(Server),
    FillDisk,
    Link,
    AllLinks(Server),
    Road(Way),
    Relay(Way, Manner),
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
            Card::AbortPostgres => Fault::AbortPostgres,
            Card::FreezeServer(server) => Fault::FreezeServer(server),
            Card::FillDisk => Fault::FillDisk,
            Card::Link => self.link(),
            Card::AllLinks(server) => Fault::AllLinks(server, self.weather()),
            Card::Road(way) => Fault::Road(way, self.weather()),
            Card::Relay(way, manner) => Fault::Relay(way, manner),
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
            Fault::Kill(_) | Fault::KillServer(_) | Fault::StopServer(_) | Fault::AbortPostgres => (0, 4_000),
            Fault::Freeze(Instance::License) => (1_000, 35_000),
            Fault::Freeze(Instance::Dispatcher | Instance::SecondDispatcher) => (1_000, 20_000),
            Fault::Freeze(_) | Fault::FreezeServer(_) | Fault::FillDisk => (1_000, 10_000),
            Fault::Link(_, _, Weather::Cut)
            | Fault::AllLinks(_, Weather::Cut)
            | Fault::Road(_, Weather::Cut) => (300, 6_000),
            Fault::Link(..) | Fault::AllLinks(..) | Fault::Road(..) | Fault::Relay(..) => (1_000, 15_000),
            Fault::Receiver(..) => (2_000, 20_000),
            Fault::Clock(..) => (3_000, 15_000),
        };
        let lasts = self.dice.between(Duration::from_millis(least), Duration::from_millis(most));
        Duration::from_millis(u64::try_from(lasts.mul_f64(self.form.scale).as_millis()).unwrap_or(0))
    }
}

fn deck() -> Vec<Card> {
    let mut deck = vec![
        Card::AbortPostgres,
        Card::FillDisk,
        Card::Clock,
        Card::Clock,
        Card::StoreClock,
        Card::AllLinks(Server::Postgres),
        Card::AllLinks(Server::Nats),
    ];
    deck.extend(Instance::ALL.iter().flat_map(|one| [Card::Kill(*one), Card::Freeze(*one)]));
    let downs = |one: &Server| [Card::KillServer(*one), Card::StopServer(*one), Card::FreezeServer(*one)];
    deck.extend(Server::ALL.iter().flat_map(downs));
    deck.extend([Card::Link; 6]);
    deck.extend(Way::ALL.map(Card::Road));
    let manners = [Manner::Refuses, Manner::LosesAnswers, Manner::Repeats];
    deck.extend(Way::ALL.iter().flat_map(|way| manners.map(|manner| Card::Relay(*way, manner))));
    deck.push(Card::Relay(Way::Events, Manner::Reorders));
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
        assert!(kinds.len() >= 48, "{kinds:#?}");
    }

    #[test]
    fn the_operator_does_only_what_can_be_done_and_not_to_the_lost_cause() {
        let form = Form::long(Duration::from_mins(10));
        let (sales, cases) = (form.sales(1), form.cases(1));
        assert_eq!(cases, form.cases(1));
        assert!(cases.len() > 100 && cases.len() < sales.len() / 4, "{}", cases.len());
        for case in &cases {
            assert_ne!(case.shop, LOST_CAUSE);
            assert!(sales.iter().any(|sale| (sale.shop, sale.app) == (case.shop, case.app)));
            let mut status = "active";
            for (_, act) in &case.acts {
                let may = match act {
                    Act::Suspend => status == "active",
                    Act::Reinstate => status == "suspended",
                    Act::Revoke => status != "revoked",
                };
                assert!(may, "{case:?}");
                status = act.status();
            }
        }
        let all: Vec<Act> = cases.iter().flat_map(|case| case.acts.iter().map(|(_, act)| *act)).collect();
        assert!(Act::ALL.iter().all(|act| all.contains(act)));
        assert!(!Form::short().cases(1).is_empty());
    }

    #[test]
    fn some_pay_by_card_and_some_by_debit() {
        let sales = Form::short().sales(1);
        let by_debit = sales.iter().filter(|sale| sale.payment == Payment::Debit).count();
        assert!(by_debit > 3 && by_debit < sales.len() / 2, "{by_debit}");
    }

    #[test]
    fn every_pair_is_sold_once() {
        let form = Form::short();
        let sales = form.sales(1);
        assert_eq!(sales.iter().collect::<BTreeSet<_>>().len(), sales.len());
        assert_eq!(sales.len(), 8 * 6 + 2);
        assert_eq!(sales[..25].iter().filter(|sale| sale.shop == LOST_CAUSE).count(), 2);
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
