/// Makes a component of a plugin, exporting the hooks named.
///
/// ```
/// # use tollgate_plugin::{
/// #     Limit, Limiter, LimiterSettle, Plugin, Request, Response, Result, Settlement, export,
/// # };
/// # #[derive(serde::Deserialize, schemars::JsonSchema)] struct Config {}
/// struct Tokens;
/// # impl Plugin for Tokens {
/// #     type Config = Config;
/// #     fn configure(_: Config) -> Result<Self> { Ok(Tokens) }
/// # }
///
/// impl Limiter for Tokens {
///     // ...
/// #   fn limits(&self, _: &Request) -> Result<Vec<Limit>> { Ok(vec![]) }
/// }
///
/// impl LimiterSettle for Tokens {
///     // ...
/// #   fn settle(&self, _: &Request, _: &Response) -> Result<Vec<Settlement>> { Ok(vec![]) }
/// }
///
/// export!(Tokens: Limiter, LimiterSettle);
/// # fn main() {}
/// ```
///
/// The gateway calls the hooks that are named here, and only those, in an order of its own (see the
/// [crate's page](crate#the-hooks)). [`LimiterSettle`] and
/// [`CacheStore`] are the second halves of [`Limiter`] and [`CacheLookup`] and are named beside them.
///
/// The component's name, version and summary are those of the crate (`name`, `version` and
/// `description` in Cargo.toml). Off WebAssembly this only checks that the traits are implemented, so
/// that the crate builds natively for its unit tests.
///
/// [`Limiter`]: crate::Limiter
/// [`LimiterSettle`]: crate::LimiterSettle
/// [`CacheLookup`]: crate::CacheLookup
/// [`CacheStore`]: crate::CacheStore
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
    (Limiter, $component:ident, $slot:ident) => {
        const _: () = {
            use $crate::bindings::limiter::exports::tollgate::plugin::limiter::{Guest, Limit};
            impl Guest for $component {
                fn limits(
                    request: &$crate::__private::http::Request,
                ) -> ::core::result::Result<::std::vec::Vec<Limit>, ::std::string::String> {
                    $crate::__private::limits($slot.get(), request)
                }
            }
            $crate::bindings::limiter::export!($component with_types_in $crate::bindings::limiter);
        };
    };
    (LimiterSettle, $component:ident, $slot:ident) => {
        const _: () = {
            use $crate::bindings::limiter_settle::exports::tollgate::plugin::limiter_settle::{Guest, Settlement};
            impl Guest for $component {
                fn settle(
                    request: &$crate::__private::http::Request,
                    response: &$crate::__private::http::Response,
                ) -> ::core::result::Result<::std::vec::Vec<Settlement>, ::std::string::String> {
                    $crate::__private::settle($slot.get(), request, response)
                }
            }
            $crate::bindings::limiter_settle::export!($component with_types_in $crate::bindings::limiter_settle);
        };
    };
    (CacheLookup, $component:ident, $slot:ident) => {
        const _: () = {
            use $crate::bindings::cache_lookup::exports::tollgate::plugin::cache_lookup::{EntryKey, Guest};
            impl Guest for $component {
                fn lookup(
                    request: &$crate::__private::http::Request,
                ) -> ::core::result::Result<EntryKey, ::std::string::String> {
                    $crate::__private::lookup($slot.get(), request)
                }
            }
            $crate::bindings::cache_lookup::export!($component with_types_in $crate::bindings::cache_lookup);
        };
    };
    (CacheStore, $component:ident, $slot:ident) => {
        const _: () = {
            use $crate::bindings::cache_store::exports::tollgate::plugin::cache_store::{Guest, Storage};
            impl Guest for $component {
                fn store(
                    request: &$crate::__private::http::Request,
                    response: &$crate::__private::http::Response,
                ) -> ::core::result::Result<Storage, ::std::string::String> {
                    $crate::__private::store($slot.get(), request, response)
                }
            }
            $crate::bindings::cache_store::export!($component with_types_in $crate::bindings::cache_store);
        };
    };
    (RequestStream, $component:ident, $slot:ident) => {
        const _: () = {
            use $crate::bindings::request_stream::exports::tollgate::plugin::request_stream::Guest;
            static STREAM: $crate::__private::StreamSlot = $crate::__private::StreamSlot::new();
            impl Guest for $component {
                fn open_request(
                    request: &$crate::__private::http::Request,
                ) -> ::core::result::Result<bool, ::std::string::String> {
                    $crate::__private::open_request($slot.get(), &STREAM, request)
                }

                fn on_request_chunk(
                    piece: ::std::vec::Vec<u8>,
                    last: bool,
                ) -> ::core::result::Result<::std::vec::Vec<u8>, ::std::string::String> {
                    STREAM.chunk(&piece, last)
                }
            }
            $crate::bindings::request_stream::export!($component with_types_in $crate::bindings::request_stream);
        };
    };
    (ResponseStream, $component:ident, $slot:ident) => {
        const _: () = {
            use $crate::bindings::response_stream::exports::tollgate::plugin::response_stream::Guest;
            static STREAM: $crate::__private::StreamSlot = $crate::__private::StreamSlot::new();
            impl Guest for $component {
                fn open_response(
                    request: &$crate::__private::http::Request,
                    response: &$crate::__private::http::Response,
                ) -> ::core::result::Result<bool, ::std::string::String> {
                    $crate::__private::open_response($slot.get(), &STREAM, request, response)
                }

                fn on_response_chunk(
                    piece: ::std::vec::Vec<u8>,
                    last: bool,
                ) -> ::core::result::Result<::std::vec::Vec<u8>, ::std::string::String> {
                    STREAM.chunk(&piece, last)
                }
            }
            $crate::bindings::response_stream::export!($component with_types_in $crate::bindings::response_stream);
        };
    };
    ($other:ident, $component:ident, $slot:ident) => {
        ::core::compile_error!(::core::concat!(
            "`", ::core::stringify!($other),
            "` is not a hook; hooks are Authorizer, RequestTransformer, ResponseTransformer, \
             Limiter, LimiterSettle, CacheLookup, CacheStore, RequestStream and ResponseStream"
        ));
    };
}

/// What [`export!`](crate::export) expands to; not for authors.
#[doc(hidden)]
pub mod __private {
    pub use crate::bindings::imports::tollgate::plugin::http;
    #[cfg(target_family = "wasm")]
    pub use crate::component::*;

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
}
