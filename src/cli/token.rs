//! `tailwater token`: 32 random bytes, shown once; the configuration keeps their hash.

use super::{Error, Exit};
use crate::model::code;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use std::fmt::Write as _;
use std::io::Write as _;

const TOKEN_BYTES: usize = 32;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Print the lines for `subjects` in the configuration under this name
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// A role of the subject; repeatable
    #[arg(long = "role", value_name = "ROLE", requires = "subject")]
    roles: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(args: &Args) -> Result<Exit, Error> {
    let mut bytes = [0; TOKEN_BYTES];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Error::failed(code::APP_STOPPED, "the system gives no random bytes"))?;
    let token = URL_SAFE_NO_PAD.encode(bytes);
    let hash = token_hash(&token);
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::json!({ "token": token, "token_hash": hash }))?;
        return Ok(Exit::Fine);
    }
    writeln!(out, "# The token, for the subscriber. It is shown this once.\n{token}\n")?;
    match &args.subject {
        Some(subject) => {
            writeln!(out, "# For the configuration:\nsubjects:\n  {subject}:\n    roles: [{}]", args.roles.join(", "))?;
            writeln!(out, "    token_hash: \"{hash}\"")?;
        }
        None => writeln!(out, "# For the configuration, under subjects.<name>:\ntoken_hash: \"{hash}\"")?,
    }
    Ok(Exit::Fine)
}

/// As the configuration keeps it: the hash is over the token's text.
fn token_hash(token: &str) -> String {
    let hash = digest(&SHA256, token.as_bytes());
    hash.as_ref().iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_hash_is_over_the_tokens_text() {
        let expected = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(super::token_hash("abc"), expected);
    }
}
