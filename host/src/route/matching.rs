//! What a route says of the requests that it is for.

use http::Method;

use super::host::HostPattern;
use super::template::PathTemplate;

/// Which requests a route serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// Empty: any.
    pub methods: Vec<Method>,
    /// Empty: any.
    pub hosts: Vec<HostPattern>,
    pub path: PathTemplate,
    /// Settles what the other rules leave open; higher wins.
    pub priority: i32,
}
