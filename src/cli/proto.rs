//! `tailwater proto`: the captured tables as `.proto` files.

use super::connect::{self, Identity, Server};
use super::{Error, Exit};
use crate::model::code;
use crate::wire::api::v1::GetDescriptorsRequest;
use crate::wire::api::v1::catalog_service_client::CatalogServiceClient;
use crate::wire::proto_text;
use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Write the files and those of the API below this folder, as protoc expects them [default: print the tables]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Only these tables: system.schema.table, `*` matches anything; repeatable
    #[arg(long = "table", value_name = "PATTERN")]
    tables: Vec<String>,
    /// Only these entities; `*` matches anything; repeatable
    #[arg(long = "entity", value_name = "NAME")]
    entities: Vec<String>,
    #[command(flatten)]
    identity: Identity,
}

pub(super) async fn execute(config: Option<&Path>, args: &Args) -> Result<Exit, Error> {
    let config = connect::load(config)?;
    let server = Server::connect(&config, &args.identity).await?;
    let request =
        server.request(GetDescriptorsRequest { tables: args.tables.clone(), entities: args.entities.clone() });
    let mut catalog = CatalogServiceClient::new(server.channel).max_decoding_message_size(connect::MESSAGE_BYTES_MAX);
    let answer = catalog.get_descriptors(request).await.map_err(connect::refused)?.into_inner();
    let files = FileDescriptorSet::decode(answer.file_descriptor_set)
        .map_err(|error| Error::failed(code::CLI_BAD_FRAME, format!("the descriptors: {error}")))?;
    match &args.out {
        Some(folder) => write(folder, &files.file)?,
        None => print(&files.file)?,
    }
    Ok(Exit::Fine)
}

fn print(files: &[FileDescriptorProto]) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    for file in files {
        writeln!(out, "// {}\n{}", file.name(), proto_text::print(file))?;
    }
    Ok(())
}

/// The API comes with the tables, so that a client is generated from this one folder.
fn write(folder: &Path, files: &[FileDescriptorProto]) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    let api = proto_text::API_FILES.iter().map(|(name, text)| (*name, (*text).to_owned()));
    let is_api = |name: &str| proto_text::API_FILES.iter().any(|(api, _)| *api == name);
    let tables = files.iter().filter(|file| !is_api(file.name())).map(|file| (file.name(), proto_text::print(file)));
    for (name, text) in api.chain(tables) {
        let path = below(folder, name)?;
        write_file(&path, &text)
            .map_err(|error| Error::failed(code::CLI_OUTPUT, format!("{}: {error}", path.display())))?;
        writeln!(out, "{}", path.display())?;
    }
    Ok(())
}

/// The name comes from the server; it must not lead out of the folder.
fn below(folder: &Path, name: &str) -> Result<PathBuf, Error> {
    if Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) && !name.is_empty() {
        return Ok(folder.join(name));
    }
    Err(Error::failed(code::CLI_BAD_FRAME, format!("a file named `{name}`")))
}

fn write_file(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)
}
