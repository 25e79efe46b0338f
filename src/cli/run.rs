//! `tailwater run`.

use super::{Error, Exit};
use crate::app;
use crate::config::{self, Passwords};
use crate::model::code;
use crate::telemetry::{self, Format};
use std::path::Path;

#[derive(clap::Args)]
pub(super) struct Args {
    /// How log lines are written, to standard error
    #[arg(long, value_enum, default_value = "text")]
    log_format: Format,
    /// error, warn, info, debug, trace, or directives such as `info,tailwater::source=debug`
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: String,
}

pub(super) async fn execute(config: Option<&Path>, args: &Args) -> Result<Exit, Error> {
    telemetry::init_logs(args.log_format, &args.log_level)
        .map_err(|error| Error::usage(code::CLI_BAD_OPTION, format!("--log-level {}: {error}", args.log_level)))?;
    let environment = |name: &str| std::env::var(name).ok();
    let config = config::load(&config::find(config)?, Passwords::Read(&environment))?;
    let metrics =
        telemetry::install_metrics().map_err(|error| Error::failed(code::APP_STOPPED, format!("metrics: {error}")))?;
    app::run(config, metrics).await?;
    Ok(Exit::Fine)
}
