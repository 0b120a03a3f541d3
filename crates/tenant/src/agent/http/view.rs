//! What the templates show: texts, and no more logic than they need.

use semver::Version;
use time::{OffsetDateTime, macros::format_description};
use wire::manifest::{AppType, MarketplaceId, Price};

use crate::{
    agent::{
        app::{App, Listing, ListingState},
        domain::{Job, Offer, Problem, in_plain_words},
    },
    client::Product,
    license::Standing,
};

/// What every page has.
pub(super) struct Shell {
    pub(super) title: String,
    pub(super) here: Here,
    pub(super) csrf: String,
    pub(super) connected: bool,
    /// Seconds until the page looks again, while something is on its way.
    pub(super) refresh: Option<u32>,
}

/// Which tab is open.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Here {
    Marketplace,
    Plugins,
}

impl Shell {
    pub(super) fn new(app: &App, title: impl Into<String>, here: Here, csrf: &str) -> Self {
        let connected = app.config.marketplace.is_some();
        Self { title: title.into(), here, csrf: csrf.to_owned(), connected, refresh: None }
    }

    pub(super) fn refreshing(self, while_moving: bool) -> Self {
        Self { refresh: while_moving.then_some(2), ..self }
    }

    pub(super) fn is_marketplace(&self) -> bool {
        self.here == Here::Marketplace
    }
}

/// An app with its badge and what can be done about it.
pub(super) struct Card {
    pub(super) id: String,
    pub(super) path: String,
    pub(super) name: String,
    pub(super) initial: String,
    pub(super) hue: u8,
    pub(super) author: String,
    pub(super) summary: String,
    pub(super) type_label: String,
    pub(super) price: String,
    pub(super) version: String,
    pub(super) standing: Stands,
}

/// How an app stands in the shop, as a badge and a button.
pub(super) struct Stands {
    /// `installed`, `pending` or `available`.
    pub(super) state: &'static str,
    pub(super) badge: Option<String>,
    pub(super) action: Option<Action>,
    pub(super) waiting: Option<Waiting>,
}

/// A button that starts something.
pub(super) struct Action {
    /// `buy`, `install` or `update`.
    pub(super) kind: &'static str,
    pub(super) label: String,
    pub(super) version: String,
    pub(super) allowed: String,
    /// What the new version may do and the installed one may not, in plain words.
    pub(super) added: Vec<String>,
}

/// Why an app is not there yet.
pub(super) struct Waiting {
    pub(super) message: String,
    /// What the button that goes on says; none while it goes on by itself.
    pub(super) accept: Option<&'static str>,
    /// Lines that the administrator must see before going on.
    pub(super) lines: Vec<String>,
}

/// A licence that nobody asked for.
pub(super) struct OfferCard {
    pub(super) id: String,
    pub(super) app: String,
    pub(super) path: String,
    pub(super) version: String,
    pub(super) arrived: String,
}

impl Card {
    pub(super) fn of(listing: Listing) -> Self {
        let Listing { product, state } = listing;
        let standing = Stands::of(&product, &state);
        let app = &product.marketplace_id;
        Self {
            id: app.to_string(),
            path: super::pages::detail_path(app),
            initial: initial(&product.name),
            hue: hue(app.as_str()),
            author: product.author().to_owned(),
            summary: product.summary().to_owned(),
            type_label: type_label(&product.app_type),
            price: price(product.price_eur),
            version: product.version.to_string(),
            name: product.name,
            standing,
        }
    }
}

impl Stands {
    pub(super) fn of(product: &Product, state: &ListingState) -> Self {
        let action = |kind, label: String| {
            let version = product.version.to_string();
            product.is_installable().then(|| Action {
                kind,
                label,
                version,
                allowed: String::new(),
                added: Vec::new(),
            })
        };
        match state {
            ListingState::Available { covered: true } => {
                Self::plain("available", None, action("install", "Install".to_owned()))
            }
            ListingState::Available { covered: false } => {
                let label = format!("Buy for {}", price(product.price_eur));
                Self::plain("available", None, action("buy", label))
            }
            ListingState::Paying => {
                let badge = "Waiting for payment".to_owned();
                Self::plain("pending", Some(badge), action("buy", "Continue to payment".to_owned()))
            }
            ListingState::Pending(job) => Self::of_job(job),
            ListingState::Installed { version, update: None } => {
                Self::plain("installed", Some(format!("Installed {version}")), None)
            }
            ListingState::Installed { version, update: Some(update) } => {
                let action = Action::update(&update.version, &update.added_permissions);
                Self::plain("installed", Some(format!("Installed {version}")), Some(action))
            }
        }
    }

    pub(super) fn of_job(job: &Job) -> Self {
        let badge = if job.is_moving() { "Installing…" } else { "Needs your attention" };
        let waiting = job.problem.as_ref().map(Waiting::of);
        Self { state: "pending", badge: Some(badge.to_owned()), action: None, waiting }
    }

    /// Whether it changes by itself.
    pub(super) fn is_moving(&self) -> bool {
        self.state == "pending"
            && self.waiting.as_ref().is_none_or(|waiting| waiting.accept.is_none())
            && self.action.is_none()
    }

    pub(super) fn plain(state: &'static str, badge: Option<String>, action: Option<Action>) -> Self {
        Self { state, badge, action, waiting: None }
    }
}

impl Action {
    pub(super) fn update(version: &Version, added_permissions: &[String]) -> Self {
        Self {
            kind: "update",
            label: format!("Update to {version}"),
            version: version.to_string(),
            allowed: added_permissions.join(" "),
            added: added_permissions.iter().map(|permission| in_plain_words(permission)).collect(),
        }
    }
}

impl Waiting {
    fn of(problem: &Problem) -> Self {
        let (accept, lines) = match problem {
            Problem::Retrying { .. } => (None, Vec::new()),
            Problem::Failed { .. } => (Some("Try again"), Vec::new()),
            Problem::NewKey { key, .. } => {
                (Some("Trust this key and go on"), vec![format!("Key {}", key.key_id())])
            }
            Problem::Consent { added } => {
                (Some("Allow and go on"), added.iter().map(|permission| in_plain_words(permission)).collect())
            }
        };
        let again = if accept.is_none() { ". It will be tried again by itself." } else { "." };
        Self { message: format!("{}{again}", sentence(&problem.to_string())), accept, lines }
    }
}

impl OfferCard {
    pub(super) fn of(offer: &Offer) -> Self {
        Self {
            id: offer.id.clone(),
            app: offer.marketplace_id.to_string(),
            path: super::pages::detail_path(&offer.marketplace_id),
            version: offer.version.to_string(),
            arrived: moment(offer.arrived_at_ms),
        }
    }
}

/// What a licence's standing means to a shopkeeper, and whether it needs them.
pub(super) fn standing_text(standing: &Standing) -> (String, bool) {
    match standing {
        Standing::Valid => ("Licence valid".to_owned(), false),
        Standing::Grace { until } => {
            let until = moment(until.saturating_mul(1000));
            (format!("The marketplace can't be reached; this app may run until {until}"), true)
        }
        Standing::Refused { code } => {
            (format!("The licence does not cover this app any more ({code})"), true)
        }
        Standing::Unproven => ("The licence can't be confirmed; connect to the marketplace".to_owned(), true),
    }
}

/// The text as the beginning of a sentence, without its last full stop.
pub(super) fn sentence(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// `22 November 2026, 21:05 UTC`
pub(super) fn moment(at_ms: i64) -> String {
    let form = format_description!("[day padding:none] [month repr:long] [year], [hour]:[minute] UTC");
    let at = OffsetDateTime::from_unix_timestamp(at_ms.div_euclid(1000)).ok();
    at.and_then(|at| at.format(form).ok()).unwrap_or_default()
}

/// The day of an RFC 3339 time.
pub(super) fn day(text: &str) -> String {
    let form = format_description!("[day padding:none] [month repr:long] [year]");
    let at = OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok();
    at.and_then(|at| at.format(form).ok()).unwrap_or_default()
}

pub(super) fn price(price: Price) -> String {
    match price {
        price if price.is_free() => "Free".to_owned(),
        price if price.cents().is_multiple_of(100) => format!("€{}", price.cents() / 100),
        price => format!("€{price}"),
    }
}

pub(super) fn type_label(app_type: &str) -> String {
    let known = app_type.parse().map(|known| match known {
        AppType::Payment => "Payment",
        AppType::Fulfillment => "Shipping",
        AppType::B2bApi => "Business customers",
        AppType::StorefrontTemplate => "Storefront design",
        AppType::AdminExtension => "Admin extension",
        AppType::Marketing => "Marketing",
    });
    known.map_or_else(|_| sentence(&app_type.replace('-', " ")), str::to_owned)
}

pub(super) fn initial(name: &str) -> String {
    name.chars().find(|c| c.is_alphanumeric()).map_or_else(|| "•".to_owned(), |c| c.to_uppercase().collect())
}

/// One of eight colours, always the same for the same app.
pub(super) fn hue(app: &str) -> u8 {
    app.bytes().fold(0_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte)) % 8
}

/// The app's own address, when it is one to link to.
pub(super) fn link(url: Option<&str>) -> Option<String> {
    let url = url::Url::parse(url?).ok()?;
    matches!(url.scheme(), "http" | "https").then(|| url.to_string())
}

/// A vendor's page of what it sells, as a search.
pub(super) fn vendor(app: &MarketplaceId) -> String {
    format!("@{}", app.vendor())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn prices_read_as_people_write_them() {
        for (cents, text) in [(0, "Free"), (4900, "€49"), (1999, "€19.99"), (50, "€0.50")] {
            assert_eq!(price(Price::from_cents(cents).unwrap()), text);
        }
    }

    #[test]
    fn times_and_labels_read_well() {
        assert_eq!(moment(1_795_381_500_000), "22 November 2026, 21:05 UTC");
        assert_eq!(day("2026-11-02T08:00:00Z"), "2 November 2026");
        assert_eq!(day("soon"), "");
        assert_eq!(type_label("b2b-api"), "Business customers");
        assert_eq!(type_label("new-kind"), "New kind");
        assert_eq!(initial("  élan"), "É");
    }

    #[test]
    fn only_web_addresses_are_linked() {
        assert_eq!(link(Some("javascript:alert(1)")), None);
        assert_eq!(link(Some("https://v.example/log")).as_deref(), Some("https://v.example/log"));
    }
}
