//! mercato
