//! mercato-tenant
