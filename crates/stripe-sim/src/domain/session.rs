//! A checkout session's life. Each transition consumes the session and gives the next one, with the events it causes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::checkout::{Mode, SESSION_PLACEHOLDER, Terms};
use super::error::ApiError;
use super::ids::Mint;
use super::objects;
use super::payment::{Dispute, Payment, Recurring, Refund};

/// Where a session stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Stage {
    /// The buyer may pay; a card may have been declined already.
    Open {
        /// The last declined try.
        declined: Option<Payment>,
    },
    /// Done by the buyer; the money is under way.
    Processing {
        /// The payment under way.
        payment: Payment,
    },
    /// Paid.
    Paid {
        /// The payment.
        payment: Payment,
    },
    /// Done, and nothing was to be paid.
    Free,
    /// Done by the buyer, but the money never came.
    Failed {
        /// The payment that failed.
        payment: Payment,
    },
    /// Nobody paid in time.
    Expired {
        /// The last declined try.
        declined: Option<Payment>,
    },
}

/// A checkout session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// `cs_test_…`
    pub id: String,
    /// The pay page.
    pub url: String,
    /// Unix time.
    pub created: i64,
    /// What it was created with.
    pub terms: Terms,
    /// Where it stands.
    pub stage: Stage,
    /// The subscription that began with it.
    pub recurring: Option<Recurring>,
}

/// What can happen to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// The buyer pays by card.
    Pay,
    /// The buyer's card is declined.
    Decline,
    /// The buyer pays by a method that settles later.
    PayLater,
    /// The delayed payment arrives.
    Settle,
    /// The delayed payment fails.
    Fail,
    /// The time is up, or the merchant ends it.
    Expire,
    /// The merchant gives back this much, or all that is left.
    Refund(Option<u64>),
    /// The buyer's bank contests the charge for this reason.
    Dispute {
        /// Stripe's word for the reason.
        reason: String,
        /// An inquiry only (`warning_…`): no money is withdrawn.
        inquiry: bool,
    },
    /// The dispute ends with this status.
    CloseDispute(String),
}

/// An event to be announced: its type and its `data.object`.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    /// Such as `checkout.session.completed`.
    pub kind: &'static str,
    /// The object as it is after the event.
    pub object: Value,
}

type Outcome = Result<(Session, Vec<News>), ApiError>;

impl Session {
    /// A fresh session; `public_url` is where the pay pages are.
    #[must_use]
    pub fn open(terms: Terms, public_url: &str, now: i64, mint: &mut Mint<'_>) -> Self {
        let id = mint.id("cs_test_a1");
        let url = format!("{}/pay/{id}", public_url.trim_end_matches('/'));
        Self { id, url, created: now, terms, stage: Stage::Open { declined: None }, recurring: None }
    }

    /// `open`, `complete` or `expired`.
    #[must_use]
    pub fn status(&self) -> &'static str {
        match self.stage {
            Stage::Open { .. } => "open",
            Stage::Expired { .. } => "expired",
            _ => "complete",
        }
    }

    /// `unpaid`, `paid` or `no_payment_required`.
    #[must_use]
    pub fn payment_status(&self) -> &'static str {
        match self.stage {
            Stage::Paid { .. } => "paid",
            Stage::Free => "no_payment_required",
            _ => "unpaid",
        }
    }

    /// The payment, at whatever stage it is.
    #[must_use]
    pub fn payment(&self) -> Option<&Payment> {
        match &self.stage {
            Stage::Open { declined } | Stage::Expired { declined } => declined.as_ref(),
            Stage::Processing { payment } | Stage::Paid { payment } | Stage::Failed { payment } => {
                Some(payment)
            }
            Stage::Free => None,
        }
    }

    /// Where the buyer goes after paying.
    #[must_use]
    pub fn return_url(&self) -> String {
        self.terms.success_url.replace(SESSION_PLACEHOLDER, &self.id)
    }

    /// Does this act at this Unix time.
    pub fn apply(self, act: Act, now: i64, mint: &mut Mint<'_>) -> Outcome {
        match act {
            Act::Pay => self.pay(now, mint),
            Act::Decline => self.decline(now, mint),
            Act::PayLater => self.pay_later(now, mint),
            Act::Settle => self.settle(mint),
            Act::Fail => self.fail(),
            Act::Expire => self.expire(),
            Act::Refund(amount) => self.refund(amount, now, mint),
            Act::Dispute { reason, inquiry } => self.dispute(reason, inquiry, now, mint),
            Act::CloseDispute(status) => self.close_dispute(status),
        }
    }

    fn pay(mut self, now: i64, mint: &mut Mint<'_>) -> Outcome {
        let declined = self.take_open("paid")?;
        if self.terms.total() == 0 {
            self.stage = Stage::Free;
            let mut news = self.begin_subscription(mint);
            news.push(self.about("checkout.session.completed"));
            return Ok((self, news));
        }
        let first = declined.is_none();
        let payment = Payment::attempt(declined, false, now, mint);
        self.stage = Stage::Paid { payment };
        let mut news = self.created_intent(first);
        news.extend([self.about_charge("charge.succeeded"), self.about_intent("payment_intent.succeeded")]);
        news.extend(self.begin_subscription(mint));
        news.push(self.about("checkout.session.completed"));
        Ok((self, news))
    }

    fn decline(mut self, now: i64, mint: &mut Mint<'_>) -> Outcome {
        let declined = self.take_open("declined")?;
        if self.terms.total() == 0 {
            return Err(ApiError::invalid("Nothing is to be paid here, so no card can be declined."));
        }
        let first = declined.is_none();
        self.stage = Stage::Open { declined: Some(Payment::attempt(declined, false, now, mint)) };
        let mut news = self.created_intent(first);
        news.extend([self.about_charge("charge.failed"), self.about_intent("payment_intent.payment_failed")]);
        Ok((self, news))
    }

    fn pay_later(mut self, now: i64, mint: &mut Mint<'_>) -> Outcome {
        let declined = self.take_open("paid")?;
        if self.terms.total() == 0 {
            return Err(ApiError::invalid("Nothing is to be paid here, so nothing can be paid later."));
        }
        let first = declined.is_none();
        self.stage = Stage::Processing { payment: Payment::attempt(declined, true, now, mint) };
        let mut news = self.created_intent(first);
        news.extend([
            self.about_charge("charge.pending"),
            self.about_intent("payment_intent.processing"),
            self.about("checkout.session.completed"),
        ]);
        Ok((self, news))
    }

    fn settle(mut self, mint: &mut Mint<'_>) -> Outcome {
        let Stage::Processing { payment } = self.stage else { return Err(not_waiting("settle")) };
        self.stage = Stage::Paid { payment };
        let mut news =
            vec![self.about_charge("charge.succeeded"), self.about_intent("payment_intent.succeeded")];
        news.extend(self.begin_subscription(mint));
        news.push(self.about("checkout.session.async_payment_succeeded"));
        Ok((self, news))
    }

    fn fail(mut self) -> Outcome {
        let Stage::Processing { payment } = self.stage else { return Err(not_waiting("fail")) };
        self.stage = Stage::Failed { payment };
        let news = vec![
            self.about_charge("charge.failed"),
            self.about_intent("payment_intent.payment_failed"),
            self.about("checkout.session.async_payment_failed"),
        ];
        Ok((self, news))
    }

    fn expire(mut self) -> Outcome {
        let declined = self.take_open("expired")?;
        self.stage = Stage::Expired { declined };
        let news = vec![self.about("checkout.session.expired")];
        Ok((self, news))
    }

    fn refund(mut self, amount: Option<u64>, now: i64, mint: &mut Mint<'_>) -> Outcome {
        let total = self.terms.total();
        let payment = self.paid_mut()?;
        let left = total - payment.refunded();
        let amount = amount.unwrap_or(left);
        if left == 0 {
            return Err(
                ApiError::invalid("The charge has already been refunded.").coded("charge_already_refunded")
            );
        }
        if amount == 0 || amount > left {
            return Err(ApiError::invalid(format!(
                "A refund is at least 1 and at most {left}, what is left of the charge."
            ))
            .at("amount"));
        }
        payment.refunds.push(Refund { id: mint.id("re_"), amount, created: now });
        let news = vec![self.about_charge("charge.refunded")];
        Ok((self, news))
    }

    fn dispute(mut self, reason: String, inquiry: bool, now: i64, mint: &mut Mint<'_>) -> Outcome {
        let payment = self.paid_mut()?;
        if payment.dispute.is_some() {
            return Err(
                ApiError::invalid("This charge is already disputed.").coded("charge_already_disputed")
            );
        }
        let status = if inquiry { "warning_needs_response" } else { "needs_response" }.to_owned();
        payment.dispute = Some(Dispute { id: mint.id("dp_"), reason, status, created: now });
        let news = self.about_dispute("charge.dispute.created");
        Ok((self, news))
    }

    fn close_dispute(mut self, status: String) -> Outcome {
        let payment = self.paid_mut()?;
        let open = payment.dispute.as_mut().filter(|dispute| dispute.status.ends_with("needs_response"));
        let Some(dispute) = open else {
            return Err(ApiError::invalid("This charge has no open dispute: create one first."));
        };
        dispute.status = status;
        let news = self.about_dispute("charge.dispute.closed");
        Ok((self, news))
    }

    /// Checks that the session is open, and takes the last declined try out of it.
    fn take_open(&mut self, participle: &str) -> Result<Option<Payment>, ApiError> {
        match &mut self.stage {
            Stage::Open { declined } => Ok(declined.take()),
            _ => Err(ApiError::invalid(format!(
                "Only Checkout Sessions with a status in [\"open\"] can be {participle}. This Session has a status of {}.",
                self.status()
            ))),
        }
    }

    fn paid_mut(&mut self) -> Result<&mut Payment, ApiError> {
        match &mut self.stage {
            Stage::Paid { payment } => Ok(payment),
            _ => Err(ApiError::invalid("This Checkout Session has no charge that succeeded: pay it first.")),
        }
    }

    fn begin_subscription(&mut self, mint: &mut Mint<'_>) -> Vec<News> {
        if self.terms.mode != Mode::Subscription {
            return Vec::new();
        }
        let ids =
            Recurring { subscription: mint.id("sub_"), invoice: mint.id("in_"), customer: mint.id("cus_") };
        let news = vec![
            News { kind: "customer.subscription.created", object: objects::subscription(self, &ids) },
            News { kind: "invoice.paid", object: objects::invoice(self, &ids) },
        ];
        self.recurring = Some(ids);
        news
    }

    fn created_intent(&self, first: bool) -> Vec<News> {
        let fresh = self.payment().filter(|_| first);
        fresh
            .map(|payment| News {
                kind: "payment_intent.created",
                object: objects::fresh_intent(self, payment),
            })
            .into_iter()
            .collect()
    }

    fn about(&self, kind: &'static str) -> News {
        News { kind, object: objects::session(self) }
    }

    fn about_charge(&self, kind: &'static str) -> News {
        News { kind, object: self.payment().map_or(Value::Null, |payment| objects::charge(self, payment)) }
    }

    fn about_intent(&self, kind: &'static str) -> News {
        News {
            kind,
            object: self.payment().map_or(Value::Null, |payment| objects::payment_intent(self, payment)),
        }
    }

    fn about_dispute(&self, kind: &'static str) -> Vec<News> {
        let dispute = self.payment().and_then(|payment| Some((payment, payment.dispute.as_ref()?)));
        dispute
            .map(|(payment, dispute)| News { kind, object: objects::dispute(self, payment, dispute) })
            .into_iter()
            .collect()
    }
}

fn not_waiting(verb: &str) -> ApiError {
    ApiError::invalid(format!("There is no delayed payment under way to {verb}: choose \"pay later\" first."))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::checkout::tests::{FORM, NOW, parse};
    use super::super::ids::tests::counting;
    use super::*;

    fn run(form: &str, acts: &[Act]) -> Outcome {
        let mut random = counting();
        let mut mint = Mint::new(&mut random);
        let mut session = Session::open(parse(form).unwrap(), "http://sim", NOW, &mut mint);
        let mut news = Vec::new();
        for act in acts {
            (session, news) = session.apply(act.clone(), NOW, &mut mint)?;
        }
        Ok((session, news))
    }

    fn kinds(news: &[News]) -> Vec<&str> {
        news.iter().map(|item| item.kind).collect()
    }

    #[test]
    fn paying_completes_the_session() {
        let (session, news) = run(FORM, &[Act::Pay]).unwrap();
        assert_eq!((session.status(), session.payment_status()), ("complete", "paid"));
        assert_eq!(
            kinds(&news),
            [
                "payment_intent.created",
                "charge.succeeded",
                "payment_intent.succeeded",
                "checkout.session.completed"
            ]
        );
        let completed = &news[3].object;
        assert_eq!(completed["amount_total"], 4900);
        assert_eq!(completed["payment_status"], "paid");
        assert_eq!(completed["payment_intent"], session.payment().unwrap().intent.as_str());
        assert!(session.return_url().ends_with(&format!("?s={}", session.id)));
    }

    #[test]
    fn a_declined_card_leaves_it_open_and_the_intent_the_same() {
        let (declined, news) = run(FORM, &[Act::Decline]).unwrap();
        assert_eq!(declined.status(), "open");
        assert_eq!(
            kinds(&news),
            ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]
        );
        assert_eq!(news[2].object["last_payment_error"]["code"], "card_declined");
        let (paid, news) = run(FORM, &[Act::Decline, Act::Pay]).unwrap();
        assert_eq!(paid.payment().unwrap().intent, declined.payment().unwrap().intent);
        assert!(!kinds(&news).contains(&"payment_intent.created"));
    }

    #[test]
    fn paying_later_settles_or_fails() {
        let (waiting, news) = run(FORM, &[Act::PayLater]).unwrap();
        assert_eq!((waiting.status(), waiting.payment_status()), ("complete", "unpaid"));
        assert_eq!(news.last().unwrap().object["payment_status"], "unpaid");
        let (settled, news) = run(FORM, &[Act::PayLater, Act::Settle]).unwrap();
        assert_eq!(settled.payment_status(), "paid");
        assert_eq!(news.last().unwrap().kind, "checkout.session.async_payment_succeeded");
        let (failed, news) = run(FORM, &[Act::PayLater, Act::Fail]).unwrap();
        assert_eq!((failed.status(), failed.payment_status()), ("complete", "unpaid"));
        assert_eq!(news.last().unwrap().kind, "checkout.session.async_payment_failed");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for acts in [
            &[Act::Pay, Act::Pay][..],
            &[Act::Expire, Act::Pay],
            &[Act::Pay, Act::Expire],
            &[Act::Settle],
            &[Act::Pay, Act::Fail],
            &[Act::Refund(None)],
            &[Act::Pay, Act::Refund(Some(4901))],
            &[Act::Pay, Act::Refund(None), Act::Refund(None)],
            &[Act::Pay, Act::CloseDispute("won".into())],
        ] {
            assert_eq!(run(FORM, acts).unwrap_err().status, 400, "{acts:?}");
        }
    }

    #[test]
    fn a_free_purchase_needs_no_payment() {
        let free = FORM.replace("unit_amount]=4900", "unit_amount]=0");
        let (session, news) = run(&free, &[Act::Pay]).unwrap();
        assert_eq!(session.payment_status(), "no_payment_required");
        assert_eq!(kinds(&news), ["checkout.session.completed"]);
        assert!(news[0].object["payment_intent"].is_null());
        assert!(run(&free, &[Act::Decline]).is_err());
    }

    #[test]
    fn a_partial_refund_leaves_the_charge_unrefunded() {
        let (_, news) = run(FORM, &[Act::Pay, Act::Refund(Some(1000))]).unwrap();
        assert_eq!(
            (&news[0].object["amount_refunded"], &news[0].object["refunded"]),
            (&1000.into(), &false.into())
        );
        let (_, news) = run(FORM, &[Act::Pay, Act::Refund(Some(1000)), Act::Refund(None)]).unwrap();
        assert_eq!(
            (&news[0].object["amount_refunded"], &news[0].object["refunded"]),
            (&4900.into(), &true.into())
        );
    }

    #[test]
    fn a_dispute_opens_and_closes() {
        let open = Act::Dispute { reason: "fraudulent".into(), inquiry: false };
        let (session, news) = run(FORM, &[Act::Pay, open, Act::CloseDispute("lost".into())]).unwrap();
        assert_eq!(news[0].kind, "charge.dispute.closed");
        assert_eq!(news[0].object["status"], "lost");
        assert_eq!(news[0].object["charge"], session.payment().unwrap().charge.as_str());
    }

    #[test]
    fn a_subscription_brings_its_invoice() {
        let form = FORM
            .replace("mode=payment", "mode=subscription")
            .replace("payment_intent_data", "subscription_data")
            + "&line_items[0][price_data][recurring][interval]=month";
        let (session, news) = run(&form, &[Act::Pay]).unwrap();
        let ids = session.recurring.as_ref().unwrap();
        assert!(kinds(&news).contains(&"invoice.paid"));
        assert_eq!(news.last().unwrap().object["subscription"], ids.subscription.as_str());
        assert_eq!(news[3].object["metadata"]["order"], "ord_1");
    }
}
