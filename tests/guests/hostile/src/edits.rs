//! The acts that need a pen: `edit` and `header-bomb`.

use tollgate_plugin::{EditableRequest, EditableResponse, Result};

use crate::{Hook, escape};

/// What both pens can do.
pub trait Pen {
    fn set(&mut self, name: &str, value: &[u8]) -> Result<()>;
    fn append(&mut self, name: &str, value: &[u8]) -> Result<()>;
    fn apply(&mut self, edit: &Edit) -> Result<()>;
}

impl Pen for EditableRequest<'_> {
    fn set(&mut self, name: &str, value: &[u8]) -> Result<()> {
        self.set_header(name, value)
    }

    fn append(&mut self, name: &str, value: &[u8]) -> Result<()> {
        self.append_header(name, value)
    }

    fn apply(&mut self, edit: &Edit) -> Result<()> {
        match &edit.what {
            What::Set(value) => self.set_header(&edit.subject, value),
            What::Append(value) => self.append_header(&edit.subject, value),
            What::Remove => self.remove_header(&edit.subject),
            What::Method => self.set_method(&edit.subject),
            What::Path => self.set_path(&edit.subject),
            What::Query => self.set_query(Some(&edit.subject)),
            What::RemoveQuery => self.set_query(None),
            What::Authority => self.set_authority(&edit.subject),
            What::Status(_) => Err("a request has no status".into()),
        }
    }
}

impl Pen for EditableResponse<'_> {
    fn set(&mut self, name: &str, value: &[u8]) -> Result<()> {
        self.set_header(name, value)
    }

    fn append(&mut self, name: &str, value: &[u8]) -> Result<()> {
        self.append_header(name, value)
    }

    fn apply(&mut self, edit: &Edit) -> Result<()> {
        match &edit.what {
            What::Set(value) => self.set_header(&edit.subject, value),
            What::Append(value) => self.append_header(&edit.subject, value),
            What::Remove => self.remove_header(&edit.subject),
            What::Status(status) => self.set_status(*status),
            What::Method | What::Path | What::Query | What::RemoveQuery | What::Authority => {
                Err("a response has only headers and a status".into())
            }
        }
    }
}

/// One line of `edits`.
pub struct Edit {
    operation: String,
    /// The header's name, or the new method, path, query, authority or status.
    subject: String,
    what: What,
}

enum What {
    Set(Vec<u8>),
    Append(Vec<u8>),
    Remove,
    Method,
    Path,
    Query,
    RemoveQuery,
    Authority,
    Status(u16),
}

impl Edit {
    /// Reads `["set", name, value]`, `["append", name, value]`, `["remove", name]`, `["set-method",
    /// method]`, `["set-path", path]`, `["set-query", query]`, `["set-query"]` (no query),
    /// `["set-authority", authority]` or `["set-status", status]`.
    pub fn read(words: &[String], hook: Hook) -> Result<Edit> {
        let mut words = words.iter().map(String::as_str);
        let operation = words.next().unwrap_or_default();
        let (subject, value, more) = (words.next(), words.next(), words.next());
        let what = match (operation, subject, value) {
            ("set", Some(_), Some(value)) => What::Set(latin1(value)?),
            ("append", Some(_), Some(value)) => What::Append(latin1(value)?),
            ("remove", Some(_), None) => What::Remove,
            ("set-method", Some(_), None) => What::Method,
            ("set-path", Some(_), None) => What::Path,
            ("set-query", Some(_), None) => What::Query,
            ("set-query", None, None) => What::RemoveQuery,
            ("set-authority", Some(_), None) => What::Authority,
            ("set-status", Some(status), None) => What::Status(status.parse()?),
            _ => return Err(format!("`{operation}` is no edit, or has other operands").into()),
        };
        let fits = match what {
            What::Set(_) | What::Append(_) | What::Remove => hook != Hook::Authorize,
            What::Status(_) => hook == Hook::TransformResponse,
            _ => hook == Hook::TransformRequest,
        };
        if more.is_some() || !fits {
            return Err(format!("`{operation}` has too many operands or not this hook").into());
        }
        Ok(Edit {
            operation: operation.to_owned(),
            subject: subject.unwrap_or_default().to_owned(),
            what,
        })
    }
}

/// One byte for each character, so that a configuration can name any byte.
fn latin1(text: &str) -> Result<Vec<u8>> {
    text.chars()
        .map(|char| u8::try_from(char).map_err(|_| format!("`{char}` is above U+00FF").into()))
        .collect()
}

/// Makes each edit; reports each that is refused in `x-refused: operation subject: text`.
pub fn edit(pen: &mut impl Pen, edits: &[Edit]) -> Result<()> {
    for edit in edits {
        if let Err(refusal) = pen.apply(edit) {
            let line = format!("{} {}: {refusal}", edit.operation, edit.subject);
            pen.append("x-refused", escape(line.as_bytes()).as_bytes())?;
        }
    }
    Ok(())
}

/// Sets one huge value, then appends `x-bomb` lines of 1 KiB until one is refused. Tells in
/// `x-bomb-count` how many it got, and in `x-bomb-huge` whether the huge one was `refused` or `taken`.
pub fn header_bomb(pen: &mut impl Pen) -> Result<()> {
    let huge = match pen.set("x-huge", &vec![b'h'; 1 << 20]) {
        Ok(()) => "taken",
        Err(_) => "refused",
    };
    pen.set("x-bomb-huge", huge.as_bytes())?;
    // Before the room is used up, and as long as it will be.
    pen.set("x-bomb-count", b"000000")?;
    let line = [b'b'; 1024];
    let mut count = 0;
    while pen.append("x-bomb", &line).is_ok() {
        count += 1;
    }
    pen.set("x-bomb-count", format!("{count:06}").as_bytes())
}
