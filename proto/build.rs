//! Generates the API from the `.proto` files, without protoc, and keeps their descriptors for reflection and `tailwater proto`.

use prost::Message as _;
use std::error::Error;
use std::path::PathBuf;

const FILES: [&str; 5] = [
    "tailwater/types/v1/types.proto",
    "tailwater/v1/change.proto",
    "tailwater/v1/subscription.proto",
    "tailwater/v1/catalog.proto",
    "tailwater/v1/admin.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("tailwater.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
