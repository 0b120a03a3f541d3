//! Compiles the contracts with protox: no system protoc is needed.

use std::{env, error::Error, path::PathBuf};

use prost::Message as _;

const FILES: [&str; 5] = [
    "catalog/v1/catalog.proto",
    "license/v1/license.proto",
    "payments/v1/payments.proto",
    "webhooks/v1/webhooks.proto",
    "events/v1/events.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    for file in FILES {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(FILES, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    std::fs::write(out.join("mercato.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .type_attribute(".", "#[allow(missing_docs, clippy::pedantic)]")
        .compile_fds(descriptors)?;
    Ok(())
}
