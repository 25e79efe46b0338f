//! The journal against a plain model of itself, and against what can happen to its files.

mod copies;
mod damage;
mod fixture;
mod limits;
mod model;
mod reading;
mod schemas;
