//! `mercato demo --buy`: one purchase, by the calls that a person's browser and a shop make.

use anyhow::{Context as _, bail, ensure};
use platform::{Clock, Random, secret::Secret};
use reqwest::{Client as Http, StatusCode, redirect::Policy};
use tenant::{
    Client, ClientConfig,
    client::{FeedQuery, IssuedLicense, LicenseQuestion, Product},
    license::{Expected, verify_token},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use url::Url;
use wire::license_key::LicenseKey;

use super::{
    Demo,
    shop::{Pages, location},
};

/// Tells each step with its milliseconds.
pub(super) struct Stopwatch {
    clock: Clock,
    began_ms: i64,
    last_ms: i64,
}

struct Buyer<'a> {
    demo: &'a Demo,
    http: Http,
    client: Client,
    shop: Pages,
    random: Random,
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        let clock = Clock::system();
        let now_ms = clock.now_ms();
        Self { clock, began_ms: now_ms, last_ms: now_ms }
    }

    fn step(&mut self, what: &str) {
        self.step_at(what, self.clock.now_ms());
    }

    /// A step that another part of the system has noted the time of.
    fn step_at(&mut self, what: &str, at_ms: i64) {
        let at_ms = at_ms.max(self.last_ms);
        println!("{:>6} ms  {what}", at_ms - self.last_ms);
        self.last_ms = at_ms;
    }

    fn total(&self) {
        println!("{:>6} ms  in all", self.last_ms - self.began_ms);
    }
}

/// Buys the first paid app that the shop does not have, or says that it has them all.
pub(super) async fn one(demo: &Demo, mut watch: Stopwatch) -> anyhow::Result<()> {
    watch.step(&format!("ready: the marketplace in {}", demo.data.display()));
    let buyer = Buyer::new(demo)?;
    let Some(product) = buyer.choose(&mut watch).await.context("reading the feed failed")? else {
        println!("           every paid app is bought and installed already; nothing is left to buy");
        return Ok(());
    };
    let page = buyer.check_out(&product, &mut watch).await.context("starting the checkout failed")?;
    buyer.pay(&page, &mut watch).await.context("paying failed")?;
    let license = buyer.receive(&product, &mut watch).await.context("receiving the app failed")?;
    buyer.verify(&product, &license, &mut watch).await.context("verifying the licence failed")?;
    watch.total();
    Ok(())
}

impl<'a> Buyer<'a> {
    fn new(demo: &'a Demo) -> anyhow::Result<Self> {
        let http = Http::builder().redirect(Policy::none()).build()?;
        let config = ClientConfig {
            url: demo.gateway_url.parse()?,
            publishable_key: Secret::new(&demo.publishable_key),
            secret_key: Some(Secret::new(&demo.secret_key)),
            instance_id: Some(Secret::new(&demo.instance_id)),
        };
        let random = Random::system();
        let client = Client::new(config, random.clone())?;
        Ok(Self { demo, shop: Pages::new(http.clone(), &demo.shop_url), http, client, random })
    }

    async fn choose(&self, watch: &mut Stopwatch) -> anyhow::Result<Option<Product>> {
        let question = FeedQuery { page: 1, per_page: 100, ..FeedQuery::default() };
        let feed = self.client.feed(&question).await?;
        watch.step(&format!("feed read: {} apps", feed.count));
        let shop = self.shop.status().await?;
        let wanted = |one: &Product| !one.price_eur.is_free() && !shop.has(one.marketplace_id.as_str());
        Ok(feed.products.into_iter().find(wanted))
    }

    async fn check_out(&self, product: &Product, watch: &mut Stopwatch) -> anyhow::Result<Url> {
        let (app, version) = (product.marketplace_id.as_str(), product.version.to_string());
        let page = self.shop.buy(app, &version).await?;
        watch.step(&format!(
            "checkout opened in the shop: {} {version} for {} EUR",
            product.name, product.price_eur
        ));
        Ok(page)
    }

    /// Opens the payment page and presses its button.
    async fn pay(&self, page: &Url, watch: &mut Stopwatch) -> anyhow::Result<()> {
        let shown = self.http.get(page.clone()).send().await?;
        ensure!(shown.status() == StatusCode::OK, "the payment page answers {}", shown.status());
        ensure!(shown.text().await?.contains("id=\"pay\""), "the payment page has no button to pay");
        let paid = self.http.post(format!("{page}/pay")).send().await?;
        ensure!(paid.status() == StatusCode::SEE_OTHER, "the payment page answers {}", paid.status());
        let back = location(&paid)?;
        ensure!(back.starts_with(&self.demo.shop_url), "the buyer is not sent back to the shop");
        watch.step("paid on the payment page");
        Ok(())
    }

    /// Waits until the licence has come to the shop by webhook and the app is installed there.
    async fn receive(&self, product: &Product, watch: &mut Stopwatch) -> anyhow::Result<IssuedLicense> {
        let installed = self.shop.wait_for(product.marketplace_id.as_str()).await?;
        let licenses = self.client.licenses().await?;
        let license = licenses.into_iter().find(|license| license.marketplace_id == product.marketplace_id);
        let license = license.context("the shop has the app but no licence for it")?;
        let issued = self.issued_at_ms(&license).await?;
        watch.step_at(&format!("licence issued: {}", license.id), issued);
        let at_ms = installed.installed_at_ms.context("the shop does not say when it was installed")?;
        let version = installed.version;
        watch.step_at(
            &format!("told to the shop by webhook; {version} downloaded, checked, installed"),
            at_ms,
        );
        Ok(license)
    }

    async fn issued_at_ms(&self, license: &IssuedLicense) -> anyhow::Result<i64> {
        let request = self.http.get(format!("{}/admin/licenses/{}", self.demo.gateway_url, license.id));
        let answer = request.bearer_auth(&self.demo.admin_key).send().await?.error_for_status()?;
        let answer: serde_json::Value = answer.json().await?;
        let text = answer["issued_at"].as_str().context("the licence does not say when it was issued")?;
        let issued = OffsetDateTime::parse(text, &Rfc3339)?;
        Ok(i64::try_from(issued.unix_timestamp_nanos() / 1_000_000)?)
    }

    /// Asks the marketplace, and then the token alone, as the shop would without the network.
    async fn verify(
        &self,
        product: &Product,
        license: &IssuedLicense,
        watch: &mut Stopwatch,
    ) -> anyhow::Result<()> {
        let key: LicenseKey = license.license_key.parse()?;
        let nonce = hex::encode(self.random.bytes::<16>());
        let question = LicenseQuestion {
            license_key: &key,
            marketplace_id: &product.marketplace_id,
            version: Some(&product.version),
            nonce: Some(&nonce),
        };
        let answer = self.client.verify(&question).await?;
        if !answer.valid {
            bail!("the marketplace answers {}", answer.code);
        }
        let known = self.client.well_known().await?;
        let expected = Expected {
            issuer: &known.issuer,
            marketplace_id: &product.marketplace_id,
            instance_id: &self.demo.instance_id,
            nonce: Some(&nonce),
        };
        let token = answer.token.context("the answer has no token")?;
        verify_token(&known.jwks, &token, &expected, watch.clock.now_secs())?;
        watch.step(&format!("licence verified: {}, and its token holds without the network", answer.code));
        Ok(())
    }
}
