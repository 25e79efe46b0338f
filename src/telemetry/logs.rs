//! Logs, to standard error: text for people, JSON for machines, one line an event.

use clap::ValueEnum;
use std::io::IsTerminal as _;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt as _;

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// One line for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `filter`: a level (`info`) or directives (`info,tailwater::source=debug`). Only the first call has an effect.
///
/// # Errors
/// The filter does not read as one.
pub fn init(format: Format, filter: &str) -> Result<(), tracing_subscriber::filter::ParseError> {
    let filter = EnvFilter::builder().parse(filter)?;
    let logs = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start in one process, as tests do, keeps the first one's logs.
    let _ = match format {
        Format::Text => logs.with_ansi(std::io::stderr().is_terminal()).finish().try_init(),
        Format::Json => logs.json().flatten_event(true).with_current_span(false).finish().try_init(),
    };
    Ok(())
}
