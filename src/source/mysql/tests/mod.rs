//! Behaviour against real, throw-away MySQL and MariaDB servers, each test on every kind that we read.

mod attached;
mod copy;
mod copy_given_up;
mod copy_keys;
mod copy_load;
mod history;
mod incomplete;
mod json;
mod names;
mod preflight;
mod streaming;
mod surprises;
mod types;

// The servers are those of the tests of the whole.
#[path = "../../../../tests/it/harness/mysql.rs"]
mod server;
