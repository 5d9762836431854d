//! Why the gateway ended a body itself.

use std::error::Error;
use std::fmt::{Display, Formatter, Result};
use std::io;
use std::sync::Arc;

/// The reason why a body was ended, inside the error that ends it: each further read gets the same error and
/// cause.
#[derive(Debug, Clone)]
pub struct Cause(Arc<dyn Error + Send + Sync>);

impl Cause {
    pub fn new(error: impl Error + Send + Sync + 'static) -> Cause {
        Cause(Arc::new(error))
    }

    /// Returns the cause in an error that ended a body.
    pub fn of(error: &io::Error) -> Option<&Cause> {
        error.get_ref()?.downcast_ref()
    }

    /// Returns the cause if it is an `E`.
    pub fn get<E: Error + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }
}

impl Display for Cause {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.0.fmt(f)
    }
}

impl Error for Cause {}

impl From<Cause> for io::Error {
    fn from(cause: Cause) -> Self {
        io::Error::other(cause)
    }
}
