/// What a hook or `configure` returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A text for the operator: why a configuration is refused, or what went wrong in a call.
///
/// Made from a string, or by `?` from anything that implements [`std::error::Error`]; the causes of
/// such an error are part of the text. It does not implement that trait itself, since the conversion
/// would then overlap with the standard library's.
#[derive(Clone, PartialEq, Eq)]
pub struct Error(String);

impl<E: Into<Box<dyn std::error::Error>>> From<E> for Error {
    fn from(error: E) -> Self {
        let error: Box<dyn std::error::Error> = error.into();
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        Error(text)
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
