//! The command line: what can be asked, and how the answer is told.
//!
//! Commands that report talk to the running server over gRPC like any other caller; none opens the journal. Exit codes:
//! 0 fine, 1 a problem is reported, 2 the command or the configuration is wrong, 3 the server cannot be reached.

mod check;
mod connect;
mod error;
mod explain;
mod proto;
mod resync;
mod run;
mod snapshot;
mod status;
mod subscribe;
mod table;
mod token;
mod verify;

pub use error::{Error, Exit};

use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Carries every change of your CRM and ERP databases, once and in order, to those who may have it.
#[derive(Parser)]
#[command(
    name = "tailwater",
    version,
    max_term_width = 120,
    after_help = "\
Exit codes: 0 fine; 1 a problem is reported; 2 the command or the configuration is wrong; 3 the server cannot be reached.
Every problem has a code, such as TW-CFG-005: `tailwater explain TW-CFG-005` says what it means and what to do."
)]
pub struct Cli {
    /// The configuration [default: ./tailwater.yaml, then /etc/tailwater/tailwater.yaml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Attach to the sources, keep the journal, serve subscribers; until SIGTERM or SIGINT
    Run(run::Args),
    /// Look for everything that would make a run fail or lie, with the SQL that mends it; exit code 1 when there is an error
    Check(check::Args),
    /// Show sources, journal and subscriptions of the running server; exit code 1 when something is halted
    Status(status::Args),
    /// Make tables of a target equal to their source again by a new copy: after a halt, or after a change by hand
    Resync(resync::Args),
    /// Ask for a new copy of captured tables, made beside the stream; `status` tells how it comes on
    Snapshot(snapshot::Args),
    /// Print changes as they become durable, one line a change
    Subscribe(subscribe::Args),
    /// Print the .proto files of the captured tables, from which protoc and buf make clients
    Proto(proto::Args),
    /// Compare each target's tables with the source's, every row and column; exit code 1 when they differ
    Verify(verify::Args),
    /// Make a token for a subscriber; only its hash goes into the configuration
    Token(token::Args),
    /// Say what a code means and what to do; without a code, list them all
    Explain(explain::Args),
}

impl Cli {
    /// # Errors
    /// [`Error`], which knows its exit code.
    pub async fn execute(self) -> Result<Exit, Error> {
        let config = self.config.as_deref();
        match self.command {
            Command::Run(args) => run::execute(config, &args).await,
            Command::Check(args) => check::execute(config, &args).await,
            Command::Status(args) => status::execute(config, &args).await,
            Command::Resync(args) => resync::execute(config, args).await,
            Command::Snapshot(args) => snapshot::execute(config, &args).await,
            Command::Subscribe(args) => subscribe::execute(config, args).await,
            Command::Proto(args) => proto::execute(config, &args).await,
            Command::Verify(args) => verify::execute(config, &args).await,
            Command::Token(args) => token::execute(&args),
            Command::Explain(args) => explain::execute(&args),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
