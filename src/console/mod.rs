//! HTTP: health, readiness and metrics, on a listener of its own.
//!
//! Reads what others know and changes nothing. It needs no token, so it shows no table's name and no value.

mod listener;
mod routes;

pub use routes::{Service, serve};
