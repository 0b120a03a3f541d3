//! The objects Stripe sends: its own published examples (`fixtures/`), with our values laid over them.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::payment::{Dispute, Payment, Recurring, Refund};
use super::session::{Session, Stage};

/// What the buyer is told when the card is declined.
pub const DECLINED: &str = "Your card was declined.";
const DEBIT_FAILED: &str = "The customer's bank account could not be debited.";

static FIXTURES: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "the file is compiled in, and a test reads it")]
    serde_json::from_str(include_str!("../../fixtures/stripe.json"))
        .expect("fixtures/stripe.json is a JSON object")
});

fn example(resource: &str, values: Value) -> Value {
    let mut object = FIXTURES.get(resource).cloned().unwrap_or_else(|| json!({}));
    lay_over(&mut object, values);
    object
}

/// A `checkout.session`.
#[must_use]
pub fn session(session: &Session) -> Value {
    let terms = &session.terms;
    let total = terms.total();
    let intent = session.payment().filter(|_| session.recurring.is_none()).map(|payment| &payment.intent);
    let email = terms.customer_email.as_ref();
    let known = session.status() == "complete" || email.is_some();
    let mut object = example("checkout.session", plain_session());
    let values = json!({
        "id": session.id, "created": session.created, "expires_at": terms.expires_at, "livemode": false,
        "url": (session.status() == "open").then_some(&session.url),
        "mode": terms.mode, "currency": terms.currency, "locale": terms.locale,
        "amount_subtotal": total, "amount_total": total,
        "total_details": { "amount_discount": 0, "amount_shipping": 0, "amount_tax": 0 },
        "status": session.status(), "payment_status": session.payment_status(), "payment_intent": intent,
        "payment_method_types": method_types(session),
        "success_url": terms.success_url, "cancel_url": terms.cancel_url,
        "client_reference_id": terms.client_reference_id, "customer_email": email,
        "customer_details": known.then(|| customer_details(email)),
        "customer": session.recurring.as_ref().map(|ids| &ids.customer),
        "subscription": session.recurring.as_ref().map(|ids| &ids.subscription),
        "invoice": session.recurring.as_ref().map(|ids| &ids.invoice),
        "metadata": terms.metadata,
    });
    lay_over(&mut object, values);
    object
}

/// What a plain session leaves empty; the published example fills it to show the shape.
fn plain_session() -> Value {
    json!({
        "after_expiration": null, "adaptive_pricing": { "enabled": false }, "collected_information": null,
        "consent": null, "consent_collection": null, "currency_conversion": null,
        "custom_text": { "after_submit": null, "shipping_address": null, "submit": null, "terms_of_service_acceptance": null },
        "automatic_tax": { "enabled": false, "liability": null, "provider": null, "status": null },
        "customer_creation": "if_required", "discounts": [], "invoice_creation": null, "managed_payments": null,
        "payment_method_collection": "if_required", "payment_method_configuration_details": null, "permissions": null,
        "saved_payment_method_options": null, "shipping_address_collection": null, "shipping_cost": null,
        "ui_mode": "hosted", "wallet_options": null,
    })
}

fn method_types(session: &Session) -> Value {
    match session.terms.payment_method_types.as_slice() {
        [] => json!(["card", "sepa_debit"]),
        chosen => json!(chosen),
    }
}

fn customer_details(email: Option<&String>) -> Value {
    let address = json!({ "city": null, "country": null, "line1": null, "line2": null, "postal_code": null, "state": null });
    json!({
        "address": address, "business_name": null, "email": email, "individual_name": null, "name": null, "phone": null,
        "tax_exempt": "none", "tax_ids": [],
    })
}

/// The `payment_intent` of a session's payment, as it stands now.
#[must_use]
pub fn payment_intent(session: &Session, payment: &Payment) -> Value {
    let total = session.terms.total();
    let status = match session.stage {
        Stage::Paid { .. } => "succeeded",
        Stage::Processing { .. } => "processing",
        _ => "requires_payment_method",
    };
    let mut object = fresh_intent(session, payment);
    let values = json!({
        "status": status, "latest_charge": payment.charge,
        "amount_received": if status == "succeeded" { total } else { 0 },
        "last_payment_error": failure(session, payment),
    });
    lay_over(&mut object, values);
    object
}

/// The `payment_intent` at the moment of its creation.
#[must_use]
pub fn fresh_intent(session: &Session, payment: &Payment) -> Value {
    example(
        "payment_intent",
        json!({
            "id": payment.intent, "created": payment.created, "livemode": false,
            "amount": session.terms.total(), "amount_received": 0, "currency": session.terms.currency,
            "client_secret": format!("{}_secret_{}", payment.intent, payment.charge.trim_start_matches("ch_3")),
            "metadata": session.terms.intent_metadata, "receipt_email": session.terms.customer_email,
            "status": "requires_payment_method", "payment_method_types": method_types(session),
            "canceled_at": null, "last_payment_error": null, "next_action": null, "processing": null, "shipping": null,
            "transfer_data": null, "payment_method_configuration_details": null, "managed_payments": null,
            "customer": session.recurring.as_ref().map(|ids| &ids.customer),
        }),
    )
}

fn failure(session: &Session, payment: &Payment) -> Value {
    match session.stage {
        Stage::Open { .. } | Stage::Expired { .. } => json!({
            "type": "card_error", "code": "card_declined", "decline_code": "generic_decline", "message": DECLINED,
            "charge": payment.charge, "doc_url": "https://stripe.com/docs/error-codes/card-declined",
        }),
        Stage::Failed { .. } => json!({
            "type": "invalid_request_error", "code": "payment_intent_payment_attempt_failed", "message": DEBIT_FAILED,
            "charge": payment.charge,
        }),
        _ => Value::Null,
    }
}

/// The `charge` of a session's payment, as it stands now.
#[must_use]
pub fn charge(session: &Session, payment: &Payment) -> Value {
    let (total, refunded) = (session.terms.total(), payment.refunded());
    let (status, paid) = match session.stage {
        Stage::Paid { .. } => ("succeeded", true),
        Stage::Processing { .. } => ("pending", false),
        _ => ("failed", false),
    };
    let mut object = example("charge", plain_charge(session, payment));
    let values = json!({
        "id": payment.charge, "created": payment.created, "livemode": false, "currency": session.terms.currency,
        "amount": total, "amount_captured": if paid { total } else { 0 }, "amount_refunded": refunded,
        "captured": paid, "paid": paid, "status": status, "refunded": paid && refunded == total,
        "disputed": payment.dispute.is_some(), "payment_intent": payment.intent, "metadata": session.terms.intent_metadata,
        "refunds": refunds(session, payment), "outcome": outcome(status),
        "failure_code": (status == "failed").then_some("card_declined"),
        "failure_message": (status == "failed").then_some(if payment.delayed { DEBIT_FAILED } else { DECLINED }),
    });
    lay_over(&mut object, values);
    object
}

fn plain_charge(session: &Session, payment: &Payment) -> Value {
    let mut billing = customer_details(session.terms.customer_email.as_ref());
    if let Some(fields) = billing.as_object_mut() {
        fields.retain(|name, _| ["address", "email", "name", "phone"].contains(&name.as_str()));
        fields.insert("tax_id".into(), Value::Null);
    }
    let mut plain = json!({
        "billing_details": billing, "balance_transaction": null, "description": null, "payment_method": null,
        "receipt_email": session.terms.customer_email, "receipt_url": null, "shipping": null, "source": null,
        "transfer_data": null, "customer": session.recurring.as_ref().map(|ids| &ids.customer),
    });
    if payment.delayed {
        let debit = json!({
            "bank_code": "37040044", "branch_code": "", "country": "DE", "fingerprint": null, "last4": "3000", "mandate": null,
        });
        plain["payment_method_details"] = json!({ "type": "sepa_debit", "sepa_debit": debit });
    }
    plain
}

fn outcome(status: &str) -> Value {
    let (kind, network, message) = match status {
        "failed" => (
            "issuer_declined",
            "declined_by_network",
            "The bank did not return any further details with this decline.",
        ),
        _ => ("authorized", "approved_by_network", "Payment complete."),
    };
    json!({
        "type": kind, "network_status": network, "seller_message": message, "reason": null, "advice_code": null,
        "network_advice_code": null, "network_decline_code": null, "risk_level": "normal",
    })
}

fn refunds(session: &Session, payment: &Payment) -> Value {
    let list: Vec<Value> = payment.refunds.iter().rev().map(|item| refund(session, payment, item)).collect();
    json!({ "object": "list", "data": list, "has_more": false, "url": format!("/v1/charges/{}/refunds", payment.charge) })
}

fn refund(session: &Session, payment: &Payment, item: &Refund) -> Value {
    example(
        "refund",
        json!({
            "id": item.id, "amount": item.amount, "created": item.created, "currency": session.terms.currency,
            "charge": payment.charge, "payment_intent": payment.intent, "status": "succeeded",
        }),
    )
}

/// A `dispute` about a session's charge.
#[must_use]
pub fn dispute(session: &Session, payment: &Payment, dispute: &Dispute) -> Value {
    let week = 7 * 24 * 3600;
    let due = json!({
        "due_by": dispute.created + week, "has_evidence": false, "past_due": false, "submission_count": 0,
        "enhanced_eligibility": {},
    });
    example(
        "dispute",
        json!({
            "id": dispute.id, "amount": session.terms.total(), "currency": session.terms.currency, "charge": payment.charge,
            "payment_intent": payment.intent, "created": dispute.created, "reason": dispute.reason, "status": dispute.status,
            "is_charge_refundable": dispute.status.starts_with("warning_"), "evidence_details": due, "livemode": false,
        }),
    )
}

/// The `subscription` that began with a session.
#[must_use]
pub fn subscription(session: &Session, ids: &Recurring) -> Value {
    let end = session.created + period(session);
    let mut object = example(
        "subscription",
        json!({
            "id": ids.subscription, "customer": ids.customer, "latest_invoice": ids.invoice, "status": "active",
            "created": session.created, "start_date": session.created, "billing_cycle_anchor": session.created,
            "currency": session.terms.currency, "metadata": session.terms.subscription_metadata, "livemode": false,
            "cancel_at": null, "canceled_at": null, "cancel_at_period_end": false, "ended_at": null, "trial_end": null,
            "trial_start": null, "pending_update": null, "pause_collection": null, "pending_invoice_item_interval": null,
            "next_pending_invoice_item_invoice": null, "transfer_data": null, "billing_thresholds": null,
            "billing_cycle_anchor_config": null, "billing_schedules": [], "managed_payments": null, "trial_settings": null,
        }),
    );
    let item = &mut object["items"]["data"][0];
    lay_over(
        item,
        json!({
            "subscription": ids.subscription, "created": session.created,
            "current_period_start": session.created, "current_period_end": end,
            "quantity": session.terms.items.first().map(|line| line.quantity),
        }),
    );
    lay_over(&mut item["price"], price(session));
    object["items"]["url"] = format!("/v1/subscription_items?subscription={}", ids.subscription).into();
    object
}

fn price(session: &Session) -> Value {
    let line = session.terms.items.first();
    json!({
        "currency": session.terms.currency, "created": session.created,
        "unit_amount": line.map(|line| line.unit_amount),
        "unit_amount_decimal": line.map(|line| line.unit_amount.to_string()),
        "recurring": {
            "interval": line.and_then(|line| line.interval.as_ref()), "interval_count": line.map(|line| line.interval_count),
            "meter": null, "trial_period_days": null, "usage_type": "licensed",
        },
        "custom_unit_amount": null, "transform_quantity": null,
    })
}

/// The paid `invoice` of a subscription's first period.
#[must_use]
pub fn invoice(session: &Session, ids: &Recurring) -> Value {
    let total = session.terms.total();
    let mut object = example(
        "invoice",
        json!({
            "id": ids.invoice, "customer": ids.customer, "customer_email": session.terms.customer_email, "status": "paid",
            "created": session.created, "currency": session.terms.currency, "livemode": false,
            "billing_reason": "subscription_create", "attempted": true, "attempt_count": 1,
            "amount_due": total, "amount_paid": total, "amount_remaining": 0, "amount_overpaid": 0,
            "subtotal": total, "subtotal_excluding_tax": total, "total": total, "total_excluding_tax": total,
            "period_start": session.created, "period_end": session.created, "effective_at": session.created,
            "subscription": ids.subscription, "next_payment_attempt": null, "due_date": null, "from_invoice": null,
            "last_finalization_error": null, "shipping_cost": null, "shipping_details": null, "webhooks_delivered_at": null,
            "parent": {
                "type": "subscription_details", "quote_details": null,
                "subscription_details": { "metadata": session.terms.subscription_metadata, "subscription": ids.subscription },
            },
        }),
    );
    let line = &mut object["lines"]["data"][0];
    lay_over(
        line,
        json!({
            "invoice": ids.invoice, "amount": total, "subtotal": total, "currency": session.terms.currency,
            "metadata": session.terms.subscription_metadata, "subscription": ids.subscription,
            "description": session.terms.items.first().map(|line| &line.name),
            "period": { "start": session.created, "end": session.created + period(session) },
        }),
    );
    object["lines"]["url"] = format!("/v1/invoices/{}/lines", ids.invoice).into();
    object
}

/// The length of the first period; months are taken as 30 days, which is near enough for a stand-in.
fn period(session: &Session) -> i64 {
    let Some(line) = session.terms.items.first() else { return 0 };
    let days = match line.interval.as_deref() {
        Some("day") => 1,
        Some("week") => 7,
        Some("year") => 365,
        _ => 30,
    };
    i64::try_from(line.interval_count).unwrap_or(1) * days * 24 * 3600
}

fn lay_over(object: &mut Value, values: Value) {
    if let (Some(fields), Value::Object(values)) = (object.as_object_mut(), values) {
        fields.extend(values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixtures_hold_what_is_built_on_them() {
        for resource in [
            "checkout.session",
            "payment_intent",
            "charge",
            "refund",
            "dispute",
            "subscription",
            "invoice",
            "event",
        ] {
            assert!(FIXTURES.get(resource).is_some_and(Value::is_object), "{resource}");
        }
    }
}
