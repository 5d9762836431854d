//! State kept between requests: stored responses, and the fetches that requests wait for. A second tier would
//! go here.

pub mod flight;
pub mod store;
