//! The server over real loopback connections, with the generated client and a real journal.

mod access;
mod durable;
mod fixture;
mod limits;
mod resume;
mod snapshots;
mod state;
mod streams;
