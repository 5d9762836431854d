//! The tests: each starts the real binary on free ports, with real components. One file per feature.

mod components;
mod scene;

mod config;
mod contract;
mod edits;
mod fairness;
mod fidelity;
mod h1;
mod hostile;
mod isolation;
mod layers;
mod loading;
mod observed;
mod plugins;
mod refused;
mod snapshot;
mod stop;
mod upstreams;
mod wasip2;
