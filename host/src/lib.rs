//! Tollgate: a programmable API gateway. ARCHITECTURE.md has the map; the modules stand in the order
//! in which a request meets them.

pub mod cli;
pub mod server;

mod proxy;

mod assembly;
mod reload;

mod gateway;

mod chain;
mod route;

mod plugin;

mod policy;
mod store;

mod upstream;

mod error;
mod http;
mod limits;
mod pace;
mod quote;
mod read_file;
mod shortage;

mod config;
mod observe;

#[cfg(feature = "bench")]
pub mod bench;
