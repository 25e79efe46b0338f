//! Server reflection of our own API, for tools such as grpcurl. Behind the gate, for administrators.

use crate::wire::api;
use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer};
use tonic_reflection::server::{Builder, Error};

pub fn service(request_bytes_max: usize) -> Result<ServerReflectionServer<impl ServerReflection>, Error> {
    let service = Builder::configure()
        .register_encoded_file_descriptor_set(api::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    Ok(service.max_decoding_message_size(request_bytes_max))
}
