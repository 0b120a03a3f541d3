//! license-svc
