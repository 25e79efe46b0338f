//! `tailwater explain`: what a code means. Needs no configuration and no server.

use super::{Error, Exit};
use crate::model::code::{self, Code};
use serde_json::json;
use std::io::Write as _;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Such as TW-CFG-005, in any case
    code: Option<String>,
    /// Print one JSON object, or an array of them
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(args: &Args) -> Result<Exit, Error> {
    let mut out = std::io::stdout().lock();
    let Some(text) = &args.code else {
        list(&mut out, args.json)?;
        return Ok(Exit::Fine);
    };
    let found =
        Code::find(text).ok_or_else(|| Error::usage(code::CLI_UNKNOWN_CODE, format!("there is no code `{text}`")))?;
    if args.json {
        writeln!(out, "{}", as_json(found))?;
    } else {
        let entry = found.entry();
        writeln!(out, "{found}: {}\n\nWhy:      {}", entry.what, entry.why)?;
        writeln!(out, "Evidence: {}\nNext:     {}", entry.evidence, entry.next)?;
    }
    Ok(Exit::Fine)
}

fn list(out: &mut impl std::io::Write, json: bool) -> Result<(), Error> {
    if json {
        let all: Vec<_> = Code::all().map(as_json).collect();
        writeln!(out, "{}", serde_json::Value::from(all))?;
        return Ok(());
    }
    for code in Code::all() {
        writeln!(out, "{code}  {}", code.entry().what)?;
    }
    Ok(())
}

fn as_json(code: Code) -> serde_json::Value {
    let entry = code.entry();
    json!({ "code": entry.code, "what": entry.what, "why": entry.why, "evidence": entry.evidence, "next": entry.next })
}
