//! Headers of an answer that go on to the upstream. The authorizer reads them and cannot change the
//! request; the transformer, called next, can, and has not seen the answer. Between them they travel
//! in a note of this entry's own.

use tollgate_plugin::fetch::Answer;
use tollgate_plugin::{EditableRequest, Request, Result};

/// Names in lower case.
pub struct Forward(pub Vec<String>);

const NOTE: &str = "forward";

impl Forward {
    pub fn note(&self, request: &Request, answer: &Answer) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        // A line each; no value has a line break. A note is text, and a value any bytes: each byte
        // becomes the character of its number.
        let mut note = String::new();
        for name in &self.0 {
            for value in answer.header_values(name) {
                note.push_str(name);
                note.push(':');
                note.extend(value.iter().map(|byte| char::from(*byte)));
                note.push('\n');
            }
        }
        request.set_attribute(NOTE, &note)
    }

    pub fn write(&self, request: &mut EditableRequest<'_>) -> Result<()> {
        // What a client sends under these names must not stand in for what the service did not say.
        // Nor under one that is read as these, so they are removed though they may not be there.
        for name in &self.0 {
            request.remove_header(name)?;
        }
        if self.0.is_empty() {
            return Ok(());
        }
        let note = request.own_attribute(NOTE).unwrap_or_default();
        for line in note.split_terminator('\n') {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            let bytes: Result<Vec<u8>, _> = value.chars().map(u8::try_from).collect();
            request.append_header(name, bytes?)?;
        }
        Ok(())
    }
}
