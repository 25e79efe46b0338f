//! The binary log of MySQL and MariaDB (version 4), and the values in its row events.
//!
//! An event comes as its header and its body, the checksum already cut off. What MariaDB does in its own way is in `mariadb`.

pub mod calendar;
pub mod charset;
pub mod column;
pub mod decimal;
pub mod event;
pub mod gtid;
pub mod json;
pub mod mariadb;
pub mod multibyte;
mod reader;
pub mod rows;
pub mod statement;
pub mod table_map;
pub mod types;
pub mod value;
pub mod versioned;
pub mod xa;

pub use reader::Malformed;
