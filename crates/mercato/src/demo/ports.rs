//! Where the demo listens: always on this machine only.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr},
};

use anyhow::{Context as _, bail};
use tokio::net::TcpListener;

/// Which ports are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ports {
    /// 8080 for the API, 8081 for Stripe's events, 8082 for the admin port, 8090 for the shop, 12111 for stripe-sim,
    /// 8091 for the hosted app.
    #[default]
    Usual,
    /// From this one on: the API, Stripe's events, the admin port, the shop, stripe-sim, the hosted app.
    From(u16),
    /// Whatever is free.
    Free,
}

/// The numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Numbers {
    gateway: u16,
    payments: u16,
    admin: u16,
    shop: u16,
    stripe: u16,
    hosted: u16,
}

/// The listeners.
pub(super) struct Bound {
    pub(super) gateway: TcpListener,
    pub(super) payments: TcpListener,
    pub(super) admin: TcpListener,
    pub(super) shop: TcpListener,
    pub(super) stripe: TcpListener,
    pub(super) hosted: TcpListener,
}

impl Ports {
    /// Takes them all, or says which one is not free.
    pub(super) async fn bind(self) -> anyhow::Result<Bound> {
        let numbers = self.numbers()?;
        Ok(Bound {
            gateway: bind("the REST API", numbers.gateway).await?,
            payments: bind("Stripe's events", numbers.payments).await?,
            admin: bind("the admin port", numbers.admin).await?,
            shop: bind("the shop", numbers.shop).await?,
            stripe: bind("the stand-in for Stripe", numbers.stripe).await?,
            hosted: bind("the hosted app", numbers.hosted).await?,
        })
    }

    fn numbers(self) -> anyhow::Result<Numbers> {
        Ok(match self {
            Self::Usual => Numbers {
                gateway: 8080,
                payments: 8081,
                admin: 8082,
                shop: 8090,
                stripe: 12111,
                hosted: 8091,
            },
            Self::Free => Numbers { gateway: 0, payments: 0, admin: 0, shop: 0, stripe: 0, hosted: 0 },
            Self::From(base) => {
                let Some(_) = base.checked_add(5).filter(|_| base > 0) else {
                    bail!("--port-base must leave room for six ports: from 1 to 65530");
                };
                Numbers {
                    gateway: base,
                    payments: base + 1,
                    admin: base + 2,
                    shop: base + 3,
                    stripe: base + 4,
                    hosted: base + 5,
                }
            }
        })
    }
}

async fn bind(what: &str, port: u16) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpListener::bind(address).await {
        Err(error) if error.kind() == ErrorKind::AddrInUse => bail!(
            "port {port} for {what} is taken by another program; \
             --port-base N takes six ports from N on, --ephemeral takes free ones"
        ),
        bound => bound.with_context(|| format!("cannot listen on {address} for {what}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_ports_follow_the_base_and_must_fit() {
        let numbers = Ports::From(9000).numbers().unwrap();
        assert_eq!((numbers.gateway, numbers.hosted), (9000, 9005));
        assert!(Ports::From(65_530).numbers().is_ok());
        assert!(Ports::From(65_531).numbers().is_err());
        assert!(Ports::From(0).numbers().is_err());
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_named_with_the_way_out() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = bind("the shop", port).await.unwrap_err().to_string();
        assert!(error.contains(&format!("port {port} for the shop is taken")), "{error}");
        assert!(error.contains("--port-base") && error.contains("--ephemeral"), "{error}");
    }
}
