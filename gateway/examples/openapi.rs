//! Writes the OpenAPI document: `cargo run -p gateway --example openapi > docs/openapi.json`.

fn main() {
    print!("{}", gateway::openapi::json());
}
