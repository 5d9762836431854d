//! Lets its handles go in an order that the request chooses (`x-bit`), and answers the numbers of those
//! that a later request is handed (`x-tell`). The SDK lets nobody do either.

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package test:handles;
            world guest {
                import tollgate:plugin/http@0.1.0;
                export tollgate:plugin/lifecycle@0.1.0;
                export tollgate:plugin/authorizer@0.1.0;
                export tollgate:plugin/request-transformer@0.1.0;
                export tollgate:plugin/response-transformer@0.1.0;
            }
        ",
        path: "../../../wit",
        generate_all,
    });
}

use bindings::exports::tollgate::plugin::{
    authorizer, lifecycle, request_transformer, response_transformer,
};
use bindings::tollgate::plugin::http::{Reply, Request, RequestEdits, Response, ResponseEdits};

struct Guest;

impl lifecycle::Guest for Guest {
    fn describe() -> String {
        r#"{"name":"handles","version":"0.1.0","summary":"For tests","config-schema":{}}"#.into()
    }

    fn configure(_: String) -> Result<(), String> {
        Ok(())
    }
}

impl authorizer::Guest for Guest {
    fn authorize(_: &Request) -> Result<authorizer::Decision, String> {
        Ok(authorizer::Decision {
            verdict: authorizer::Verdict::Allow(authorizer::Grant {
                principal: "anyone".into(),
                usage_key: None,
                claims: Vec::new(),
            }),
            remember_ms: None,
        })
    }
}

impl request_transformer::Guest for Guest {
    fn transform_request(
        request: &Request,
        edits: &RequestEdits,
    ) -> Result<request_transformer::Outcome, String> {
        if request.header("x-tell").is_none() {
            return Ok(request_transformer::Outcome::Next);
        }
        Ok(request_transformer::Outcome::Respond(Reply {
            status: 200,
            headers: Vec::new(),
            body: format!("{} {}", request.handle(), edits.handle()).into_bytes(),
        }))
    }
}

impl response_transformer::Guest for Guest {
    fn transform_response(
        request: &Request,
        response: &Response,
        edits: &ResponseEdits,
    ) -> Result<response_transformer::Outcome, String> {
        let bit = request.header("x-bit").is_some_and(|bit| bit == b"1");
        let (response, edits) = (response.take_handle(), edits.take_handle());
        let request = request.take_handle();
        // SAFETY: taken, each is dropped here and nowhere else.
        unsafe {
            if bit {
                drop(Response::from_handle(response));
                drop(ResponseEdits::from_handle(edits));
            } else {
                drop(ResponseEdits::from_handle(edits));
                drop(Response::from_handle(response));
            }
            drop(Request::from_handle(request));
        }
        Ok(response_transformer::Outcome::Next)
    }
}

bindings::export!(Guest with_types_in bindings);
