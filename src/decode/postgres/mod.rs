//! pgoutput (protocol version 1) and PostgreSQL's text forms.

pub mod array;
pub mod calendar;
pub mod charset;
pub mod message;
mod reader;
pub mod text;
pub mod types;
