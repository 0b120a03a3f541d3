//! payments-svc
