//! The two ways between Stripe and payments-svc: a network each, and somebody who passes on what goes there.

use std::{collections::BTreeMap, net::SocketAddr};

use testkit::{
    proxy::{Proxy, Weather},
    relay::{Manner, Relay},
};

use crate::fault::Way;

/// Both ways; what is not laid yet changes nothing.
#[derive(Debug, Default)]
pub struct Roads(BTreeMap<Way, Road>);

/// From the caller to the network, to the relay, to who is called.
#[derive(Debug)]
struct Road {
    proxy: Proxy,
    relay: Relay,
}

impl Roads {
    /// Lays one way to `target`, which may not be there yet; where it begins.
    pub async fn lay(&mut self, way: Way, target: SocketAddr) -> anyhow::Result<SocketAddr> {
        let relay = Relay::start(target).await?;
        let proxy = Proxy::start(relay.address()).await?;
        let begins = proxy.address();
        self.0.insert(way, Road { proxy, relay });
        Ok(begins)
    }

    /// Changes what happens to the connections of one way.
    pub fn set_weather(&self, way: Way, weather: Weather) {
        if let Some(road) = self.0.get(&way) {
            road.proxy.set(weather);
        }
    }

    /// Changes what happens to the requests of one way.
    pub fn set_manner(&self, way: Way, manner: Manner) {
        if let Some(road) = self.0.get(&way) {
            road.relay.set(manner);
        }
    }
}
