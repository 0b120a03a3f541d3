//! The bus in: a message becomes a use case's argument.

mod callbacks;
mod orders;
mod releases;

use platform::bus::{ConsumeError, Message};

pub(crate) use self::{callbacks::callbacks, orders::orders, releases::releases};

fn decode<E: prost::Message + Default>(message: &Message) -> Result<E, ConsumeError> {
    E::decode(message.payload.clone()).map_err(|error| ConsumeError::Reject(error.to_string()))
}
