//! The keys of a shop, and how long the old ones live after a rotation.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use platform::{clock::millis, secret::Secret};

use super::Invalid;

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// `pk_…` of one instance, sent on every read.
    Publishable,
    /// `pk_…` of no single instance.
    Shared,
    /// `sk_…`, for management calls.
    Secret,
}

impl KeyKind {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Publishable, "publishable"), (Self::Shared, "shared"), (Self::Secret, "secret")];

    /// As it is stored.
    pub(crate) fn as_str(self) -> &'static str {
        Self::ALL.into_iter().find(|(kind, _)| *kind == self).map_or("", |(_, text)| text)
    }

    /// The kind that is stored as `text`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known)| *known == text).map(|(kind, _)| kind)
    }

    /// A new key of this kind out of 32 random bytes.
    pub(crate) fn mint(self, random: [u8; 32]) -> Secret {
        let prefix = if self == Self::Secret { "sk" } else { "pk" };
        Secret::new(format!("{prefix}_{}", BASE64_URL_SAFE_NO_PAD.encode(random)))
    }
}

const MAX_OVERLAP: Duration = Duration::from_hours(30 * 24);

/// How long the old keys live on beside the new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overlap(Duration);

impl Overlap {
    /// Bounded, so that no forgotten key lives for ever.
    pub(crate) fn from_seconds(seconds: u64) -> Result<Self, Invalid> {
        let overlap = Duration::from_secs(seconds);
        if overlap > MAX_OVERLAP {
            return Err(Invalid("overlap_seconds must be at most 2592000 (30 days)"));
        }
        Ok(Self(overlap))
    }

    /// When the old keys end.
    pub(crate) fn ends_at_ms(self, now_ms: i64) -> i64 {
        now_ms + millis(self.0)
    }
}

/// What is to be made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rotation {
    pub(crate) publishable_key: bool,
    pub(crate) secret_key: bool,
    pub(crate) webhook_secret: bool,
    pub(crate) overlap: Overlap,
}

impl Rotation {
    /// A rotation of nothing is a mistake.
    pub(crate) fn check(self) -> Result<Self, Invalid> {
        if self.publishable_key || self.secret_key || self.webhook_secret {
            return Ok(self);
        }
        Err(Invalid("name what to rotate: publishable_key, secret_key or webhook_secret"))
    }
}

/// The name that an operator gives to a shared key.
pub(crate) fn label(text: &str) -> Result<String, Invalid> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 100 || text.chars().any(char::is_control) {
        return Err(Invalid("label must be 1 to 100 characters"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_key_tells_its_kind_and_holds_all_its_randomness() {
        assert!(KeyKind::Publishable.mint([1; 32]).starts_with("pk_"));
        assert!(KeyKind::Shared.mint([1; 32]).starts_with("pk_"));
        let key = KeyKind::Secret.mint([0xfb; 32]);
        let decoded = BASE64_URL_SAFE_NO_PAD.decode(key.strip_prefix("sk_").unwrap()).unwrap();
        assert_eq!(decoded, [0xfb; 32]);
    }

    #[test]
    fn a_kind_survives_its_text() {
        for (kind, _) in KeyKind::ALL {
            assert_eq!(KeyKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(KeyKind::parse("admin"), None);
    }

    #[test]
    fn an_overlap_is_bounded_and_may_be_nothing() {
        assert_eq!(Overlap::from_seconds(0).unwrap().ends_at_ms(5), 5);
        assert_eq!(Overlap::from_seconds(60).unwrap().ends_at_ms(5), 60_005);
        assert!(Overlap::from_seconds(2_592_001).is_err());
        assert!(Overlap::from_seconds(u64::MAX).is_err());
    }

    #[test]
    fn a_rotation_of_nothing_is_refused() {
        let overlap = Overlap::from_seconds(0).unwrap();
        let nothing = Rotation { publishable_key: false, secret_key: false, webhook_secret: false, overlap };
        assert!(nothing.check().is_err());
        assert!(Rotation { secret_key: true, ..nothing }.check().is_ok());
    }

    #[test]
    fn a_label_is_a_line_of_text() {
        assert_eq!(label(" central ").unwrap(), "central");
        assert!(label("  ").is_err() && label("a\nb").is_err() && label(&"a".repeat(101)).is_err());
    }
}
