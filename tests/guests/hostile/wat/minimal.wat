;; The smallest plugin: passes every request on. Loads; the other files are this one with one thing wrong.
(component
  (import "tollgate:plugin/http@0.1.0" (instance $http
    (export "request" (type (sub resource)))
    (export "request-edits" (type (sub resource)))
    (type $header' (tuple string (list u8)))
    (export "header" (type $header (eq $header')))
    (type $reply' (record (field "status" u16) (field "headers" (list $header)) (field "body" (list u8))))
    (export "reply" (type (eq $reply')))))
  (alias export $http "request" (type $request))
  (alias export $http "request-edits" (type $request-edits))
  (alias export $http "header" (type $header))
  (alias export $http "reply" (type $reply))
  (core func $drop-request (canon resource.drop $request))
  (core func $drop-edits (canon resource.drop $request-edits))
  (core module $main
    (import "http" "drop-request" (func $drop-request (param i32)))
    (import "http" "drop-edits" (func $drop-edits (param i32)))
    (memory (export "memory") 1)
    ;; What `describe` answers: a pointer and a length.
    (data (i32.const 8) "\10\00\00\00\50\00\00\00")
    (data (i32.const 16) "{\"name\":\"wat\",\"version\":\"0.1.0\",\"summary\":\"A plugin in text\",\"config-schema\":{}}")
    ;; From 256 on there are only zeros, which are the results `ok` and `next`.
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "describe") (result i32) (i32.const 8))
    (func (export "configure") (param i32 i32) (result i32) (i32.const 256))
    (func (export "transform-request") (param i32 i32) (result i32)
      (call $drop-request (local.get 0))
      (call $drop-edits (local.get 1))
      (i32.const 256)))
  (core instance $main (instantiate $main
    (with "http" (instance
      (export "drop-request" (func $drop-request))
      (export "drop-edits" (func $drop-edits))))))
  (alias core export $main "memory" (core memory $memory))
  (alias core export $main "realloc" (core func $realloc))
  (func $describe (result string)
    (canon lift (core func $main "describe") (memory $memory)))
  (func $configure (param "config" string) (result (result (error string)))
    (canon lift (core func $main "configure") (memory $memory) (realloc $realloc)))
  (instance $lifecycle
    (export "describe" (func $describe))
    (export "configure" (func $configure)))
  (export "tollgate:plugin/lifecycle@0.1.0" (instance $lifecycle))
  (type $outcome (variant (case "next") (case "respond" $reply)))
  (func $transform
    (param "request" (borrow $request)) (param "edits" (borrow $request-edits))
    (result (result $outcome (error string)))
    (canon lift (core func $main "transform-request") (memory $memory) (realloc $realloc)))
  ;; Gives the types of the exported function their names.
  (component $names
    (import "request" (type $request (sub resource)))
    (import "request-edits" (type $request-edits (sub resource)))
    (type $header' (tuple string (list u8)))
    (import "header" (type $header (eq $header')))
    (type $reply' (record (field "status" u16) (field "headers" (list $header)) (field "body" (list u8))))
    (import "reply" (type $reply (eq $reply')))
    (type $outcome' (variant (case "next") (case "respond" $reply)))
    (import "outcome" (type $outcome (eq $outcome')))
    (import "transform-request" (func $transform
      (param "request" (borrow $request)) (param "edits" (borrow $request-edits))
      (result (result $outcome (error string)))))
    (export $request-out "request" (type $request))
    (export $request-edits-out "request-edits" (type $request-edits))
    (export $reply-out "reply" (type $reply))
    (type $outcome-out' (variant (case "next") (case "respond" $reply-out)))
    (export $outcome-out "outcome" (type $outcome-out'))
    (export "transform-request" (func $transform) (func
      (param "request" (borrow $request-out)) (param "edits" (borrow $request-edits-out))
      (result (result $outcome-out (error string))))))
  (instance $transformer (instantiate $names
    (with "request" (type $request))
    (with "request-edits" (type $request-edits))
    (with "header" (type $header))
    (with "reply" (type $reply))
    (with "outcome" (type $outcome))
    (with "transform-request" (func $transform))))
  (export "tollgate:plugin/request-transformer@0.1.0" (instance $transformer)))
