//! The `tailwater` program: one crypto provider, one runtime, one command, one exit code.

#![forbid(unsafe_code)]

use clap::Parser as _;
use std::io::Write as _;
use std::process::ExitCode;
use tailwater::cli::{Cli, Error, Exit};

/// Steadier memory than glibc's under many small messages; RocksDB uses it too.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> anyhow::Result<ExitCode> {
    // Before anything can ask for TLS. It fails only when one is installed already, and then there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("tailwater").build()?;
    let exit = runtime.block_on(cli.execute()).unwrap_or_else(|error| tell(&error));
    Ok(exit.into())
}

/// What went wrong and what comes next, for a person, on standard error.
fn tell(error: &Error) -> Exit {
    let exit = error.exit();
    if exit != Exit::Fine {
        let mut stderr = std::io::stderr().lock();
        // With standard error gone the exit code still tells.
        let _ = writeln!(stderr, "{error}");
        if let Some(next) = error.next() {
            let _ = writeln!(stderr, "next: {next}");
        }
    }
    exit
}
