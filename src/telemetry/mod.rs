//! What the process tells of itself: logs and metrics, set up once in `main`'s name.
//!
//! Never a cell value, never a secret. An ERROR means that a person must act.

mod logs;
mod metrics;

pub use logs::{Format, init as init_logs};
pub use metrics::{Metrics, install as install_metrics};
