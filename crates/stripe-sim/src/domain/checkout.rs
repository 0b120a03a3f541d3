//! What a checkout session is asked to be: the parameters of `POST /v1/checkout/sessions`, checked as Stripe checks them.

use serde::{Deserialize, Serialize};
use url::Url;

use super::currency;
use super::error::ApiError;
use super::params::{Metadata, Params};

/// Where Stripe puts the session's id into the success URL.
pub const SESSION_PLACEHOLDER: &str = "{CHECKOUT_SESSION_ID}";

const MIN_LIFETIME: i64 = 30 * 60;
const MAX_LIFETIME: i64 = 24 * 60 * 60;
const MAX_LINE_ITEMS: usize = 100;
const MAX_AMOUNT: u64 = 99_999_999;

/// One payment or a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Paid once.
    Payment,
    /// Paid each period.
    Subscription,
}

impl Mode {
    /// As Stripe writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Subscription => "subscription",
        }
    }
}

/// One thing being bought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineItem {
    /// What it is called.
    pub name: String,
    /// More about it.
    pub description: Option<String>,
    /// Price of one, in the currency's smallest unit.
    pub unit_amount: u64,
    /// How many.
    pub quantity: u64,
    /// The period, in a subscription: `day`, `week`, `month`, `year`.
    pub interval: Option<String>,
    /// How many of these periods lie between two payments.
    pub interval_count: u64,
}

/// Everything a session was created with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// One payment or a subscription.
    pub mode: Mode,
    /// Three lower-case letters.
    pub currency: String,
    /// What is bought; never empty.
    pub items: Vec<LineItem>,
    /// Where the buyer goes after paying.
    pub success_url: String,
    /// Where the buyer goes on turning back.
    pub cancel_url: Option<String>,
    /// The buyer's address, where the shop knows it.
    pub customer_email: Option<String>,
    /// The caller's own reference.
    pub client_reference_id: Option<String>,
    /// The page's language, as asked for.
    pub locale: Option<String>,
    /// The methods offered, where the caller chose.
    pub payment_method_types: Vec<String>,
    /// Of the session.
    pub metadata: Metadata,
    /// Copied to the payment intent and its charge.
    pub intent_metadata: Metadata,
    /// Copied to the subscription.
    pub subscription_metadata: Metadata,
    /// Unix time.
    pub expires_at: i64,
}

impl Terms {
    /// The sum to pay, in the currency's smallest unit.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.items.iter().map(|item| item.unit_amount * item.quantity).sum()
    }

    /// Reads the parameters of a creation at this Unix time.
    pub fn parse(mut params: Params, now: i64) -> Result<Self, ApiError> {
        let mode = mode(&mut params)?;
        let (currency, items) = line_items(&mut params, mode)?;
        only_hosted_by_card(&mut params)?;
        let terms = Self {
            mode,
            currency,
            items,
            success_url: success_url(&mut params)?,
            cancel_url: cancel_url(&mut params)?,
            customer_email: email(&mut params)?,
            client_reference_id: params.short_text("client_reference_id", 200)?,
            locale: params.short_text("locale", 20)?,
            payment_method_types: payment_method_types(&mut params)?,
            metadata: params.metadata("metadata")?,
            intent_metadata: belonging_to(&mut params, "payment_intent_data", mode, Mode::Payment)?,
            subscription_metadata: belonging_to(&mut params, "subscription_data", mode, Mode::Subscription)?,
            expires_at: expires_at(&mut params, now)?,
        };
        params.finish()?;
        terms.check_total()?;
        Ok(terms)
    }

    fn check_total(&self) -> Result<(), ApiError> {
        let (total, minimum) = (self.total(), currency::minimum(&self.currency));
        if total > MAX_AMOUNT {
            let most = currency::display(MAX_AMOUNT, &self.currency);
            let message = format!("The Checkout Session's total amount must be no more than {most}");
            return Err(ApiError::invalid(message).coded("amount_too_large").at("line_items"));
        }
        if total > 0 && total < minimum {
            let least = currency::display(minimum, &self.currency);
            let message = format!("The Checkout Session's total amount due must add up to at least {least}");
            return Err(ApiError::invalid(message).coded("amount_too_small").at("line_items"));
        }
        Ok(())
    }
}

fn mode(params: &mut Params) -> Result<Mode, ApiError> {
    match params.choice("mode", &["payment", "setup", "subscription"])? {
        Some("payment") => Ok(Mode::Payment),
        Some("subscription") => Ok(Mode::Subscription),
        Some(_) => {
            Err(ApiError::invalid("This stand-in takes the modes payment and subscription.").at("mode"))
        }
        None => Err(ApiError::missing("mode")),
    }
}

fn line_items(params: &mut Params, mode: Mode) -> Result<(String, Vec<LineItem>), ApiError> {
    let list = params.objects("line_items")?;
    if list.is_empty() {
        return Err(ApiError::missing("line_items"));
    }
    if list.len() > MAX_LINE_ITEMS {
        return Err(ApiError::invalid("You can pass at most 100 line items.").at("line_items"));
    }
    let parsed: Vec<(String, LineItem)> =
        list.into_iter().map(|item| line_item(item, mode)).collect::<Result<_, _>>()?;
    let currency = parsed[0].0.clone();
    if parsed.iter().any(|(other, _)| *other != currency) {
        return Err(ApiError::invalid("All line items of a Checkout Session must have the same currency.")
            .at("line_items"));
    }
    Ok((currency, parsed.into_iter().map(|(_, item)| item).collect()))
}

fn line_item(mut item: Params, mode: Mode) -> Result<(String, LineItem), ApiError> {
    if let Some(id) = item.text("price")? {
        return Err(ApiError::no_such("price", &id, &item.path("price")).with_status(400));
    }
    let mut price = item.object("price_data")?.ok_or_else(|| ApiError::missing(&item.path("price_data")))?;
    let quantity = item.natural("quantity")?.ok_or_else(|| ApiError::missing(&item.path("quantity")))?;
    if quantity == 0 || quantity > 999_999 {
        return Err(
            ApiError::invalid("A quantity is at least 1 and at most 999999.").at(item.path("quantity"))
        );
    }
    let currency = supported_currency(&mut price)?;
    let unit_amount = unit_amount(&mut price)?;
    let (name, description) = product(&mut price)?;
    let (interval, interval_count) = recurring(&mut price, mode)?;
    price.finish()?;
    item.finish()?;
    Ok((currency, LineItem { name, description, unit_amount, quantity, interval, interval_count }))
}

fn supported_currency(price: &mut Params) -> Result<String, ApiError> {
    let code = price.required_text("currency")?.to_lowercase();
    if currency::is_supported(&code) {
        return Ok(code);
    }
    let message =
        "Invalid currency. Stripe takes three-letter ISO codes: see https://stripe.com/docs/currencies";
    Err(ApiError::invalid(message).at(price.path("currency")))
}

fn unit_amount(price: &mut Params) -> Result<u64, ApiError> {
    let amount =
        price.natural("unit_amount")?.ok_or_else(|| ApiError::missing(&price.path("unit_amount")))?;
    if amount > MAX_AMOUNT {
        return Err(ApiError::invalid("Invalid amount: at most eight digits")
            .coded("amount_too_large")
            .at(price.path("unit_amount")));
    }
    Ok(amount)
}

fn product(price: &mut Params) -> Result<(String, Option<String>), ApiError> {
    if let Some(id) = price.text("product")? {
        return Err(ApiError::no_such("product", &id, &price.path("product")).with_status(400));
    }
    let mut data =
        price.object("product_data")?.ok_or_else(|| ApiError::missing(&price.path("product_data")))?;
    let named = (data.required_text("name")?, data.text("description")?);
    data.metadata("metadata")?;
    data.finish()?;
    Ok(named)
}

fn recurring(price: &mut Params, mode: Mode) -> Result<(Option<String>, u64), ApiError> {
    let given = price.object("recurring")?;
    match (given, mode) {
        (None, Mode::Payment) => Ok((None, 1)),
        (Some(_), Mode::Payment) => Err(ApiError::invalid(
            "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or use only \
             one-time prices.",
        )
        .at("line_items")),
        (None, Mode::Subscription) => Err(ApiError::invalid(
            "You must provide at least one recurring price in `subscription` mode when using prices.",
        )
        .at("line_items")),
        (Some(mut recurring), Mode::Subscription) => {
            let interval = recurring.choice("interval", &["day", "week", "month", "year"])?;
            let interval = interval.ok_or_else(|| ApiError::missing(&recurring.path("interval")))?;
            let count = recurring.natural("interval_count")?.unwrap_or(1).clamp(1, 1095);
            recurring.finish()?;
            Ok((Some(interval.to_owned()), count))
        }
    }
}

/// Parameters whose only value we model: refusing the others says more than ignoring them.
fn only_hosted_by_card(params: &mut Params) -> Result<(), ApiError> {
    params.choice("ui_mode", &["hosted"])?;
    params.choice("customer_creation", &["always", "if_required"])?;
    params.choice("submit_type", &["auto", "book", "donate", "pay", "subscribe"])?;
    params.choice("billing_address_collection", &["auto", "required"])?;
    Ok(())
}

fn payment_method_types(params: &mut Params) -> Result<Vec<String>, ApiError> {
    let types = params.texts("payment_method_types")?;
    if types.iter().all(|kind| matches!(kind.as_str(), "card" | "sepa_debit")) {
        return Ok(types);
    }
    let message = "Invalid payment_method_types: this stand-in has card and sepa_debit";
    Err(ApiError::invalid(message).at("payment_method_types"))
}

fn success_url(params: &mut Params) -> Result<String, ApiError> {
    let url = params.required_text("success_url")?;
    checked_url(url, "success_url")
}

fn cancel_url(params: &mut Params) -> Result<Option<String>, ApiError> {
    params.text("cancel_url")?.map(|url| checked_url(url, "cancel_url")).transpose()
}

/// It goes into a `Location` header and a link: printable ASCII, http or https.
fn checked_url(text: String, param: &str) -> Result<String, ApiError> {
    let parsed = Url::parse(&text.replace(SESSION_PLACEHOLDER, "id")).ok();
    let web = parsed.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if web && text.bytes().all(|byte| byte.is_ascii_graphic()) && text.len() <= 5000 {
        return Ok(text);
    }
    Err(ApiError::invalid("Not a valid URL. URLs must begin with http or https.")
        .coded("url_invalid")
        .at(param))
}

fn email(params: &mut Params) -> Result<Option<String>, ApiError> {
    if let Some(id) = params.text("customer")? {
        return Err(ApiError::no_such("customer", &id, "customer").with_status(400));
    }
    let Some(email) = params.short_text("customer_email", 800)? else { return Ok(None) };
    let well_formed = email.split_once('@').is_some_and(|(user, host)| {
        !user.is_empty()
            && host.contains('.')
            && !host.starts_with('.')
            && !host.ends_with('.')
            && !host.contains('@')
    });
    if well_formed && !email.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Ok(Some(email));
    }
    Err(ApiError::invalid("Invalid email address").coded("email_invalid").at("customer_email"))
}

fn belonging_to(params: &mut Params, name: &str, mode: Mode, wanted: Mode) -> Result<Metadata, ApiError> {
    let Some(mut data) = params.object(name)? else { return Ok(Metadata::new()) };
    if mode != wanted {
        let message = format!("You can not pass `{name}` in `{}` mode.", mode.name());
        return Err(ApiError::invalid(message).at(name));
    }
    let metadata = data.metadata("metadata")?;
    data.finish()?;
    Ok(metadata)
}

fn expires_at(params: &mut Params, now: i64) -> Result<i64, ApiError> {
    let Some(at) = params.integer("expires_at")? else { return Ok(now + MAX_LIFETIME) };
    let refuse = |message: &str| Err(ApiError::invalid(message).at("expires_at"));
    if at > now + MAX_LIFETIME {
        return refuse(
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.",
        );
    }
    if at < now + MIN_LIFETIME {
        return refuse(
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.",
        );
    }
    Ok(at)
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    pub(crate) const NOW: i64 = 1_800_000_000;
    pub(crate) const FORM: &str = "mode=payment&line_items[0][price_data][currency]=eur\
        &line_items[0][price_data][unit_amount]=4900&line_items[0][price_data][product_data][name]=SEO\
        &line_items[0][quantity]=1&success_url=https://shop.example/done?s={CHECKOUT_SESSION_ID}\
        &cancel_url=https://shop.example/back&customer_email=ada@shop.example&metadata[order]=ord_1\
        &payment_intent_data[metadata][order]=ord_1";

    pub(crate) fn parse(form: &str) -> Result<Terms, ApiError> {
        Terms::parse(Params::parse(form.as_bytes())?, NOW)
    }

    #[test]
    fn a_purchase_is_understood() {
        let terms = parse(FORM).unwrap();
        assert_eq!((terms.total(), terms.currency.as_str(), terms.mode), (4900, "eur", Mode::Payment));
        assert_eq!(terms.metadata["order"], "ord_1");
        assert_eq!(terms.intent_metadata["order"], "ord_1");
        assert_eq!(terms.expires_at, NOW + 24 * 3600);
    }

    #[test]
    fn each_missing_parameter_is_named() {
        for name in [
            "mode",
            "success_url",
            "line_items[0][quantity]",
            "line_items[0][price_data][currency]",
            "line_items[0][price_data][unit_amount]",
            "line_items[0][price_data][product_data][name]",
        ] {
            let without: Vec<&str> =
                FORM.split('&').filter(|pair| !pair.starts_with(&format!("{name}="))).collect();
            let error = parse(&without.join("&")).unwrap_err();
            assert_eq!(error.code, Some("parameter_missing"), "{name}");
            let param = error.param.unwrap();
            assert!(name.starts_with(&param), "{name}: {param}");
        }
    }

    #[test]
    fn wrong_values_are_refused_at_their_parameter() {
        let soon = format!("expires_at={}", NOW + 60);
        let late = format!("expires_at={}", NOW + 25 * 3600);
        for (extra, code, param) in [
            ("colour=red", Some("parameter_unknown"), "colour"),
            ("line_items[0][colour]=red", Some("parameter_unknown"), "line_items[0][colour]"),
            ("mode=gift", None, "mode"),
            ("customer_email=nobody", Some("email_invalid"), "customer_email"),
            ("customer=cus_1", Some("resource_missing"), "customer"),
            ("success_url=ftp://x", Some("url_invalid"), "success_url"),
            ("success_url=https://x/%0a", Some("url_invalid"), "success_url"),
            (
                "line_items[0][price_data][unit_amount]=1.5",
                Some("parameter_invalid_integer"),
                "line_items[0][price_data][unit_amount]",
            ),
            ("line_items[0][price_data][unit_amount]=10", Some("amount_too_small"), "line_items"),
            ("line_items[0][price_data][currency]=abc", None, "line_items[0][price_data][currency]"),
            ("line_items[0][price_data][recurring][interval]=month", None, "line_items"),
            ("subscription_data[metadata][a]=b", None, "subscription_data"),
            (&soon, None, "expires_at"),
            (&late, None, "expires_at"),
        ] {
            let error = parse(&format!("{FORM}&{extra}")).unwrap_err();
            assert_eq!(
                (error.status, error.code, error.param.as_deref()),
                (400, code, Some(param)),
                "{extra}"
            );
        }
    }

    #[test]
    fn a_subscription_needs_a_period() {
        let form = FORM
            .replace("mode=payment", "mode=subscription")
            .replace("payment_intent_data", "subscription_data");
        assert_eq!(parse(&form).unwrap_err().param.as_deref(), Some("line_items"));
        let terms = parse(&format!("{form}&line_items[0][price_data][recurring][interval]=year")).unwrap();
        assert_eq!(terms.items[0].interval.as_deref(), Some("year"));
        assert_eq!(terms.subscription_metadata["order"], "ord_1");
    }
}
