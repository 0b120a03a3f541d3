//! A purchase begins: the order is committed, then Stripe is asked for a payment page, then the page is kept.
//!
//! No transaction is held while Stripe answers. A crash between two steps leaves an order in state `created`; the next
//! call for it repeats the call to Stripe under the same idempotency key, the order's id, and gets the same page.

use platform::{AppError, AppResult, Principal, clock::millis, db::Tx, secret};

use super::{App, EMAIL};
use crate::{
    domain::{
        order::{CURRENCY, Order, State},
        purchase::{Purchase, PurchaseError},
    },
    store::{
        keys,
        orders::{self, Stored},
    },
    stripe::{OpenedSession, StripeError},
};

/// What the parameters of a call with an idempotency key are sealed for.
const PARAMETERS: &str = "idempotency_key.parameters";

/// An order that can no longer be opened is replaced by a fresh one, which can.
const ORDERS_TRIED: usize = 2;

/// A payment page of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenSession {
    pub(crate) order_id: String,
    pub(crate) url: String,
    pub(crate) expires_at_ms: i64,
}

impl App {
    /// The payment page for a purchase; the same one again while it can still be paid.
    pub(crate) async fn create_session(
        &self,
        principal: &Principal,
        purchase: Purchase,
    ) -> AppResult<OpenSession> {
        let purchase = admitted(principal, purchase)?;
        for _ in 0..ORDERS_TRIED {
            let stored = self.place(&purchase).await?;
            if let Some(session) = session_of(&stored.order) {
                return Ok(session);
            }
            if let Some(session) = self.open(stored).await? {
                return Ok(session);
            }
        }
        Err(busy())
    }

    /// The order of this purchase, committed.
    async fn place(&self, purchase: &Purchase) -> AppResult<Stored> {
        let now_ms = self.clock.now_ms();
        let tx = self.db.begin().await?;
        let stored = if let Some(remembered) = self.find_remembered(&tx, purchase, now_ms).await? {
            remembered
        } else {
            let stored = self.find_live_or_create(&tx, purchase, now_ms).await?;
            self.remember(&tx, purchase, stored, now_ms).await?
        };
        refuse_second_payment(&tx, purchase, &stored.order).await?;
        tx.commit().await?;
        Ok(stored)
    }

    /// The order that this purchase's idempotency key led to before.
    async fn find_remembered(&self, tx: &Tx, purchase: &Purchase, now_ms: i64) -> AppResult<Option<Stored>> {
        let Some(key) = &purchase.idempotency_key else { return Ok(None) };
        let found = keys::find_key(&**tx, &purchase.instance_id, &secret::hash(key)).await?;
        let Some(used) = found else { return Ok(None) };
        if !used.is_old(now_ms) {
            if self.sealer.open(PARAMETERS, &used.sealed_parameters)? != purchase.parameters() {
                return Err(AppError::conflict(
                    "this Idempotency-Key was used with other parameters within the last 24 hours; use a new key",
                ));
            }
            let stored = orders::find_for_update(&**tx, &used.order_id).await?;
            if let Some(stored) = stored.filter(|stored| is_answered_again(&stored.order, now_ms)) {
                return Ok(Some(stored));
            }
        }
        keys::delete_key(&**tx, used).await?;
        Ok(None)
    }

    async fn remember(&self, tx: &Tx, purchase: &Purchase, stored: Stored, now_ms: i64) -> AppResult<Stored> {
        let Some(key) = &purchase.idempotency_key else { return Ok(stored) };
        let used = keys::Model {
            instance_id: purchase.instance_id.clone(),
            key_hash: secret::hash(key).to_vec(),
            order_id: stored.order.id.clone(),
            sealed_parameters: self.sealer.seal(PARAMETERS, &purchase.parameters())?,
            created_at_ms: now_ms,
        };
        if keys::create_key(&**tx, used).await? {
            return Ok(stored);
        }
        // Another call brought the same key at the same time.
        self.find_remembered(tx, purchase, now_ms).await?.ok_or_else(busy)
    }

    async fn find_live_or_create(&self, tx: &Tx, purchase: &Purchase, now_ms: i64) -> AppResult<Stored> {
        if let Some(live) = find_payable(tx, purchase, now_ms).await? {
            return Ok(live);
        }
        let stored = self.new_order(purchase, now_ms)?;
        if orders::create_order(&**tx, &stored).await? {
            self.meters.came_into(State::Created);
            return Ok(stored);
        }
        // Another call was first, between the look and the insert.
        find_payable(tx, purchase, now_ms).await?.ok_or_else(busy)
    }

    fn new_order(&self, purchase: &Purchase, now_ms: i64) -> AppResult<Stored> {
        let order = Order {
            id: self.ids.generate("ord"),
            instance_id: purchase.instance_id.clone(),
            marketplace_id: purchase.marketplace_id.clone(),
            version: purchase.version.clone(),
            product_name: purchase.name.clone(),
            amount_cents: purchase.price_cents,
            currency: CURRENCY.to_owned(),
            state: State::Created,
            revision: 1,
            session: None,
            payable_until_ms: now_ms + millis(self.session),
            payment_intent_id: None,
            mismatch: None,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
        };
        let sealed_email = self.sealer.seal(EMAIL, purchase.customer_email.as_bytes())?;
        Ok(Stored { order, sealed_email })
    }

    /// Asks Stripe for the order's page. None: this order can't have one any more, and a fresh one may be made.
    async fn open(&self, stored: Stored) -> AppResult<Option<OpenSession>> {
        let email = self.sealer.open_text(EMAIL, &stored.sealed_email)?;
        let id = stored.order.id.as_str();
        match self.stripe.create_session(&stored.order, &email).await {
            Ok(opened) => self.keep_session(id, opened).await,
            Err(error @ StripeError::Away(_)) => {
                tracing::warn!(order = id, %error, "no payment page yet; the order is kept");
                Err(AppError::unavailable(
                    "the payment provider cannot be reached right now; repeat the call shortly",
                ))
            }
            Err(StripeError::InProgress) => self.find_session_of_other_call(id).await,
            Err(error @ StripeError::Unrepeatable(_)) => {
                tracing::info!(order = id, %error, "the order is given up for a fresh one");
                self.give_up(id).await
            }
            Err(error @ StripeError::Refused { .. }) => {
                tracing::warn!(order = id, %error, "the order has failed");
                self.give_up(id).await?;
                Err(refusal(error))
            }
        }
    }

    async fn keep_session(&self, id: &str, opened: OpenedSession) -> AppResult<Option<OpenSession>> {
        let now_ms = self.clock.now_ms();
        let tx = self.db.begin().await?;
        let Some(stored) = orders::find_for_update(&*tx, id).await? else { return Ok(None) };
        let was = stored.order.state;
        let order = stored.order.opened(opened.session, opened.payable_until_ms, now_ms);
        orders::update_order(&*tx, &order).await?;
        tx.commit().await?;
        if was == State::Created && order.state == State::Open {
            self.meters.came_into(State::Open);
        }
        Ok(session_of(&order).filter(|_| is_answered_again(&order, now_ms)))
    }

    async fn find_session_of_other_call(&self, id: &str) -> AppResult<Option<OpenSession>> {
        let order = orders::get_order(self.db.read(), id).await?;
        session_of(&order).map(Some).ok_or_else(busy)
    }

    /// The order has failed, unless another call or the money has been faster. Its idempotency key may ask anew.
    async fn give_up(&self, id: &str) -> AppResult<Option<OpenSession>> {
        let tx = self.db.begin().await?;
        let Some(stored) = orders::find_for_update(&*tx, id).await? else { return Ok(None) };
        if stored.order.session.is_some() {
            return Ok(session_of(&stored.order));
        }
        if matches!(stored.order.state, State::Processing | State::Paid) {
            return Err(under_way());
        }
        orders::update_order(&*tx, &stored.order.refused(self.clock.now_ms())).await?;
        keys::delete_of_order(&*tx, id).await?;
        tx.commit().await?;
        self.meters.came_into(State::Failed);
        Ok(None)
    }
}

fn admitted(principal: &Principal, purchase: Purchase) -> AppResult<Purchase> {
    match principal {
        Principal::Anonymous => {
            return Err(AppError::unauthorized("a checkout needs the shop's publishable key (pk_…)"));
        }
        Principal::Vendor(_) => {
            return Err(AppError::not_allowed("only a shop can buy; use its publishable key (pk_…)"));
        }
        _ => principal.require_may_name(&purchase.instance_id)?,
    }
    purchase.checked().map_err(|error| match error {
        PurchaseError::Free => AppError::not_allowed(error.to_string()),
        _ => AppError::invalid(error.to_string()),
    })
}

/// The live order of the same shop for the same app, if it can still be paid. One whose time has been up for long enough
/// is let go.
async fn find_payable(tx: &Tx, purchase: &Purchase, now_ms: i64) -> AppResult<Option<Stored>> {
    let found = orders::find_live_for_update(&**tx, &purchase.instance_id, &purchase.marketplace_id).await?;
    let Some(live) = found else { return Ok(None) };
    if live.order.state == State::Processing {
        return Err(under_way());
    }
    if live.order.is_payable(now_ms) {
        return Ok(Some(live));
    }
    if !live.order.may_be_let_go(now_ms) {
        return Err(just_ended());
    }
    orders::update_order(&**tx, &live.order.timed_out(now_ms)).await?;
    Ok(None)
}

/// Nothing is sold again while the licence of a paid order is on its way: license-svc cannot know of it yet.
///
/// Asked last, when the order at hand is locked or inserted and so holds the one live place of its shop and app: whatever
/// held that place before has committed what became of it, and nothing else can take it before this transaction ends.
async fn refuse_second_payment(tx: &Tx, purchase: &Purchase, order: &Order) -> AppResult<()> {
    if order.state == State::Paid {
        // The call repeats the one that has been paid, by its idempotency key.
        return Ok(());
    }
    let paid = orders::list_paid_ids(&**tx, &purchase.instance_id, &purchase.marketplace_id).await?;
    if purchase.awaits_license(&paid) { Err(received()) } else { Ok(()) }
}

/// A repeated call never leads to a second payment; a page that nobody can pay any more is not worth repeating.
fn is_answered_again(order: &Order, now_ms: i64) -> bool {
    matches!(order.state, State::Processing | State::Paid) || order.is_payable(now_ms)
}

fn session_of(order: &Order) -> Option<OpenSession> {
    order.session.as_ref().map(|session| OpenSession {
        order_id: order.id.clone(),
        url: session.url.clone(),
        expires_at_ms: order.payable_until_ms,
    })
}

fn busy() -> AppError {
    AppError::unavailable("another call for the same purchase is being answered; repeat the call shortly")
}

fn under_way() -> AppError {
    AppError::conflict(
        "a payment for this app is under way already; wait for its outcome before buying it again",
    )
}

fn just_ended() -> AppError {
    AppError::conflict(
        "the payment page of an earlier checkout of this app has just ended, and it may have been paid in time; \
         repeat the call in some minutes",
    )
}

fn received() -> AppError {
    AppError::conflict(
        "the payment for this app has been received and its licence is on its way; \
         GET /store/marketplace/licenses shows the key shortly",
    )
}

fn refusal(error: StripeError) -> AppError {
    match &error {
        StripeError::Refused { param, .. } if param == "customer_email" => AppError::invalid(
            "customer_email is not an address that the payment provider takes; give another one",
        ),
        StripeError::Refused { code, .. } if code.starts_with("amount_too_") => AppError::not_allowed(
            "the payment provider does not take this app's price; its vendor must change it",
        ),
        _ => AppError::unexpected(error),
    }
}
