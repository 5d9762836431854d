;; Exports `lifecycle` and no hook: nothing that could ever be called.
(component
  (core module $main
    (memory (export "memory") 1)
    ;; What `describe` answers: a pointer and a length.
    (data (i32.const 8) "\10\00\00\00\50\00\00\00")
    (data (i32.const 16) "{\"name\":\"wat\",\"version\":\"0.1.0\",\"summary\":\"A plugin in text\",\"config-schema\":{}}")
    ;; From 256 on there are only zeros, which are the results `ok` and `next`.
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "describe") (result i32) (i32.const 8))
    (func (export "configure") (param i32 i32) (result i32) (i32.const 256)))
  (core instance $main (instantiate $main))
  (alias core export $main "memory" (core memory $memory))
  (alias core export $main "realloc" (core func $realloc))
  (func $describe (result string)
    (canon lift (core func $main "describe") (memory $memory)))
  (func $configure (param "config" string) (result (result (error string)))
    (canon lift (core func $main "configure") (memory $memory) (realloc $realloc)))
  (instance $lifecycle
    (export "describe" (func $describe))
    (export "configure" (func $configure)))
  (export "tollgate:plugin/lifecycle@0.1.0" (instance $lifecycle)))
