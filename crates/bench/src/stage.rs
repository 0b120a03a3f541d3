//! The marketplace that is measured: five processes on real servers, as shipped but for the limits.

use testkit::market::{Admin, Delivery, Limits, Market, Options, Package, Topology, Vendor};

/// An empty marketplace with an operator and a vendor.
pub(crate) struct Stage {
    pub(crate) market: Market,
    pub(crate) admin: Admin,
    vendor: Vendor,
}

impl Stage {
    pub(crate) async fn open() -> anyhow::Result<Self> {
        eprintln!("starting the five services …");
        let options = Options { limits: Limits::Lifted, delivery: Delivery::AsShipped, ..Options::default() };
        let market = Market::start(Topology::FiveProcesses, options).await?;
        let admin = market.admin()?;
        let vendor = admin.create_vendor("bench").await?;
        Ok(Self { market, admin, vendor })
    }

    /// Publishes so many paid apps; their ids.
    pub(crate) async fn publish(&self, count: usize) -> anyhow::Result<Vec<String>> {
        let mut apps = Vec::with_capacity(count);
        for number in 1..=count {
            let app = format!("@bench/app-{number}");
            self.admin.import(&self.vendor, &Package::new(&app).price_cents(4900)).await?;
            apps.push(app);
        }
        Ok(apps)
    }
}
