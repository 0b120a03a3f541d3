//! The whole marketplace in one process: `demo` to try it, `serve` to run it on one machine.
//!
//! The services are the same as in the five processes; [`assembly`] hands them embedded parts.

pub mod assembly;
pub mod cli;
pub mod demo;
mod health;
mod keys;
mod private;
pub mod secrets;
pub mod serve;
pub mod settings;
