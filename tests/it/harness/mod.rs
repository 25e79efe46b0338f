//! What the tests stand on: real servers, a subscriber that keeps a model, a load, a comparison, an oracle.
//!
//! Nothing here knows the product's insides: it is a binary, a config file, a command line and a gRPC API. The generated
//! client is the only thing taken from the crate. Surprise: waiting is always for a condition ([`eventually`]); the only
//! sleeps are between two looks.

pub mod compare;
pub mod follower;
pub mod listener;
pub mod load;
pub mod mysql;
pub mod oracle;
pub mod postgres;
pub mod power_cut;
pub mod process;
pub mod replica;
pub mod rng;
pub mod schema;
pub mod tailwater;
pub mod tls;
pub mod value;
pub mod warehouse;

use std::time::{Duration, Instant};

/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits until `probe` gives a value and returns it. The probe's error says what is still missing; after `within` the test
/// fails with the last one.
pub async fn eventually<T>(what: &str, within: Duration, mut probe: impl AsyncFnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + within;
    loop {
        match probe().await {
            Ok(value) => return value,
            Err(missing) if Instant::now() > deadline => panic!("{what}: not within {within:?}: {missing}"),
            Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

/// `Ok` when it holds; otherwise what was seen.
pub fn holds(it_does: bool, seen: impl FnOnce() -> String) -> Result<(), String> {
    if it_does { Ok(()) } else { Err(seen()) }
}

/// How many rounds of a fault to run: `usual`, or `TAILWATER_SOAK` where that is more.
pub fn rounds(usual: usize) -> usize {
    let asked = std::env::var("TAILWATER_SOAK").ok().and_then(|text| text.parse().ok());
    usual.max(asked.unwrap_or(0))
}

/// The seed of a randomised test: `TAILWATER_SEED` to repeat a run, else a new one. Printed, so that a failure shows it.
pub fn seed() -> u64 {
    let seed = std::env::var("TAILWATER_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    println!("TAILWATER_SEED={seed}");
    seed
}
