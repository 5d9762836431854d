//! A route's conditions on requests.

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
    /// Breaks ties of the other rules; higher wins.
    pub priority: i32,
}
