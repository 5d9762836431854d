//! Tollgate: a programmable API gateway. See ARCHITECTURE.md for the map.

pub mod config;
pub mod error;
pub mod http;
pub mod limits;
pub mod plugin;
pub mod route;
pub mod upstream;
