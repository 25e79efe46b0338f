//! Tailwater: change data capture that knows who owns each field.
//!
//! Areas, each using only those above it: `model`; `decode`, `wire`, `config`, `telemetry`; `source`, `journal`;
//! `govern`; `deliver`; `console`; `app`, `cli`. ARCHITECTURE.md tells the whole story.

#![forbid(unsafe_code)]

pub mod app;
pub mod cli;
pub mod config;
pub mod console;
pub mod decode;
pub mod deliver;
pub mod govern;
pub mod journal;
pub mod model;
pub mod source;
pub mod telemetry;
pub mod wire;
