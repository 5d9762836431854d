//! Why we ended a body ourselves.

use std::error::Error;
use std::fmt::{Display, Formatter, Result};
use std::io;
use std::sync::Arc;

/// What a body was ended for, in the error that ends it: everyone who reads on gets the same, and finds the
/// cause in it.
#[derive(Debug, Clone)]
pub struct Cause(Arc<dyn Error + Send + Sync>);

impl Cause {
    pub fn new(error: impl Error + Send + Sync + 'static) -> Cause {
        Cause(Arc::new(error))
    }

    /// Of an error that ended a body.
    pub fn of(error: &io::Error) -> Option<&Cause> {
        error.get_ref()?.downcast_ref()
    }

    /// The cause, if it is one of these.
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
