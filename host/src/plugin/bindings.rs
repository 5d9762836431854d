//! What `wasmtime` makes of the contract: the host's side of every interface that this release runs.
//! An interface of the contract that is not named here refuses the load of what imports or exports
//! it (see `load`).

wasmtime::component::bindgen!({
    inline: "
        package tollgate:host;
        world gateway {
            import tollgate:plugin/http@0.1.0;
            import tollgate:plugin/log@0.1.0;
            import tollgate:plugin/clock@0.1.0;
            import tollgate:plugin/random@0.1.0;
            import tollgate:plugin/crypto@0.1.0;
            import tollgate:plugin/secrets@0.1.0;
            export tollgate:plugin/lifecycle@0.1.0;
            export tollgate:plugin/authorizer@0.1.0;
            export tollgate:plugin/request-transformer@0.1.0;
            export tollgate:plugin/response-transformer@0.1.0;
        }
    ",
    path: "../wit",
    world: "tollgate:host/gateway",
    imports: { default: trappable },
    exports: { default: async },
    with: {
        "tollgate:plugin/http.request": crate::plugin::state::RequestHandle,
        "tollgate:plugin/http.request-edits": crate::plugin::state::RequestEditsHandle,
        "tollgate:plugin/http.response": crate::plugin::state::ResponseHandle,
        "tollgate:plugin/http.response-edits": crate::plugin::state::ResponseEditsHandle,
    },
});
