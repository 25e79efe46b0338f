//! Protobuf: our API's generated types, names and numbers, descriptors of tables, cells in wire form, the JSON form.

pub mod cell;
pub mod civil;
pub mod descriptor;
pub mod fields;
pub mod json;
pub mod naming;
pub mod proto_text;
pub mod row;
pub mod varint;

/// Generated from `proto/`.
#[allow(missing_docs, clippy::all, clippy::pedantic, rustdoc::invalid_html_tags)]
pub mod api {
    pub mod v1 {
        tonic::include_proto!("tailwater.v1");
    }
    pub mod types {
        pub mod v1 {
            tonic::include_proto!("tailwater.types.v1");
        }
    }
    /// All of `proto/` as a FileDescriptorSet.
    pub const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("tailwater");
}
