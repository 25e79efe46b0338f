//! The process: what `tailwater run` starts, in which order, and how it ends.

mod copies;
mod data_dir;
mod doubts;
mod endpoints;
mod error;
mod govern_status;
mod listeners;
mod preflight;
mod run;
mod signals;
mod status;
mod target_status;

pub use endpoints::Endpoints;
pub use error::Error;
pub use preflight::{journal_exists, preflight};
pub use run::run;
