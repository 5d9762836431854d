/// A whole response, made by a plugin. Its body has at most 1 MiB; a larger one is a fault.
///
/// ```
/// use tollgate_plugin::Reply;
///
/// Reply::problem(401, "no key").header("www-authenticate", "Bearer");
/// Reply::new(204);
/// Reply::new(200).header("content-type", "text/plain").body("hello");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 200 to 599; anything else is a fault of the plugin.
    pub status: u16,
    /// The gateway adds the lengths.
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Reply {
    /// An empty response.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Reply {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A problem response as RFC 9457 has it: `application/problem+json` with `status` and `detail`.
    #[must_use]
    pub fn problem(status: u16, detail: &str) -> Self {
        let body = serde_json::json!({ "status": status, "detail": detail }).to_string();
        Reply::new(status)
            .header("content-type", "application/problem+json")
            .body(body)
    }

    /// A JSON response.
    ///
    /// # Errors
    /// If the value cannot be written as JSON, for example a map whose keys are not strings.
    pub fn json(status: u16, value: &impl serde::Serialize) -> crate::Result<Self> {
        Ok(Reply::new(status)
            .header("content-type", "application/json")
            .body(serde_json::to_vec(value)?))
    }

    /// Adds a header line.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}
