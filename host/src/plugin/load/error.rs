//! Why something does not load.

/// Why a plugin or one of its configurations does not load, in words for the operator.
#[derive(Debug, Clone)]
pub enum LoadError {
    /// The plugin itself.
    Plugin(Vec<String>),
    /// Its configuration: JSON pointers into it, and what is wrong there.
    Config(Vec<(String, String)>),
}

impl LoadError {
    pub(in crate::plugin) fn plugin(text: impl Into<String>) -> Self {
        LoadError::Plugin(vec![text.into()])
    }

    pub(in crate::plugin) fn config(text: impl Into<String>) -> Self {
        LoadError::Config(vec![(String::new(), text.into())])
    }
}
