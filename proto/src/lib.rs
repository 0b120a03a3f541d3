//! The contracts between Mercato's services: gRPC services and the events on the bus.
//!
//! The `.proto` files beside this crate are the source; the types here are generated from them at build time.
#![allow(missing_docs, clippy::pedantic, reason = "generated code")]

/// `mercato.catalog.v1`: what shops read and operators publish.
pub mod catalog {
    tonic::include_proto!("mercato.catalog.v1");
}

/// `mercato.license.v1`: instances, their keys and licences.
pub mod license {
    tonic::include_proto!("mercato.license.v1");
}

/// `mercato.payments.v1`: checkout and orders.
pub mod payments {
    tonic::include_proto!("mercato.payments.v1");
}

/// `mercato.webhooks.v1`: endpoints, deliveries and their attempts.
pub mod webhooks {
    tonic::include_proto!("mercato.webhooks.v1");
}

/// `mercato.events.v1`: the payloads on the bus.
pub mod events {
    tonic::include_proto!("mercato.events.v1");

    /// The subjects of contracts.md section 7.
    pub mod subject {
        pub const ORDER_PAID: &str = "payments.v1.order_paid";
        pub const LICENSE_ISSUED: &str = "licensing.v1.license_issued";
        pub const LICENSE_CHANGED: &str = "licensing.v1.license_changed";
        pub const TENANT_CHANGED: &str = "licensing.v1.tenant_changed";
        pub const INSTALLATION_REQUESTED: &str = "licensing.v1.installation_requested";
        pub const INSTALLATION_UPDATE_REQUESTED: &str = "licensing.v1.installation_update_requested";
        pub const INSTALLATION_REMOVAL_REQUESTED: &str = "licensing.v1.installation_removal_requested";
        pub const INSTALLATION_CHANGED: &str = "licensing.v1.installation_changed";
        pub const RELEASE_PUBLISHED: &str = "catalog.v1.release_published";
        pub const RELEASE_YANKED: &str = "catalog.v1.release_yanked";
        pub const APP_CHANGED: &str = "catalog.v1.app_changed";
        pub const CALLBACK_SETTLED: &str = "webhooks.v1.callback_settled";
        pub const DELIVERY_DEAD: &str = "webhooks.v1.delivery_dead";
        pub const ENDPOINT_CHANGED: &str = "webhooks.v1.endpoint_changed";
        pub const ENDPOINT_DISABLED: &str = "webhooks.v1.endpoint_disabled";
        pub const ENDPOINT_ENABLED: &str = "webhooks.v1.endpoint_enabled";
    }

    /// What the `sealed_...` fields are sealed for: whoever opens one names the purpose again.
    pub mod purpose {
        pub const WEBHOOK_SECRET: &str = "bus.webhook_secret";
        pub const LICENSE_KEY: &str = "bus.license_key";
        pub const CUSTOMER_EMAIL: &str = "bus.customer_email";
        pub const API_KEY: &str = "bus.api_key";
        pub const APP_SECRET: &str = "bus.app_secret";
    }
}

pub use prost;

/// The encoded file descriptor set, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/mercato.bin"));
