//! `tailwater snapshot`: a new copy of tables, made beside the stream. `tailwater status` tells how it comes on.

use super::connect::{self, Identity, Server};
use super::{Error, Exit};
use crate::wire::api::v1::RequestSnapshotRequest;
use crate::wire::api::v1::admin_service_client::AdminServiceClient;
use std::io::Write as _;
use std::path::Path;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Captured tables, as system.schema.table; `*` matches anything
    #[arg(value_name = "PATTERN", required = true)]
    tables: Vec<String>,
    /// Print one JSON object: tables
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    identity: Identity,
}

pub(super) async fn execute(config: Option<&Path>, args: &Args) -> Result<Exit, Error> {
    let config = connect::load(config)?;
    let server = Server::connect(&config, &args.identity).await?;
    let request = server.request(RequestSnapshotRequest { tables: args.tables.clone() });
    let mut admin = AdminServiceClient::new(server.channel);
    let tables = admin.request_snapshot(request).await.map_err(connect::refused)?.into_inner().tables;
    let text = if args.json { serde_json::json!({ "tables": tables }).to_string() } else { tables.join("\n") };
    writeln!(std::io::stdout().lock(), "{text}")?;
    Ok(Exit::Fine)
}
