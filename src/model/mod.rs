//! Pure values that every other area speaks in: names, positions, sequences, schemas, codes.
//!
//! Nothing here does I/O, knows a clock, a database driver or protobuf.

pub mod checkpoint;
pub mod code;
pub mod copy;
pub mod finding;
pub mod gtid;
pub mod name;
pub mod pattern;
pub mod position;
pub mod problem;
pub mod schema;
pub mod time;
pub mod types;
pub mod value_type;
