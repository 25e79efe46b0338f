//! Bytes to changes. Pure: no I/O, no clock, no async; it cannot panic on any input, and what it cannot know is a value.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod mysql;
pub mod postgres;
