//! Delivers the journal to whoever may see it: one cursor each, filtered by what their roles are entitled to.
//!
//! Owns who may see which table, the resume tokens, the durable subscriptions, and the frames of a stream; `grpc` puts
//! them on the network. It only ever reads what is durable, and nothing here can hold the journal or a source back: a
//! reader that does not read costs its own buffers, and is told "resume point gone" when retention passes it.

mod class;
mod cursor;
mod encode_frame;
mod filter;
pub mod grpc;
mod mask;
mod refusal;
mod resume;
mod rows;
mod state;
mod subject;
mod subscriptions;
mod tail;
pub mod target;
pub mod verify;
mod view;

pub use cursor::Cursor;
