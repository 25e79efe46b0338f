//! `tailwater subscribe`: changes on standard output, whole transactions only.
//!
//! A transaction is printed when its Commit arrives, so a line always carries the cursor from which to go on, and a
//! connection that breaks in the middle prints nothing twice. The price: a transaction is held in memory until then.

mod line;
mod schema;
mod stream;

use super::connect::{self, Identity};
use super::{Error, Exit};
use clap::ValueEnum;
use std::path::Path;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Tables, as system.schema.table; `*` matches anything; repeatable
    #[arg(long = "table", value_name = "PATTERN", required_unless_present = "entities")]
    tables: Vec<String>,
    /// Entities; repeatable
    #[arg(long = "entity", value_name = "NAME")]
    entities: Vec<String>,
    /// earliest, latest, state (all rows, then what changes), or the cursor of a line printed before; a durable subscription
    /// goes on from what it acknowledged
    #[arg(long, value_name = "WHERE", default_value = "latest")]
    from: String,
    /// A durable subscription: the server remembers what was printed
    #[arg(long, value_name = "NAME")]
    subscription: Option<String>,
    /// End the stream that holds the durable subscription now
    #[arg(long, requires = "subscription")]
    takeover: bool,
    /// If what the durable subscription acknowledged last is no longer held, go on from --from, without what lies between
    #[arg(long, requires = "subscription")]
    accept_gap: bool,
    /// Stop after so many changes; a transaction cut short by it is not acknowledged
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// How a change is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// End when the connection breaks, instead of going on from the last cursor
    #[arg(long)]
    no_reconnect: bool,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Format {
    /// One JSON object a line
    Json,
    /// One line for people
    Text,
}

pub(super) async fn execute(config: Option<&Path>, args: Args) -> Result<Exit, Error> {
    let config = connect::load(config)?;
    stream::follow(&config, args).await?;
    Ok(Exit::Fine)
}
