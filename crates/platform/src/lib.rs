//! mercato-platform
