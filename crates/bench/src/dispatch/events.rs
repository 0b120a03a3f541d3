//! What is put on the bus, as license-svc puts it, and what a shop is told of it.

use bytes::Bytes;
use platform::{AppResult, Ids, bus::Message, sealing::Sealer, telemetry::TraceContext};
use proto::{
    events::{LicenseIssued, ReleaseChanged, TenantChanged, TenantSecret, purpose, subject},
    prost::Message as _,
};

use super::shop::Shop;

const APP: &str = "@bench/app";
const VERSION: &str = "1.0.0";
/// Behind the number in the body of a licence: the buyer's domain and the end of the object.
const LICENSE_TAIL: &[u8] = b"@shop.example\"}";
/// The same of a release: the end of its changelog's address.
const RELEASE_TAIL: &[u8] = b"\",\"security\":false}";
const DIGITS: usize = 10;

/// How deliveries come of messages. Deliveries are numbered; one shop after the other has the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Each has a message of its own, which tells of a licence.
    Each,
    /// One message, which tells of a release, makes one for each shop.
    All,
}

impl Form {
    /// The name of the event.
    pub(crate) fn event(self) -> &'static str {
        match self {
            Self::Each => "license-issued",
            Self::All => "release-published",
        }
    }

    /// On which subject its messages are.
    pub(crate) fn subject(self) -> &'static str {
        match self {
            Self::Each => subject::LICENSE_ISSUED,
            Self::All => subject::RELEASE_PUBLISHED,
        }
    }

    /// What the delivery of this number, of so many shops, says, byte by byte.
    pub(crate) fn body(self, number: usize, shops: usize) -> Bytes {
        match self {
            Self::Each => license_body(number),
            Self::All => release_body(number / shops),
        }
    }
}

/// Of which delivery a body is that this shop, of so many, was sent: read from its end, for this is done with every
/// request.
pub(crate) fn number_in(body: &[u8], shop: usize, shops: usize) -> Option<(Form, usize)> {
    if let Some(before) = body.strip_suffix(LICENSE_TAIL) {
        return Some((Form::Each, digits(before)?));
    }
    let release = digits(body.strip_suffix(RELEASE_TAIL)?)?;
    Some((Form::All, release * shops + shop))
}

fn digits(before: &[u8]) -> Option<usize> {
    let digits = before.get(before.len().checked_sub(DIGITS)?..)?;
    digits.iter().try_fold(0_usize, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + usize::from(digit - b'0'))
    })
}

fn license_body(number: usize) -> Bytes {
    let (license_key, buyer) = (license_key(number), buyer(number));
    format!(
        r#"{{"marketplace_id":"{APP}","version":"{VERSION}","license_key":"{license_key}","purchased_by":"{buyer}"}}"#
    )
    .into()
}

fn release_body(release: usize) -> Bytes {
    let changelog = changelog(release);
    format!(
        r#"{{"marketplace_id":"{APP}","version":"{VERSION}","changelog_url":"{changelog}","security":false}}"#
    )
    .into()
}

fn changelog(release: usize) -> String {
    format!("https://bench.example/{release:0DIGITS$}")
}

fn license_key(number: usize) -> String {
    format!("CC-0000-0000-0000-{:04}-{:04}", number / 10_000, number % 10_000)
}

fn buyer(number: usize) -> String {
    format!("buyer-{number:0DIGITS$}@shop.example")
}

/// Makes the messages; secrets are sealed for the bus.
pub(crate) struct Events {
    pub(crate) sealer: Sealer,
    pub(crate) ids: Ids,
}

impl Events {
    /// A shop with its URL and its secret.
    pub(crate) fn tenant_changed(&self, shop: &Shop) -> AppResult<Message> {
        let sealed_secret = self.sealer.seal(purpose::WEBHOOK_SECRET, shop.secret.expose().as_bytes())?;
        let event = TenantChanged {
            instance_id: shop.instance_id.clone(),
            base_url: format!("http://{}", shop.address),
            disabled: false,
            secrets: vec![TenantSecret { sealed_secret, expires_at_ms: None }],
            revision: 1,
        };
        Ok(self.message(subject::TENANT_CHANGED, event.encode_to_vec()))
    }

    /// The licence of this number, issued for the shop.
    pub(crate) fn license_issued(&self, shop: &Shop, number: usize) -> AppResult<Message> {
        let event = LicenseIssued {
            license_id: self.ids.generate("lic"),
            order_id: self.ids.generate("ord"),
            instance_id: shop.instance_id.clone(),
            marketplace_id: APP.to_owned(),
            version: VERSION.to_owned(),
            sealed_license_key: self.sealer.seal(purpose::LICENSE_KEY, license_key(number).as_bytes())?,
            sealed_purchased_by: self.sealer.seal(purpose::CUSTOMER_EMAIL, buyer(number).as_bytes())?,
        };
        Ok(self.message(subject::LICENSE_ISSUED, event.encode_to_vec()))
    }

    /// A release of the app; the number tells it from others.
    pub(crate) fn release_published(&self, release: usize) -> Message {
        let event = ReleaseChanged {
            marketplace_id: APP.to_owned(),
            version: VERSION.to_owned(),
            release_id: self.ids.generate("rel"),
            changelog_url: Some(changelog(release)),
            ..ReleaseChanged::default()
        };
        self.message(subject::RELEASE_PUBLISHED, event.encode_to_vec())
    }

    fn message(&self, subject: &str, payload: Vec<u8>) -> Message {
        Message {
            id: self.ids.generate("evt"),
            subject: subject.to_owned(),
            payload: payload.into(),
            trace: TraceContext::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_body_tells_its_number() {
        for number in [0, 7, 20_000, 9_999_999_999] {
            assert_eq!(number_in(&license_body(number), 3, 100), Some((Form::Each, number)));
        }
        for number in [0, 7, 20_000, 999_999_999_999] {
            let (body, shop) = (Form::All.body(number, 100), number % 100);
            assert_eq!(number_in(&body, shop, 100), Some((Form::All, number)));
        }
    }

    #[test]
    fn what_is_no_body_of_ours_has_no_number() {
        for body in
            ["", "{}", "@shop.example\"}", "buyer-00000000x1@shop.example\"}", "\",\"security\":false}"]
        {
            assert_eq!(number_in(body.as_bytes(), 0, 1), None, "{body}");
        }
    }

    #[test]
    fn a_body_is_json_as_shops_are_told() {
        let told: serde_json::Value = serde_json::from_slice(&license_body(12_345)).unwrap();
        assert_eq!(told["license_key"], "CC-0000-0000-0000-0001-2345");
        assert_eq!(told["purchased_by"], "buyer-0000012345@shop.example");
        assert_eq!((&told["marketplace_id"], &told["version"]), (&APP.into(), &VERSION.into()));
        let told: serde_json::Value = serde_json::from_slice(&release_body(12)).unwrap();
        assert_eq!(told["changelog_url"], "https://bench.example/0000000012");
        assert_eq!(told["security"], false);
    }
}
