//! mercato-wire
