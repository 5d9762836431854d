//! What guests may call on a response.

use http::StatusCode;
use wasmtime::Result;
use wasmtime::component::Resource;

use super::bindings::tollgate::plugin::http as wit;
use super::edits::{Edit, first, lines, names, values};
use super::state::{ResponseEditsHandle, ResponseHandle, State};
use crate::http::side::Side;
use crate::limits::plugin::EDIT_BYTES;

impl wit::HostResponse for State {
    fn status(&mut self, _: Resource<ResponseHandle>) -> Result<u16> {
        self.works(0)?;
        Ok(self.response()?.status.as_u16())
    }

    fn header(&mut self, _: Resource<ResponseHandle>, name: String) -> Result<Option<Vec<u8>>> {
        self.works(name.len())?;
        Ok(first(&self.response()?.headers, &name))
    }

    fn header_values(&mut self, _: Resource<ResponseHandle>, name: String) -> Result<Vec<Vec<u8>>> {
        self.works(name.len())?;
        Ok(values(&self.response()?.headers, &name))
    }

    fn header_names(&mut self, _: Resource<ResponseHandle>) -> Result<Vec<String>> {
        self.works(0)?;
        Ok(names(&self.response()?.headers))
    }

    fn headers(&mut self, _: Resource<ResponseHandle>) -> Result<Vec<(String, Vec<u8>)>> {
        self.works(0)?;
        Ok(lines(&self.response()?.headers))
    }

    fn drop(&mut self, _: Resource<ResponseHandle>) -> Result<()> {
        Ok(())
    }
}

impl wit::HostResponseEdits for State {
    fn set_status(&mut self, _: Resource<ResponseEditsHandle>, status: u16) -> Edit {
        self.works(EDIT_BYTES)?;
        Ok(match StatusCode::from_u16(status) {
            Ok(code) if (200..=599).contains(&status) => {
                self.edit_response()?.status = code;
                Ok(())
            }
            _ => Err(format!("{status} is not between 200 and 599")),
        })
    }

    fn set_header(
        &mut self,
        _: Resource<ResponseEditsHandle>,
        name: String,
        value: Vec<u8>,
    ) -> Edit {
        self.set_field(Side::Response, &name, &value)
    }

    fn append_header(
        &mut self,
        _: Resource<ResponseEditsHandle>,
        name: String,
        value: Vec<u8>,
    ) -> Edit {
        self.append_field(Side::Response, &name, &value)
    }

    fn remove_header(&mut self, _: Resource<ResponseEditsHandle>, name: String) -> Edit {
        self.remove_field(Side::Response, &name)
    }

    fn drop(&mut self, _: Resource<ResponseEditsHandle>) -> Result<()> {
        Ok(())
    }
}
