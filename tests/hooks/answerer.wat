  ;; What it makes of an answer stands in the field `x-answer` of the request: `x` rejects with 418, `t` traps, `c` sets the
  ;; field of the channel, `w` removes one of the handshake, `l` sets the length; anything else sets `x-was` to the status and
  ;; `x-seen` to what the field `x-from` of the answer says, and removes that. Without the field it does nothing.
  (data (i32.const 64) "x-answer")
  (data (i32.const 80) "x-from")
  (data (i32.const 96) "x-seen")
  (data (i32.const 112) "x-was")
  (data (i32.const 128) "none")
  (data (i32.const 144) "x-channel-id")
  (data (i32.const 160) "sec-websocket-accept")
  (data (i32.const 192) "content-length")

  ;; The next edit at `at`.
  (func $edit (param $at i32) (param $case i32) (param $name i32) (param $length i32) (param $value i32) (param $size i32)
    (i32.store8 (local.get $at) (local.get $case))
    (call $string (i32.add (local.get $at) (i32.const 4)) (local.get $name) (local.get $length))
    (call $string (i32.add (local.get $at) (i32.const 12)) (local.get $value) (local.get $size)))

  (func (export "cordboard:plugin/response-rewriting@0.1.0#rewrite-response")
    (param $status i32) (param $fields i32) (param $count i32) (result i32)
    (local $do i32) (local $value i32) (local $size i32)
    ;; The heap holds what was handed over.
    (memory.fill (i32.const 4096) (i32.const 0) (i32.const 256))
    (local.set $value (i32.const 128))
    (local.set $size (i32.const 4))
    (block $done
      (loop $again
        (br_if $done (i32.eqz (local.get $count)))
        (if (i32.and
              (i32.eq (i32.load offset=4 (local.get $fields)) (i32.const 6))
              (i64.eq
                (i64.and (i64.load (i32.load (local.get $fields))) (i64.const 0xffffffffffff))
                (i64.and (i64.load (i32.const 80)) (i64.const 0xffffffffffff))))
          (then
            (local.set $value (i32.load offset=8 (local.get $fields)))
            (local.set $size (i32.load offset=12 (local.get $fields)))))
        (local.set $fields (i32.add (local.get $fields) (i32.const 16)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $again)))
    (call $header (i32.const 64) (i32.const 8) (i32.const 8192))
    (if (i32.eqz (i32.load8_u (i32.const 8192))) (then (return (i32.const 4096))))
    (local.set $do (i32.load8_u (i32.load (i32.const 8196))))
    (if (i32.eq (local.get $do) (i32.const 't')) (then unreachable))
    (if (i32.eq (local.get $do) (i32.const 'x'))
      (then
        (call $reject (i32.const 4100) (i32.const 418))
        (return (i32.const 4096))))
    (i32.store8 (i32.const 12288) (i32.add (i32.const '0') (i32.div_u (local.get $status) (i32.const 100))))
    (i32.store8 (i32.const 12289)
      (i32.add (i32.const '0') (i32.rem_u (i32.div_u (local.get $status) (i32.const 10)) (i32.const 10))))
    (i32.store8 (i32.const 12290) (i32.add (i32.const '0') (i32.rem_u (local.get $status) (i32.const 10))))
    (call $edit (i32.const 65536) (i32.const 0) (i32.const 112) (i32.const 5) (i32.const 12288) (i32.const 3))
    (call $edit (i32.const 65556) (i32.const 0) (i32.const 96) (i32.const 6) (local.get $value) (local.get $size))
    (call $edit (i32.const 65576) (i32.const 2) (i32.const 80) (i32.const 6) (i32.const 0) (i32.const 0))
    (if (i32.eq (local.get $do) (i32.const 'c'))
      (then (call $edit (i32.const 65536) (i32.const 0) (i32.const 144) (i32.const 12) (i32.const 128) (i32.const 4))))
    (if (i32.eq (local.get $do) (i32.const 'w'))
      (then (call $edit (i32.const 65536) (i32.const 2) (i32.const 160) (i32.const 20) (i32.const 0) (i32.const 0))))
    (if (i32.eq (local.get $do) (i32.const 'l'))
      (then (call $edit (i32.const 65536) (i32.const 0) (i32.const 192) (i32.const 14) (i32.const 12288) (i32.const 1))))
    (call $string (i32.const 4100) (i32.const 65536) (i32.const 3))
    ;; What is answered with is read before the next call.
    (global.set $heap (i32.const 16384))
    (i32.const 4096))
