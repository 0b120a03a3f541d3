//! What is put on the bus, as license-svc puts it, and what a shop is told of it.

use bytes::Bytes;
use platform::{AppResult, Ids, bus::Message, sealing::Sealer, telemetry::TraceContext};
use proto::{
    events::{LicenseIssued, TenantChanged, TenantSecret, purpose, subject},
    prost::Message as _,
};

use super::shop::Shop;

const APP: &str = "@bench/app";
const VERSION: &str = "1.0.0";
/// Behind the number in each body: the buyer's domain and the end of the object.
const TAIL: &[u8] = b"@shop.example\"}";
const DIGITS: usize = 10;

/// The body that tells of the licence of this number, byte by byte.
pub(crate) fn body(number: usize) -> Bytes {
    let (license_key, buyer) = (license_key(number), buyer(number));
    format!(
        r#"{{"marketplace_id":"{APP}","version":"{VERSION}","license_key":"{license_key}","purchased_by":"{buyer}"}}"#
    )
    .into()
}

/// Of which licence a body tells: read from its end, for this is done with every request.
pub(crate) fn number_in(body: &[u8]) -> Option<usize> {
    let before = body.strip_suffix(TAIL)?;
    let digits = before.get(before.len().checked_sub(DIGITS)?..)?;
    digits.iter().try_fold(0_usize, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + usize::from(digit - b'0'))
    })
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
            assert_eq!(number_in(&body(number)), Some(number));
        }
    }

    #[test]
    fn what_is_no_body_of_ours_has_no_number() {
        for body in ["", "{}", "@shop.example\"}", "buyer-00000000x1@shop.example\"}"] {
            assert_eq!(number_in(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn a_body_is_json_as_shops_are_told() {
        let told: serde_json::Value = serde_json::from_slice(&body(12_345)).unwrap();
        assert_eq!(told["license_key"], "CC-0000-0000-0000-0001-2345");
        assert_eq!(told["purchased_by"], "buyer-0000012345@shop.example");
        assert_eq!((&told["marketplace_id"], &told["version"]), (&APP.into(), &VERSION.into()));
    }
}
