//! What every Mercato service needs, and no business word.
//!
//! Configuration, telemetry, life cycle, health, stores, outbox and inbox, the bus, limits, sealing of secrets,
//! clock and randomness, ids, and the error code that maps to both HTTP and gRPC.

pub mod admin;
pub mod bus;
pub mod clock;
pub mod config;
pub mod db;
pub mod error;
pub mod grpc;
pub mod http;
pub mod ids;
pub mod inbox;
pub mod lifecycle;
pub mod limits;
pub mod measure;
pub mod outbox;
pub mod parts;
pub mod principal;
pub mod random;
pub mod sealing;
pub mod secret;
pub mod service;
pub mod telemetry;
pub mod tls;

/// What every process of ours allocates with. Much that one thread makes another one ends, which the allocator of the C
/// library is slow at: `bench dispatch` tells the two apart.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub use clock::Clock;
pub use error::{AppError, AppResult, Code};
pub use ids::Ids;
pub use parts::Parts;
pub use principal::Principal;
pub use random::Random;
pub use tokio_util::sync::CancellationToken as Shutdown;
