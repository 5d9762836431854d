//! The tests: each starts the real binary on free ports, with real components. One file per feature.

mod components;
mod kinds;
mod scene;

mod attacks;
mod bodies;
mod cache;
mod config;
mod contract;
mod decisions;
mod edits;
mod faults;
mod fidelity;
mod h1;
mod hostile;
mod http_cache;
mod isolation;
mod layers;
mod limits;
mod loading;
mod observed;
mod odd;
mod onion;
mod plugins;
mod reach;
mod readmes;
mod refused;
mod secrets;
mod snapshot;
mod stop;
mod streams;
mod upstreams;
mod wasip2;
