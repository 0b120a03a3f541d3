//! Our bytes in other people's libraries, and our pages in a browser. `cargo xtask interop` runs this with what it
//! needs; the scripts and their pins are in `interop/` of this crate.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod browser;
mod libraries;
mod prometheus;
mod tools;
