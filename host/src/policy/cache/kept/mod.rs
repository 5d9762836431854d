//! What is kept between requests: stored responses, and who waits for which fetch. A second tier would be here.

pub mod flight;
pub mod store;
