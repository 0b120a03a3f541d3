//! A shop that is told, and how it checks what it was told.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body_util::Full;
use platform::{Ids, Random};
use wire::{
    standard_webhooks::{self, WebhookSecret},
    timed_signature::{self, TOLERANCE_SECS},
};

use super::events::Form;

/// One endpoint.
pub(crate) struct Shop {
    pub(crate) instance_id: String,
    pub(crate) address: SocketAddr,
    pub(crate) secret: WebhookSecret,
    /// How many shops there are.
    pub(crate) of: usize,
}

/// A request as it came in.
pub(crate) struct Receipt {
    /// At which of the shops.
    pub(crate) shop: usize,
    pub(crate) form: Form,
    pub(crate) number: usize,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Shop {
    pub(crate) fn new(address: SocketAddr, of: usize, ids: &Ids, random: &Random) -> Self {
        let secret = WebhookSecret::from_random(random.bytes());
        Self { instance_id: ids.generate("inst"), address, secret, of }
    }

    /// The same shop once more: secrets are not cloned by accident.
    pub(crate) fn copy(&self) -> anyhow::Result<Self> {
        let secret = self.secret.expose().parse()?;
        Ok(Self { instance_id: self.instance_id.clone(), address: self.address, secret, of: self.of })
    }

    /// The webhook of this number, signed both ways: what a dispatcher sends.
    pub(crate) fn signed(&self, form: Form, number: usize, now: i64) -> anyhow::Result<Request<Full<Bytes>>> {
        let (id, body) = (format!("dly_{number:026}"), form.body(number, self.of));
        let carpha = timed_signature::sign(&[self.secret.expose()], now, &body);
        let standard = standard_webhooks::sign(&[&self.secret], &id, now, &body);
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = format!("/admin/marketplace/{}", form.event()).parse()?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, HeaderValue::try_from(self.address.to_string())?);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("x-carpha-event", HeaderValue::from_static(form.event()));
        headers.insert("x-carpha-delivery-id", HeaderValue::try_from(id.as_str())?);
        headers.insert("x-carpha-signature", HeaderValue::try_from(carpha)?);
        headers.insert("webhook-id", HeaderValue::try_from(id)?);
        headers.insert("webhook-timestamp", now.into());
        headers.insert("webhook-signature", HeaderValue::try_from(standard)?);
        Ok(request)
    }

    /// Checks both signatures and the body, as of `now`.
    pub(crate) fn check(&self, receipt: &Receipt, now: i64) -> anyhow::Result<()> {
        let header = |name: &str| -> anyhow::Result<&str> {
            Ok(receipt.headers.get(name).with_context(|| format!("a webhook without {name}"))?.to_str()?)
        };
        let (id, body) = (header("webhook-id")?, &receipt.body);
        ensure!(*body == receipt.form.body(receipt.number, self.of), "a webhook said something else");
        ensure!(header("x-carpha-delivery-id")? == id, "a webhook has two ids");
        let (t, standard) = (header("webhook-timestamp")?, header("webhook-signature")?);
        standard_webhooks::verify(&[&self.secret], id, t, standard, body, now, TOLERANCE_SECS)?;
        let carpha = header("x-carpha-signature")?;
        timed_signature::verify(&[self.secret.expose()], carpha, body, now, TOLERANCE_SECS)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use platform::Clock;
    use testkit::local_address;

    use super::*;

    fn shop(seed: u64) -> Shop {
        let random = Random::seeded(seed);
        Shop::new(local_address(80), 1, &Ids::new(Clock::manual(0), random.clone()), &random)
    }

    fn receipt(number: usize, now: i64) -> Receipt {
        let request = shop(1).signed(Form::All, number, now).unwrap();
        let (headers, body) = (request.headers().clone(), Form::All.body(number, 1));
        Receipt { shop: 0, form: Form::All, number, headers, body }
    }

    #[test]
    fn what_the_bare_loop_sends_is_what_a_shop_takes() {
        shop(1).check(&receipt(7, 1_000), 1_010).unwrap();
    }

    #[test]
    fn another_secret_body_id_or_time_is_refused() {
        assert!(shop(2).check(&receipt(7, 1_000), 1_000).is_err());
        assert!(shop(1).check(&receipt(7, 1_000), 2_000).is_err());
        assert!(shop(1).check(&Receipt { number: 8, ..receipt(7, 1_000) }, 1_000).is_err());
        for name in ["webhook-id", "x-carpha-delivery-id", "webhook-signature", "x-carpha-signature"] {
            let mut changed = receipt(7, 1_000);
            changed.headers.insert(name, "dly_other".parse().unwrap());
            assert!(shop(1).check(&changed, 1_000).is_err(), "{name}");
        }
    }
}
