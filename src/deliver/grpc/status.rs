//! Refusals as gRPC statuses: the message starts with the code, and metadata `tailwater-code` carries it alone.

use crate::deliver::refusal::{Kind, Refusal};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

const METADATA_CODE: &str = "tailwater-code";

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let mut status = Status::new(grpc_code(refusal.kind), refusal.problem.to_string());
        let code = MetadataValue::from_static(refusal.problem.code.as_str());
        status.metadata_mut().insert(METADATA_CODE, code);
        status
    }
}

fn grpc_code(kind: Kind) -> Code {
    match kind {
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::Forbidden => Code::PermissionDenied,
        Kind::Invalid => Code::InvalidArgument,
        Kind::NotFound => Code::NotFound,
        Kind::Busy => Code::AlreadyExists,
        Kind::Exhausted => Code::ResourceExhausted,
        Kind::Precondition => Code::FailedPrecondition,
        Kind::Replaced => Code::Aborted,
        Kind::ResumePointGone => Code::OutOfRange,
        Kind::Unavailable => Code::Unavailable,
        Kind::Damaged => Code::DataLoss,
    }
}
