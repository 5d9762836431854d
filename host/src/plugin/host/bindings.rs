//! What `wasmtime` makes of the contract: the host's side of every interface of it.

wasmtime::component::bindgen!({
    inline: "
        package tollgate:host;
        world gateway {
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
            export tollgate:plugin/lifecycle@0.1.0;
            export tollgate:plugin/authorizer@0.1.0;
            export tollgate:plugin/limiter@0.1.0;
            export tollgate:plugin/limiter-settle@0.1.0;
            export tollgate:plugin/cache-lookup@0.1.0;
            export tollgate:plugin/cache-store@0.1.0;
            export tollgate:plugin/request-transformer@0.1.0;
            export tollgate:plugin/response-transformer@0.1.0;
            export tollgate:plugin/request-stream@0.1.0;
            export tollgate:plugin/response-stream@0.1.0;
        }
    ",
    path: "../wit",
    world: "tollgate:host/gateway",
    imports: {
        // Those that wait for a peer. The guest is on a stack of its own meanwhile.
        "tollgate:plugin/bodies@0.1.0.read-request": async | trappable,
        "tollgate:plugin/bodies@0.1.0.read-response": async | trappable,
        "tollgate:plugin/fetch@0.1.0.send": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    with: {
        "tollgate:plugin/http.request": crate::plugin::host::state::RequestHandle,
        "tollgate:plugin/http.request-edits": crate::plugin::host::state::RequestEditsHandle,
        "tollgate:plugin/http.response": crate::plugin::host::state::ResponseHandle,
        "tollgate:plugin/http.response-edits": crate::plugin::host::state::ResponseEditsHandle,
    },
});
