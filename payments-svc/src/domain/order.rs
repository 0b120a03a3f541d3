//! An order and its life.
//!
//! Stripe promises no order of its events and repeats them, so the states are ranked and an order only ever moves to a
//! higher one: whatever the order and the number of the events, it ends in the same state, and `paid` is never undone.
//! Only the clock that lets an order go is ours, so `expired` ranks below what Stripe says of money: a session that
//! expired at Stripe is never completed, and if one is, it was we who had given it up.

use std::str::FromStr;

/// Prices are in euro (manifest: `price_eur`).
pub const CURRENCY: &str = "eur";

/// How long after its page's end an order is kept for what Stripe still has to say: a buyer may have paid in the last
/// second, and Stripe repeats an event that was not taken after some minutes.
const GRACE_MS: i64 = 10 * 60 * 1000;

/// Where an order stands. Later ones outrank earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Committed; Stripe has not answered yet.
    Created,
    /// It has a payment page.
    Open,
    /// Nobody paid in time.
    Expired,
    /// The buyer is done; the money is under way.
    Processing,
    /// Stripe refused it, or the money never came.
    Failed,
    /// Paid.
    Paid,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Created, Self::Open, Self::Expired, Self::Processing, Self::Failed, Self::Paid];

    /// As it is stored, sent and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Open => "open",
            Self::Processing => "processing",
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Paid => "paid",
        }
    }

    /// Whether money may still come for it, so that a second order of the same app would be one too many.
    #[must_use]
    pub fn is_live(self) -> bool {
        matches!(self, Self::Created | Self::Open | Self::Processing)
    }
}

/// Not the name of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a state is one of created, open, processing, expired, failed, paid")]
pub struct UnknownState;

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(UnknownState)
    }
}

/// The payment page at Stripe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// `cs_…`
    pub id: String,
    /// Where the buyer pays.
    pub url: String,
}

/// A sum that is not the order's was paid for it: nothing is issued until the operator has looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Stripe's event that told of it.
    pub event_id: String,
    /// The subtotal that was paid, where Stripe named one.
    pub amount_cents: Option<i64>,
    /// Its currency, where Stripe named one.
    pub currency: Option<String>,
    /// When it was noted, Unix milliseconds.
    pub noted_at_ms: i64,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// `ord_…`
    pub id: String,
    /// The buying shop.
    pub instance_id: String,
    /// `@vendor/name`
    pub marketplace_id: String,
    /// The release that was bought.
    pub version: String,
    /// The app's name, as the buyer reads it on the payment page.
    pub product_name: String,
    /// The catalogue's price.
    pub amount_cents: i64,
    /// Three lower-case letters.
    pub currency: String,
    /// Where it stands.
    pub state: State,
    /// Grows with each change.
    pub revision: u32,
    /// Its payment page, once Stripe has answered.
    pub session: Option<Session>,
    /// Until when it can be paid, Unix milliseconds.
    pub payable_until_ms: i64,
    /// `pi_…`, once Stripe has named it: what the operator looks up at Stripe.
    pub payment_intent_id: Option<String>,
    /// What was paid instead.
    pub mismatch: Option<Mismatch>,
    /// Unix milliseconds.
    pub created_at_ms: i64,
    /// Unix milliseconds.
    pub updated_at_ms: i64,
}

/// What one of Stripe's events says about an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum News {
    /// `checkout.session.completed` (paid or nothing to pay), `checkout.session.async_payment_succeeded`.
    Paid,
    /// `checkout.session.completed`, unpaid: the money comes later.
    Processing,
    /// `checkout.session.async_payment_failed`.
    Failed,
    /// `checkout.session.expired`.
    Expired,
}

/// An event about one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Stripe's `evt_…`.
    pub event_id: String,
    /// What it says.
    pub news: News,
    /// The session's subtotal: before discounts and taxes, which are between Stripe and the operator.
    pub amount_cents: Option<i64>,
    /// The session's currency.
    pub currency: Option<String>,
    /// `pi_…`
    pub payment_intent_id: Option<String>,
}

/// What came of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The order is paid now, and was not before: to be announced.
    Paid,
    /// The order moved on.
    Moved,
    /// The order had come further already.
    Stale,
    /// What was paid is not what was asked: the operator must look.
    Mismatch,
    /// Money is under way for an order that was let go, and another one has its place: money may come for both.
    Crowded,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Paid, Self::Moved, Self::Stale, Self::Mismatch, Self::Crowded];

    /// For metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Paid => "paid",
            Self::Moved => "moved",
            Self::Stale => "stale",
            Self::Mismatch => "mismatch",
            Self::Crowded => "crowded",
        }
    }
}

impl Order {
    /// Stripe has made a payment page. What was heard about it meanwhile is kept.
    #[must_use]
    pub fn opened(mut self, session: Session, payable_until_ms: i64, now_ms: i64) -> Self {
        self.session = Some(session);
        self.payable_until_ms = payable_until_ms;
        self.moved_to(State::Open, now_ms).0
    }

    /// Stripe refused to make a payment page.
    #[must_use]
    pub fn refused(self, now_ms: i64) -> Self {
        self.moved_to(State::Failed, now_ms).0
    }

    /// Its time is up, by our clock; Stripe's own word for it may still be on its way.
    #[must_use]
    pub fn timed_out(self, now_ms: i64) -> Self {
        self.moved_to(State::Expired, now_ms).0
    }

    /// Takes one of Stripe's events.
    #[must_use]
    pub fn heard(mut self, heard: &Heard, now_ms: i64) -> (Self, Outcome) {
        self.note_payment_intent(heard);
        if heard.news == News::Paid && !self.is_owed(heard) {
            return (self.mismatched(heard, now_ms), Outcome::Mismatch);
        }
        let state = match heard.news {
            News::Paid => State::Paid,
            News::Processing => State::Processing,
            News::Failed => State::Failed,
            News::Expired => State::Expired,
        };
        let (order, moved) = self.moved_to(state, now_ms);
        let outcome = match (moved, state) {
            (true, State::Paid) => Outcome::Paid,
            (true, _) => Outcome::Moved,
            (false, _) => Outcome::Stale,
        };
        (order, outcome)
    }

    /// Whether this event makes an order live again that was let go.
    #[must_use]
    pub fn is_revived_by(&self, heard: &Heard) -> bool {
        self.state == State::Expired && heard.news == News::Processing
    }

    /// Takes such an event where another order is live by now: this one cannot be. If its money comes, it is paid.
    #[must_use]
    pub fn crowded(mut self, heard: &Heard) -> (Self, Outcome) {
        self.note_payment_intent(heard);
        (self, Outcome::Crowded)
    }

    /// Whether a payment page may be answered for it now.
    #[must_use]
    pub fn is_payable(&self, now_ms: i64) -> bool {
        matches!(self.state, State::Created | State::Open) && now_ms < self.payable_until_ms
    }

    /// Whether nobody can have paid it any more, as far as our clock tells, so that a fresh order may take its place.
    #[must_use]
    pub fn may_be_let_go(&self, now_ms: i64) -> bool {
        matches!(self.state, State::Created | State::Open) && now_ms >= self.payable_until_ms + GRACE_MS
    }

    fn note_payment_intent(&mut self, heard: &Heard) {
        if self.payment_intent_id.is_none() {
            self.payment_intent_id.clone_from(&heard.payment_intent_id);
        }
    }

    fn is_owed(&self, heard: &Heard) -> bool {
        heard.amount_cents == Some(self.amount_cents)
            && heard.currency.as_deref().is_some_and(|currency| currency.eq_ignore_ascii_case(&self.currency))
    }

    fn mismatched(mut self, heard: &Heard, now_ms: i64) -> Self {
        if self.mismatch.is_none() {
            self.mismatch = Some(Mismatch {
                event_id: heard.event_id.clone(),
                amount_cents: heard.amount_cents,
                currency: heard.currency.clone(),
                noted_at_ms: now_ms,
            });
            self.touch(now_ms);
        }
        self
    }

    fn moved_to(mut self, state: State, now_ms: i64) -> (Self, bool) {
        let moves = state > self.state;
        if moves {
            self.state = state;
            self.touch(now_ms);
        }
        (self, moves)
    }

    fn touch(&mut self, now_ms: i64) {
        self.revision += 1;
        self.updated_at_ms = now_ms;
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::Index};

    use super::*;

    fn order() -> Order {
        Order {
            id: "ord_1".into(),
            instance_id: "inst_1".into(),
            marketplace_id: "@v/p".into(),
            version: "1.0.0".into(),
            product_name: "P".into(),
            amount_cents: 4900,
            currency: CURRENCY.into(),
            state: State::Created,
            revision: 1,
            session: None,
            payable_until_ms: 1_000_000,
            payment_intent_id: None,
            mismatch: None,
            created_at_ms: 0,
            updated_at_ms: 0,
        }
    }

    fn heard(news: News, amount_cents: i64) -> Heard {
        Heard {
            event_id: "evt_1".into(),
            news,
            amount_cents: Some(amount_cents),
            currency: Some("eur".into()),
            payment_intent_id: Some("pi_1".into()),
        }
    }

    /// What can happen to an order.
    #[derive(Debug, Clone)]
    enum Step {
        Opened,
        Refused,
        TimedOut,
        Heard(Heard),
    }

    fn step(order: Order, step: &Step) -> (Order, Option<Outcome>) {
        match step {
            Step::Opened => {
                (order.opened(Session { id: "cs_1".into(), url: "https://pay".into() }, 2_000_000, 1), None)
            }
            Step::Refused => (order.refused(1), None),
            Step::TimedOut => (order.timed_out(1), None),
            Step::Heard(heard) => {
                let (order, outcome) = order.heard(heard, 1);
                (order, Some(outcome))
            }
        }
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let one = prop_oneof![
            Just(Step::Opened),
            Just(Step::Refused),
            Just(Step::TimedOut),
            Just(Step::Heard(heard(News::Paid, 4900))),
            Just(Step::Heard(heard(News::Paid, 4800))),
            Just(Step::Heard(heard(News::Processing, 4900))),
            Just(Step::Heard(heard(News::Failed, 4900))),
            Just(Step::Heard(heard(News::Expired, 4900))),
        ];
        prop::collection::vec(one, 0..12)
    }

    fn run(steps: &[Step]) -> (Order, Vec<Outcome>) {
        let mut order = order();
        let mut outcomes = Vec::new();
        for one in steps {
            let (next, outcome) = step(order, one);
            order = next;
            outcomes.extend(outcome);
        }
        (order, outcomes)
    }

    proptest! {
        #[test]
        fn any_order_and_repetition_ends_the_same(
            steps in steps(),
            keys in prop::collection::vec(any::<u32>(), 12),
            again in prop::collection::vec(any::<Index>(), 0..6),
        ) {
            let (first, _) = run(&steps);
            let mut keyed: Vec<(u32, Step)> = keys.into_iter().zip(steps.clone()).collect();
            keyed.sort_by_key(|(key, _)| *key);
            let mut other: Vec<Step> = keyed.into_iter().map(|(_, step)| step).collect();
            if !steps.is_empty() {
                other.extend(again.iter().map(|at| steps[at.index(steps.len())].clone()));
            }
            let (second, _) = run(&other);
            prop_assert_eq!((first.state, first.session, first.mismatch.is_some()),
                (second.state, second.session, second.mismatch.is_some()));
            prop_assert_eq!(first.payment_intent_id, second.payment_intent_id);
        }

        #[test]
        fn paid_is_announced_once_and_never_undone(steps in steps()) {
            let is_paid = |step: &Step| matches!(step, Step::Heard(heard)
                if heard.news == News::Paid && heard.amount_cents == Some(4900));
            let (order, outcomes) = run(&steps);
            let announced = outcomes.iter().filter(|outcome| **outcome == Outcome::Paid).count();
            prop_assert_eq!(announced, usize::from(steps.iter().any(is_paid)));
            prop_assert_eq!(order.state == State::Paid, steps.iter().any(is_paid));
        }

        #[test]
        fn the_revision_grows_exactly_when_something_changed(before in steps(), one in steps()) {
            let (order, _) = run(&before);
            for one in &one {
                let old = order.clone();
                let (new, _) = step(order.clone(), one);
                let changed = (old.state, &old.mismatch) != (new.state, &new.mismatch);
                prop_assert_eq!(new.revision, old.revision + u32::from(changed));
            }
        }
    }

    #[test]
    fn another_sum_or_currency_is_a_mismatch_and_pays_nothing() {
        let dollars = Heard { currency: Some("usd".into()), ..heard(News::Paid, 4900) };
        let nothing = Heard { amount_cents: None, ..heard(News::Paid, 4900) };
        for wrong in [heard(News::Paid, 4899), dollars, nothing] {
            let (order, outcome) = order().heard(&wrong, 7);
            assert_eq!((order.state, outcome), (State::Created, Outcome::Mismatch));
            let mismatch = order.mismatch.unwrap();
            assert_eq!((mismatch.amount_cents, mismatch.noted_at_ms), (wrong.amount_cents, 7));
        }
    }

    #[test]
    fn money_that_comes_after_all_pays_a_failed_or_expired_order() {
        for order in [order().refused(1), order().timed_out(1)] {
            let (order, outcome) = order.heard(&heard(News::Paid, 4900), 2);
            assert_eq!((order.state, outcome, order.revision), (State::Paid, Outcome::Paid, 3));
        }
    }

    #[test]
    fn an_order_is_payable_until_its_time_is_up() {
        let open = order().opened(Session { id: "cs_1".into(), url: "u".into() }, 500, 1);
        assert!(open.is_payable(499) && !open.is_payable(500));
        assert!(!open.timed_out(500).is_payable(1));
    }

    #[test]
    fn an_order_is_let_go_only_minutes_after_its_time_is_up() {
        let open = order().opened(Session { id: "cs_1".into(), url: "u".into() }, 500, 1);
        assert!(!open.may_be_let_go(500) && !open.may_be_let_go(500 + GRACE_MS - 1));
        assert!(open.may_be_let_go(500 + GRACE_MS));
        let (processing, _) = open.heard(&heard(News::Processing, 4900), 2);
        assert!(!processing.may_be_let_go(i64::MAX), "its money is under way");
    }

    #[test]
    fn money_under_way_makes_an_order_live_again_that_only_our_clock_had_ended() {
        let news = heard(News::Processing, 4900);
        let gone = order().timed_out(1);
        assert!(gone.is_revived_by(&news) && !gone.is_revived_by(&heard(News::Expired, 4900)));
        assert!(!order().is_revived_by(&news) && !order().refused(1).is_revived_by(&news));
        let (live, outcome) = gone.clone().heard(&news, 2);
        assert_eq!((live.state, outcome, live.revision), (State::Processing, Outcome::Moved, 3));
        let (noted, outcome) = gone.crowded(&news);
        assert_eq!((noted.state, outcome, noted.revision), (State::Expired, Outcome::Crowded, 2));
        assert_eq!(noted.payment_intent_id.as_deref(), Some("pi_1"));
    }

    #[test]
    fn a_state_survives_its_text() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert_eq!("refunded".parse::<State>(), Err(UnknownState));
    }
}
