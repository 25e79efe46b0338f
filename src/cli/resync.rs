//! `tailwater resync`: tables of a target once more from their source, in place, while everything else goes on.

use super::connect::{self, Identity, Server};
use super::{Error, Exit};
use crate::wire::api::v1::ResyncRequest;
use crate::wire::api::v1::admin_service_client::AdminServiceClient;
use serde_json::json;
use std::io::Write as _;
use std::path::Path;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The target's name in the configuration
    target: String,
    /// Tables, as system.schema.table; `*` matches anything [default: those that are halted, all where the target is]
    #[arg(value_name = "TABLE")]
    tables: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    identity: Identity,
}

pub(super) async fn execute(config: Option<&Path>, args: Args) -> Result<Exit, Error> {
    let config = connect::load(config)?;
    let server = Server::connect(&config, &args.identity).await?;
    let request = server.request(ResyncRequest { target: args.target.clone(), tables: args.tables });
    let answer = AdminServiceClient::new(server.channel).resync(request).await.map_err(connect::refused)?;
    let tables = answer.into_inner().tables;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", json!({ "target": args.target, "tables": tables }))?;
        return Ok(Exit::Fine);
    }
    if tables.is_empty() {
        writeln!(out, "nothing is halted at {}; name the tables to be copied again", args.target)?;
    }
    for table in &tables {
        writeln!(out, "{table} is copied again; `tailwater status` shows when it is ready")?;
    }
    Ok(Exit::Fine)
}
