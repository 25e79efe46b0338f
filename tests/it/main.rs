//! The product against real servers, from outside: its binary, config, command line and gRPC API.

mod access;
mod attach;
mod blocked;
mod cli;
mod crash;
mod demo;
mod differential;
mod entities;
mod harness;
mod judge;
mod layering;
mod mysql;
mod mysql_attach;
mod mysql_target;
mod power_cut;
mod python_client;
mod random_values;
mod rehearsal;
mod size;
mod snapshot;
mod surprises;
mod target;
mod types_page;
mod unseen;
mod unseen_mysql;
mod verify;
