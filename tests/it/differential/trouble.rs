//! What happens to the server and to Tailwater in the middle of a round.

use crate::harness::rng::Rng;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    None,
    /// It is killed, the rest happens, it starts again.
    Tailwater,
    ServerCrash,
    ServerRestart,
    /// A look in between.
    Pause,
}

pub fn of_a_round(rng: &mut Rng) -> Trouble {
    match rng.below(6) {
        0 | 1 => Trouble::Tailwater,
        2 => Trouble::ServerCrash,
        3 => Trouble::ServerRestart,
        4 => Trouble::Pause,
        _ => Trouble::None,
    }
}
