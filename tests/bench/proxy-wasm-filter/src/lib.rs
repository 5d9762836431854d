//! The benchmark's filter for Envoy, the same as `tests/guests/bench-filter`: reads `x-bench-in`, sets
//! `x-bench-request` to it and, on the response, `x-bench-response`.

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root { tag: "1".to_owned() }));
}}

struct Root {
    tag: String,
}

impl Context for Root {}

impl RootContext for Root {
    /// The configuration is the value of `x-bench-response`, 1 if it is empty.
    fn on_configure(&mut self, _: usize) -> bool {
        if let Some(tag) = self.get_plugin_configuration() {
            match String::from_utf8(tag) {
                Ok(tag) => self.tag = tag,
                Err(_) => return false,
            }
        }
        true
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Filter {
            tag: self.tag.clone(),
        }))
    }
}

struct Filter {
    tag: String,
}

impl Context for Filter {}

impl HttpContext for Filter {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        if let Some(value) = self.get_http_request_header_bytes("x-bench-in") {
            self.set_http_request_header_bytes("x-bench-request", Some(&value));
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        self.set_http_response_header("x-bench-response", Some(&self.tag));
        Action::Continue
    }
}
