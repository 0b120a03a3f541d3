//! mercato-testkit
