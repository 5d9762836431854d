//! What `wit-bindgen` makes of the contract. Private: authors see only this crate's own types, so
//! that the contract's encoding can change behind them.
//!
//! One module imports everything, and the linker drops what a plugin does not call: a component
//! imports just the interfaces that it uses. Each hook has a world of its own that only exports, so
//! that a component exports just the hooks it names in [`export!`](crate::export).

pub mod imports {
    wit_bindgen::generate!({
        inline: "
            package tollgate:sdk;
            world imports {
                import tollgate:plugin/http@0.1.0;
                import tollgate:plugin/log@0.1.0;
                import tollgate:plugin/clock@0.1.0;
                import tollgate:plugin/random@0.1.0;
                import tollgate:plugin/crypto@0.1.0;
                import tollgate:plugin/signatures@0.1.0;
                import tollgate:plugin/metrics@0.1.0;
                import tollgate:plugin/secrets@0.1.0;
                import tollgate:plugin/bodies@0.1.0;
                import tollgate:plugin/fetch@0.1.0;
                import tollgate:plugin/kv@0.1.0;
                import tollgate:plugin/decisions@0.1.0;
            }
        ",
        path: "../wit",
        generate_all,
    });
}

/// One world for one exported interface that looks at messages.
macro_rules! hook {
    ($module:ident, $inline:literal) => {
        pub mod $module {
            wit_bindgen::generate!({
                inline: $inline,
                path: "../wit",
                pub_export_macro: true,
                with: {
                    "tollgate:plugin/http@0.1.0": crate::bindings::imports::tollgate::plugin::http,
                },
                generate_all,
            });
        }
    };
}

pub mod lifecycle {
    wit_bindgen::generate!({
        inline: "package tollgate:sdk; world lifecycle-hook { export tollgate:plugin/lifecycle@0.1.0; }",
        path: "../wit",
        pub_export_macro: true,
    });
}

hook!(
    authorizer,
    "package tollgate:sdk; world authorizer-hook { export tollgate:plugin/authorizer@0.1.0; }"
);
hook!(
    request_transformer,
    "package tollgate:sdk; world request-transformer-hook { export tollgate:plugin/request-transformer@0.1.0; }"
);
hook!(
    response_transformer,
    "package tollgate:sdk; world response-transformer-hook { export tollgate:plugin/response-transformer@0.1.0; }"
);
hook!(
    limiter,
    "package tollgate:sdk; world limiter-hook { export tollgate:plugin/limiter@0.1.0; }"
);
hook!(
    limiter_settle,
    "package tollgate:sdk; world limiter-settle-hook { export tollgate:plugin/limiter-settle@0.1.0; }"
);
hook!(
    cache_lookup,
    "package tollgate:sdk; world cache-lookup-hook { export tollgate:plugin/cache-lookup@0.1.0; }"
);
hook!(
    cache_store,
    "package tollgate:sdk; world cache-store-hook { export tollgate:plugin/cache-store@0.1.0; }"
);
hook!(
    request_stream,
    "package tollgate:sdk; world request-stream-hook { export tollgate:plugin/request-stream@0.1.0; }"
);
hook!(
    response_stream,
    "package tollgate:sdk; world response-stream-hook { export tollgate:plugin/response-stream@0.1.0; }"
);
