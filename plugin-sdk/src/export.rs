/// Makes a component of a plugin, exporting the hooks named.
///
/// ```ignore
/// export!(Doorkeeper: Authorizer);
/// export!(Headers: RequestTransformer, ResponseTransformer);
/// ```
///
/// The component's name, version and summary are those of the crate (`name`, `version` and
/// `description` in Cargo.toml). Off WebAssembly this only checks that the traits are implemented, so
/// that the crate builds natively for its unit tests.
#[macro_export]
macro_rules! export {
    ($plugin:ident : $($hook:ident),+ $(,)?) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            static PLUGIN: $crate::__private::Slot<$plugin> = $crate::__private::Slot::new();
            struct Component;

            impl $crate::bindings::lifecycle::exports::tollgate::plugin::lifecycle::Guest for Component {
                fn describe() -> ::std::string::String {
                    $crate::__private::describe::<$plugin>(
                        ::core::env!("CARGO_PKG_NAME"),
                        ::core::env!("CARGO_PKG_VERSION"),
                        ::core::env!("CARGO_PKG_DESCRIPTION"),
                    )
                }

                fn configure(
                    config: ::std::string::String,
                ) -> ::core::result::Result<(), ::std::string::String> {
                    PLUGIN.configure(&config)
                }
            }
            $crate::bindings::lifecycle::export!(Component with_types_in $crate::bindings::lifecycle);

            $($crate::__export_hook!($hook, Component, PLUGIN);)+
        };

        #[cfg(not(target_family = "wasm"))]
        const _: () = {
            // A block for each hook: they all define the same name.
            $(const _: () = {
                const fn implements<T: $crate::$hook>() {}
                implements::<$plugin>();
            };)+
        };
    };
}

/// One arm for each hook.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_hook {
    (Authorizer, $component:ident, $slot:ident) => {
        const _: () = {
            use $crate::bindings::authorizer::exports::tollgate::plugin::authorizer::{
                Decision, Guest,
            };
            impl Guest for $component {
                fn authorize(
                    request: &$crate::__private::http::Request,
                ) -> ::core::result::Result<Decision, ::std::string::String> {
                    $crate::__private::authorize($slot.get(), request)
                }
            }
            $crate::bindings::authorizer::export!($component with_types_in $crate::bindings::authorizer);
        };
    };
    (RequestTransformer, $component:ident, $slot:ident) => {
        const _: () = {
            use $crate::bindings::request_transformer::exports::tollgate::plugin::request_transformer::{
                Guest, Outcome,
            };
            impl Guest for $component {
                fn transform_request(
                    request: &$crate::__private::http::Request,
                    edits: &$crate::__private::http::RequestEdits,
                ) -> ::core::result::Result<Outcome, ::std::string::String> {
                    $crate::__private::transform_request($slot.get(), request, edits)
                }
            }
            $crate::bindings::request_transformer::export!($component with_types_in $crate::bindings::request_transformer);
        };
    };
    (ResponseTransformer, $component:ident, $slot:ident) => {
        const _: () = {
            use $crate::bindings::response_transformer::exports::tollgate::plugin::response_transformer::{
                Guest, Outcome,
            };
            impl Guest for $component {
                fn transform_response(
                    request: &$crate::__private::http::Request,
                    response: &$crate::__private::http::Response,
                    edits: &$crate::__private::http::ResponseEdits,
                ) -> ::core::result::Result<Outcome, ::std::string::String> {
                    $crate::__private::transform_response($slot.get(), request, response, edits)
                }
            }
            $crate::bindings::response_transformer::export!($component with_types_in $crate::bindings::response_transformer);
        };
    };
    ($other:ident, $component:ident, $slot:ident) => {
        ::core::compile_error!(::core::concat!(
            "`", ::core::stringify!($other),
            "` is not a hook; hooks are Authorizer, RequestTransformer and ResponseTransformer"
        ));
    };
}

/// What [`export!`](crate::export) expands to; not for authors.
#[doc(hidden)]
pub mod __private {
    pub use crate::bindings::imports::tollgate::plugin::http;

    /// The document that `describe` answers.
    pub fn describe<P: crate::Plugin>(name: &str, version: &str, summary: &str) -> String {
        serde_json::json!({
            "name": name,
            "version": version,
            "summary": summary,
            "config-schema": schemars::schema_for!(P::Config),
        })
        .to_string()
    }

    #[cfg(target_family = "wasm")]
    pub use on_wasm::*;

    #[cfg(target_family = "wasm")]
    mod on_wasm {
        use std::cell::UnsafeCell;

        use super::http;
        use crate::bindings::{authorizer, request_transformer, response_transformer};
        use crate::{
            Authorizer, Decision, EditableRequest, EditableResponse, Outcome, Plugin, Reply,
            Request, RequestTransformer, Response, ResponseTransformer, Verdict,
        };

        /// Heap that `configure` leaves free, in bytes. The snapshot keeps it, so that an ordinary
        /// call never has to grow the memory.
        const FREE_HEAP: usize = 64 * 1024;

        /// Where the configured plugin lives for as long as the instance does.
        pub struct Slot<P>(UnsafeCell<Option<P>>);

        // SAFETY: an instance has one thread, and the host never calls into an instance that has
        // not answered yet, so nothing is ever accessed twice at once.
        unsafe impl<P> Sync for Slot<P> {}

        impl<P: Plugin> Slot<P> {
            #[expect(clippy::new_without_default, reason = "a static needs a const fn")]
            pub const fn new() -> Self {
                Slot(UnsafeCell::new(None))
            }

            /// Parses the configuration and makes the plugin.
            pub fn configure(&self, config: &str) -> Result<(), String> {
                std::panic::set_hook(Box::new(|panic| crate::log::error(&panic.to_string())));
                let config = serde_json::from_str(config).map_err(|error| error.to_string())?;
                let plugin = P::configure(config).map_err(|error| error.to_string())?;
                // SAFETY: see `Sync` above; no reference from `get` is alive while the host calls
                // `configure`.
                unsafe { *self.0.get() = Some(plugin) };
                let mut free = Vec::<u8>::new();
                // A plugin near its limit goes without. Without `black_box` all of this is nothing
                // to an optimiser.
                let _ = free.try_reserve_exact(FREE_HEAP);
                drop(std::hint::black_box(free));
                Ok(())
            }

            /// The plugin. The host configures before it calls a hook.
            pub fn get(&self) -> &P {
                // SAFETY: see `Sync` above; written only by `configure`, which is over.
                unsafe { &*self.0.get() }
                    .as_ref()
                    .expect("a hook was called before `configure`")
            }
        }

        fn reply(reply: Reply) -> http::Reply {
            http::Reply {
                status: reply.status,
                headers: reply.headers,
                body: reply.body,
            }
        }

        pub fn authorize<P: Authorizer>(
            plugin: &P,
            request: &http::Request,
        ) -> Result<authorizer::exports::tollgate::plugin::authorizer::Decision, String> {
            use authorizer::exports::tollgate::plugin::authorizer as wit;
            let Decision { verdict, remember } = plugin
                .authorize(Request::wrap(request))
                .map_err(|error| error.to_string())?;
            Ok(wit::Decision {
                verdict: match verdict {
                    Verdict::Allow(grant) => wit::Verdict::Allow(wit::Grant {
                        principal: grant.principal,
                        claims: grant
                            .claims
                            .into_iter()
                            .map(|(name, value)| (name, value.to_string()))
                            .collect(),
                        usage_key: grant.usage_key,
                    }),
                    Verdict::Deny(denial) => wit::Verdict::Deny(reply(denial)),
                },
                remember_ms: remember
                    .map(|time| u32::try_from(time.as_millis()).unwrap_or(u32::MAX)),
            })
        }

        pub fn transform_request<P: RequestTransformer>(
            plugin: &P,
            request: &http::Request,
            edits: &http::RequestEdits,
        ) -> Result<
            request_transformer::exports::tollgate::plugin::request_transformer::Outcome,
            String,
        > {
            use request_transformer::exports::tollgate::plugin::request_transformer as wit;
            let mut request = EditableRequest::new(Request::wrap(request), edits);
            match plugin.transform_request(&mut request) {
                Ok(Outcome::Next) => Ok(wit::Outcome::Next),
                Ok(Outcome::Respond(answer)) => Ok(wit::Outcome::Respond(reply(answer))),
                Err(error) => Err(error.to_string()),
            }
        }

        pub fn transform_response<P: ResponseTransformer>(
            plugin: &P,
            request: &http::Request,
            response: &http::Response,
            edits: &http::ResponseEdits,
        ) -> Result<
            response_transformer::exports::tollgate::plugin::response_transformer::Outcome,
            String,
        > {
            use response_transformer::exports::tollgate::plugin::response_transformer as wit;
            let mut response = EditableResponse::new(Response::wrap(response), edits);
            match plugin.transform_response(Request::wrap(request), &mut response) {
                Ok(Outcome::Next) => Ok(wit::Outcome::Next),
                Ok(Outcome::Respond(answer)) => Ok(wit::Outcome::Respond(reply(answer))),
                Err(error) => Err(error.to_string()),
            }
        }
    }
}
