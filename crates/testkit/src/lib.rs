//! What only tests need: real servers with throw-away data, receivers that misbehave on demand, a collector of spans,
//! proxies that record every byte or cut and stall connections, clocks that are stepped, and service binaries that can be
//! killed.
//!
//! Nothing here mocks a part of Mercato. The servers are PostgreSQL, NATS and Valkey as they run in production.

#[cfg(feature = "http")]
pub mod capture;
pub mod child;
pub mod clock;
#[cfg(feature = "trace")]
pub mod collector;
mod eventually;
pub mod market;
pub mod paths;
mod port;
mod probe;
pub mod process;
pub mod proxy;
#[cfg(feature = "raw")]
pub mod raw;
#[cfg(feature = "http")]
pub mod receiver;
#[cfg(feature = "market")]
pub mod relay;
pub mod servers;
#[cfg(feature = "raw")]
pub mod tls;

pub use eventually::{Log, eventually};
pub use port::{free_port, free_ports, local_address};
