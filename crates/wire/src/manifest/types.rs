//! The field types of a manifest that other messages use too.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

const MAX_SLUG: usize = 64;

/// Lower-case letters, digits and hyphens, a letter or digit at both ends.
pub(super) fn is_slug(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty()
        && text.len() <= MAX_SLUG
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// An app's name in the marketplace, `@vendor/name` (contracts.md sections 1 and 8).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MarketplaceId {
    text: String,
    slash: usize,
}

/// A text that is no [`MarketplaceId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "a marketplace id is written @vendor/name, each part of lower-case letters, digits and hyphens, at most 64"
)]
pub struct ParseMarketplaceIdError;

impl MarketplaceId {
    /// The whole text, `@vendor/name`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part between `@` and `/`.
    #[must_use]
    pub fn vendor(&self) -> &str {
        &self.text[1..self.slash]
    }

    /// The part after `/`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.text[self.slash + 1..]
    }
}

impl FromStr for MarketplaceId {
    type Err = ParseMarketplaceIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.strip_prefix('@').and_then(|rest| rest.split_once('/'));
        match parts {
            Some((vendor, name)) if is_slug(vendor) && is_slug(name) => {
                Ok(Self { text: text.to_owned(), slash: vendor.len() + 1 })
            }
            _ => Err(ParseMarketplaceIdError),
        }
    }
}

impl TryFrom<String> for MarketplaceId {
    type Error = ParseMarketplaceIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<MarketplaceId> for String {
    fn from(id: MarketplaceId) -> Self {
        id.text
    }
}

impl AsRef<str> for MarketplaceId {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for MarketplaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What an app is for (contracts.md section 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AppType {
    /// Takes payments.
    Payment,
    /// Ships orders.
    Fulfillment,
    /// Speaks to business customers' systems.
    B2bApi,
    /// A look for the storefront.
    StorefrontTemplate,
    /// A page or widget in the shop's admin.
    AdminExtension,
    /// Brings customers.
    Marketing,
}

/// A text that is no [`AppType`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a type is one of payment, fulfillment, b2b-api, storefront-template, admin-extension, marketing")]
pub struct ParseAppTypeError;

impl AppType {
    /// All types, in the order of the contract.
    pub const ALL: [Self; 6] = [
        Self::Payment,
        Self::Fulfillment,
        Self::B2bApi,
        Self::StorefrontTemplate,
        Self::AdminExtension,
        Self::Marketing,
    ];

    /// The text in manifests and queries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Fulfillment => "fulfillment",
            Self::B2bApi => "b2b-api",
            Self::StorefrontTemplate => "storefront-template",
            Self::AdminExtension => "admin-extension",
            Self::Marketing => "marketing",
        }
    }
}

impl FromStr for AppType {
    type Err = ParseAppTypeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|app_type| app_type.as_str() == text).ok_or(ParseAppTypeError)
    }
}

impl fmt::Display for AppType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A price in euro, kept in cents and written as a JSON number (`19.99`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Price {
    cents: u32,
}

impl Price {
    /// A free app.
    pub const FREE: Self = Self { cents: 0 };
    /// Stripe charges at most 999 999.99 at once.
    pub const MAX_CENTS: u32 = 99_999_999;

    /// The price of so many cents, if it is not beyond [`Price::MAX_CENTS`].
    #[must_use]
    pub fn from_cents(cents: u32) -> Option<Self> {
        (cents <= Self::MAX_CENTS).then_some(Self { cents })
    }

    /// The price in cents.
    #[must_use]
    pub fn cents(self) -> u32 {
        self.cents
    }

    /// Whether the app costs nothing.
    #[must_use]
    pub fn is_free(self) -> bool {
        self.cents == 0
    }

    /// Reads the number by its decimal text, so that no binary fraction is rounded into a price.
    #[must_use]
    pub fn from_json(number: &serde_json::Number) -> Option<Self> {
        let text = number.to_string();
        let (euros, fraction) = text.split_once('.').unwrap_or((&text, "0"));
        if fraction.len() > 2 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let cents: u32 = format!("{fraction:0<2}").parse().ok()?;
        let euros: u32 = euros.bytes().all(|b| b.is_ascii_digit()).then(|| euros.parse().ok())??;
        Self::from_cents(euros.checked_mul(100)?.checked_add(cents)?)
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.cents / 100, self.cents % 100)
    }
}

impl Serialize for Price {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.cents.is_multiple_of(100) {
            serializer.serialize_u32(self.cents / 100)
        } else {
            serializer.serialize_f64(f64::from(self.cents) / 100.0)
        }
    }
}

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        Self::from_json(&number).ok_or_else(|| {
            serde::de::Error::custom("a price is a number from 0 to 999999.99 with at most two decimals")
        })
    }
}
