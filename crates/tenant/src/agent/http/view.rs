//! What the templates show: texts, and no more logic than they need.

mod registered;

use semver::Version;
use time::{OffsetDateTime, macros::format_description};
use wire::manifest::{AppType, MarketplaceId, Price};

use crate::{
    agent::{
        app::{App, Listing, ListingState},
        domain::{Job, Offer, Problem, Wish, in_plain_words},
    },
    client::{AppKind, Product},
    license::Standing,
};
pub(super) use registered::{ConsentView, PendingUpdateView};

/// For so long people wait before the page.
const SOON_MS: i64 = 60_000;

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

    /// Looks again while something moves: often at first, and seldom once it has taken long.
    pub(super) fn refreshing(self, moving_since_ms: Option<i64>, now_ms: i64) -> Self {
        let seconds = |since_ms| if now_ms - since_ms < SOON_MS { 2 } else { 30 };
        Self { refresh: moving_since_ms.map(seconds), ..self }
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
    pub(super) kind_label: &'static str,
    /// What a hosted or static app asks for, in plain words.
    pub(super) permissions: Vec<String>,
    pub(super) price: String,
    pub(super) version: String,
    pub(super) standing: Stands,
}

/// How an app stands in the shop, as a badge and a button.
#[derive(Default)]
pub(super) struct Stands {
    /// `installed`, `pending`, `available` or `unknown`.
    pub(super) state: &'static str,
    /// Since when it has been on its way; none for what is not.
    pub(super) since_ms: Option<i64>,
    pub(super) badge: Option<String>,
    /// Whether something is not as it should be.
    pub(super) needs_you: bool,
    pub(super) action: Option<Action>,
    pub(super) waiting: Option<Waiting>,
    /// What happened to a hosted or static app.
    pub(super) note: Option<String>,
    pub(super) update: Option<PendingUpdateView>,
    /// Where a hosted app is opened.
    pub(super) open: Option<String>,
    /// The page that asks before it removes.
    pub(super) remove: Option<String>,
}

/// A button that starts something.
pub(super) struct Action {
    /// `buy`, `install` or `update`.
    pub(super) kind: &'static str,
    /// The page that asks first, in place of doing it at once.
    pub(super) asks: Option<String>,
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
    /// What the button sends back: what is asked.
    pub(super) shown: String,
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
    pub(super) fn of(listing: Listing, now_ms: i64) -> Self {
        let Listing { product, state } = listing;
        let standing = Stands::of(&product, &state, now_ms);
        let app = &product.marketplace_id;
        Self {
            id: app.to_string(),
            path: super::pages::detail_path(app),
            initial: initial(&product.name),
            hue: hue(app.as_str()),
            author: product.author().to_owned(),
            summary: product.summary().to_owned(),
            type_label: type_label(&product.app_type),
            kind_label: kind_label(product.kind),
            permissions: if product.kind.has_installation() {
                in_words(&product.permissions)
            } else {
                Vec::new()
            },
            price: price(product.price_eur),
            version: product.version.to_string(),
            name: product.name,
            standing,
        }
    }
}

impl Stands {
    pub(super) fn of(product: &Product, state: &ListingState, now_ms: i64) -> Self {
        let action = |kind, label: String| product.is_installable().then(|| Action::of(product, kind, label));
        match state {
            ListingState::Available { covered, last } => {
                let action = match covered {
                    true => action("install", "Install".to_owned()),
                    false => action("buy", format!("Buy for {}", price(product.price_eur))),
                };
                let note = last.as_deref().and_then(registered::cancellation);
                Self { note, ..Self::plain("available", None, action) }
            }
            ListingState::Paying => {
                let badge = "Waiting for payment".to_owned();
                Self::plain("pending", Some(badge), action("buy", "Continue to payment".to_owned()))
            }
            ListingState::Pending { job, beside: None } => Self::of_job(job),
            ListingState::Pending { job, beside: Some(registered) } => Self::of_job_beside(job, registered),
            ListingState::Installed { version, update: None } => {
                Self::plain("installed", Some(format!("Installed {version}")), None)
            }
            ListingState::Installed { version, update: Some(update) } => {
                let action = Action::update(&update.version, &update.added_permissions);
                Self::plain("installed", Some(format!("Installed {version}")), Some(action))
            }
            ListingState::Registered(registered) => Self::of_registered(registered, now_ms),
            ListingState::Unknown => {
                let note = "The marketplace can’t say right now whether this is installed here.".to_owned();
                Self { note: Some(note), ..Self::plain("available", None, None) }
            }
        }
    }

    pub(super) fn of_job(job: &Job) -> Self {
        let badge = match job.wish {
            _ if !job.is_moving() => "Needs your attention",
            Wish::Install => "Installing…",
            Wish::Remove => "Removing…",
        };
        let note = (job.wish == Wish::Remove)
            .then(|| "Its access to your shop ends as soon as the marketplace has been told.".to_owned());
        Self {
            waiting: Waiting::of(job),
            note,
            since_ms: Some(job.requested_at_ms),
            ..Self::plain("pending", Some(badge.to_owned()), None)
        }
    }

    /// Since when it has been changing by itself; none if it does not.
    pub(super) fn moving_since_ms(&self) -> Option<i64> {
        let waits_for_you = self.needs_you || self.waiting.as_ref().is_some_and(|one| one.accept.is_some());
        self.since_ms.filter(|_| self.state == "pending" && !waits_for_you)
    }

    pub(super) fn plain(state: &'static str, badge: Option<String>, action: Option<Action>) -> Self {
        Self { state, badge, action, ..Self::default() }
    }
}

impl Action {
    /// A hosted or static app is asked about first, on a page of its own.
    fn of(product: &Product, kind: &'static str, label: String) -> Self {
        let asks = kind == "install" && product.kind.has_installation();
        Self {
            kind,
            asks: asks.then(|| super::pages::consent_path(&product.marketplace_id)),
            label,
            version: product.version.to_string(),
            allowed: String::new(),
            added: Vec::new(),
        }
    }

    pub(super) fn update(version: &Version, added_permissions: &[String]) -> Self {
        Self {
            kind: "update",
            asks: None,
            label: format!("Update to {version}"),
            version: version.to_string(),
            allowed: added_permissions.join(" "),
            added: in_words(added_permissions),
        }
    }
}

impl Waiting {
    fn of(job: &Job) -> Option<Self> {
        let problem = job.problem.as_ref()?;
        let (accept, lines) = match problem {
            Problem::Retrying { .. } => (None, Vec::new()),
            Problem::Failed { .. } => (Some("Try again"), Vec::new()),
            Problem::NewKey { key, .. } => {
                (Some("Trust this key and go on"), vec![format!("Key {}", key.key_id())])
            }
            Problem::Consent { added } => (Some("Allow and go on"), in_words(added)),
        };
        let again = if accept.is_none() { ". It will be tried again by itself." } else { "." };
        let message = format!("{}{again}", sentence(&problem.to_string()));
        Some(Self { message, accept, shown: job.question().unwrap_or_default(), lines })
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

/// An RFC 3339 time.
pub(super) fn unix_ms(text: &str) -> Option<i64> {
    let at = OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
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

/// How an app comes into the shop, for a shopkeeper.
pub(super) fn kind_label(kind: AppKind) -> &'static str {
    match kind {
        AppKind::Plugin => "Plugin",
        AppKind::Static => "Static app",
        AppKind::Hosted => "Hosted app",
        AppKind::Other => "Other",
    }
}

/// Permissions in plain words.
pub(super) fn in_words(permissions: &[String]) -> Vec<String> {
    permissions.iter().map(|permission| in_plain_words(permission)).collect()
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
