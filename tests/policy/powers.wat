;; A plugin that uses what it is granted as the query of the request says: its first byte names the function, the rest is
;; its argument. It answers with a rejection whose body is what came back, or the code of the error. As in `puppet.wat`,
;; the functions are those of the canonical ABI, and a letter between quotes stands for its code.
(module $powers
  (import "cordboard:plugin/request@0.1.0" "query" (func $query (param i32)))
  (import "cordboard:host/random@0.1.0" "get-bytes" (func $random (param i32 i32)))
  (import "cordboard:host/metrics@0.1.0" "counter-add" (func $count (param i32 i32 i64 i32 i32)))
  (import "cordboard:host/metrics@0.1.0" "gauge-set" (func $gauge (param i32 i32 f64 i32 i32)))
  (import "cordboard:host/metrics@0.1.0" "histogram-record" (func $observe (param i32 i32 f64 i32 i32)))
  (import "cordboard:host/key-value@0.1.0" "get" (func $get (param i32 i32 i32 i32 i32)))
  (import "cordboard:host/key-value@0.1.0" "set" (func $set (param i32 i32 i32 i32 i32 i32 i64 i32)))
  (import "cordboard:host/key-value@0.1.0" "delete" (func $delete (param i32 i32 i32 i32 i32)))
  (import "cordboard:host/key-value@0.1.0" "increment" (func $increment (param i32 i32 i32 i32 i64 i64 i32)))
  (import "cordboard:host/key-value@0.1.0" "compare-and-set"
    (func $swap (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i32)))
  (import "cordboard:host/discovery@0.1.0" "lookup" (func $lookup (param i32 i32 i32 i32 i32 i32)))
  (import "cordboard:host/http-client@0.1.0" "send" (func $send (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
  (memory (export "memory") 8)
  (global $heap (mut i32) (i32.const 16384))
  (global $realloc_calls (mut i32) (i32.const 0))
  (global $return_calls (mut i32) (i32.const 0))

  (data (i32.const 16) "b")
  (data (i32.const 24) "other")
  (data (i32.const 32) "GET")
  (data (i32.const 40) "logins")
  (data (i32.const 48) "depth")
  (data (i32.const 56) "seconds")
  (data (i32.const 64) "kind")
  (data (i32.const 80) "done")
  (data (i32.const 88) "none")
  (data (i32.const 96) "true")
  (data (i32.const 104) "false")

  (func (export "cabi_realloc") (param $old i32) (param $was i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (if (global.get $realloc_calls) (then (call $random (i32.const 1) (i32.const 512))))
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get $at) (local.get $size)))
    (local.get $at))

  (func (export "cordboard:plugin/meta@0.1.0#init") (param i32 i32) (result i32) (i32.const 2048))
  (func (export "cordboard:plugin/meta@0.1.0#describe") (result i32) (i32.const 2048))

  (func $string (param $to i32) (param $at i32) (param $length i32)
    (i32.store (local.get $to) (local.get $at))
    (i32.store offset=4 (local.get $to) (local.get $length)))

  ;; A rejection with this body.
  (func $say (param $at i32) (param $length i32)
    (i32.store8 (i32.const 4096) (i32.const 1))
    (i32.store16 offset=4 (i32.const 4096) (i32.const 403))
    (call $string (i32.const 4104) (i32.const 80) (i32.const 4))
    (i32.store8 offset=24 (i32.const 4096) (i32.const 1))
    (call $string (i32.const 4124) (local.get $at) (local.get $length)))

  ;; The code of the error that a result at 512 is, its strings `payload` bytes in; otherwise this.
  (func $outcome (param $payload i32) (param $at i32) (param $length i32)
    (if (i32.load8_u (i32.const 512))
      (then (call $say
        (i32.load (i32.add (i32.const 512) (local.get $payload)))
        (i32.load (i32.add (i32.const 516) (local.get $payload)))))
      (else (call $say (local.get $at) (local.get $length)))))

  (func $bytes (param $many i32)
    (local $n i32) (local $at i32)
    (call $random (local.get $many) (i32.const 512))
    (local.set $at (i32.load (i32.const 512)))
    (loop $again
      (i32.store8 (i32.add (local.get $at) (local.get $n))
        (i32.add (i32.const 'a')
          (i32.and (i32.load8_u (i32.add (local.get $at) (local.get $n))) (i32.const 15))))
      (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.load (i32.const 516)))))
    (call $say (local.get $at) (i32.load (i32.const 516))))

  ;; The label `kind` with this value, at 600.
  (func $label (param $at i32) (param $length i32)
    (call $string (i32.const 600) (i32.const 64) (i32.const 4))
    (call $string (i32.const 608) (local.get $at) (local.get $length)))
  (func $add (param $at i32) (param $length i32)
    (call $label (local.get $at) (local.get $length))
    (call $count (i32.const 40) (i32.const 6) (i64.const 1) (i32.const 600) (i32.const 1)))
  ;; Six hundred values of two letters.
  (func $flood
    (local $n i32)
    (loop $again
      (i32.store8 (i32.const 700) (i32.add (i32.const 'a') (i32.div_u (local.get $n) (i32.const 25))))
      (i32.store8 (i32.const 701) (i32.add (i32.const 'a') (i32.rem_u (local.get $n) (i32.const 25))))
      (call $add (i32.const 700) (i32.const 2))
      (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 600)))))

  (func $calls (param $many i32)
    (local $n i32)
    (loop $again
      (call $get (i32.const 16) (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 512))
      (br_if $again
        (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (local.get $many))))
    (call $say (i32.const 80) (i32.const 4)))

  ;; Values of a thousand bytes, until one is refused.
  (func $fill
    (local $n i32)
    (loop $again
      (i32.store8 (i32.const 700) (i32.add (i32.const 'a') (i32.div_u (local.get $n) (i32.const 25))))
      (i32.store8 (i32.const 701) (i32.add (i32.const 'a') (i32.rem_u (local.get $n) (i32.const 25))))
      (call $set (i32.const 16) (i32.const 1) (i32.const 700) (i32.const 2) (i32.const 65536) (i32.const 1000) (i64.const 0)
        (i32.const 512))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $again (i32.and (i32.eqz (i32.load8_u (i32.const 512))) (i32.lt_u (local.get $n) (i32.const 600)))))
    (call $outcome (i32.const 4) (i32.const 80) (i32.const 4)))

  (func $counter (param $at i32) (param $delta i64)
    (call $increment (i32.const 16) (i32.const 1) (local.get $at) (i32.const 1) (local.get $delta) (i64.const 0)
      (i32.const 512))
    (i32.store8 (i32.const 700) (i32.add (i32.const '0') (i32.load8_u (i32.const 520))))
    (call $outcome (i32.const 8) (i32.const 700) (i32.const 1)))

  (func (export "cordboard:plugin/role-detection@0.1.0#detect-role") (result i32)
    (local $do i32) (local $at i32) (local $length i32)
    (global.set $heap (i32.const 16384))
    (memory.fill (i32.const 4096) (i32.const 0) (i32.const 256))
    (memory.fill (i32.const 512) (i32.const 0) (i32.const 64))
    (call $query (i32.const 8192))
    (local.set $do (i32.load8_u (i32.load (i32.const 8196))))
    (local.set $at (i32.add (i32.load (i32.const 8196)) (i32.const 1)))
    (local.set $length (i32.sub (i32.load (i32.const 8200)) (i32.const 1)))

    (if (i32.eq (local.get $do) (i32.const 'r')) (then (call $bytes (i32.const 16))))
    (if (i32.eq (local.get $do) (i32.const 'R')) (then (call $bytes (i32.const -1))))
    (if (i32.eq (local.get $do) (i32.const 'm')) (then (call $add (local.get $at) (local.get $length))))
    (if (i32.eq (local.get $do) (i32.const 'M')) (then (call $flood)))
    (if (i32.eq (local.get $do) (i32.const 'g'))
      (then
        (call $gauge (i32.const 48) (i32.const 5) (f64.const 1.5) (i32.const 0) (i32.const 0))
        (call $observe (i32.const 56) (i32.const 7) (f64.const 0.3) (i32.const 0) (i32.const 0))
        ;; A gauge under the name of a counter.
        (call $gauge (i32.const 40) (i32.const 6) (f64.const 1.5) (i32.const 0) (i32.const 0))))

    ;; The key is one letter; what follows is the value.
    (if (i32.eq (local.get $do) (i32.const 's'))
      (then
        (call $set (i32.const 16) (i32.const 1) (local.get $at) (i32.const 1)
          (i32.add (local.get $at) (i32.const 1)) (i32.sub (local.get $length) (i32.const 1)) (i64.const 0) (i32.const 512))
        (call $outcome (i32.const 4) (i32.const 80) (i32.const 4))))
    (if (i32.eq (local.get $do) (i32.const 'k'))
      (then
        (call $get (i32.const 16) (i32.const 1) (local.get $at) (i32.const 1) (i32.const 512))
        (if (i32.load8_u (i32.const 516))
          (then (call $outcome (i32.const 4) (i32.load (i32.const 520)) (i32.load (i32.const 524))))
          (else (call $outcome (i32.const 4) (i32.const 88) (i32.const 4))))))
    (if (i32.eq (local.get $do) (i32.const 'd'))
      (then
        (call $delete (i32.const 16) (i32.const 1) (local.get $at) (i32.const 1) (i32.const 512))
        (call $outcome (i32.const 4) (i32.const 80) (i32.const 4))))
    (if (i32.eq (local.get $do) (i32.const 'i')) (then (call $counter (local.get $at) (i64.const 1))))
    (if (i32.eq (local.get $do) (i32.const 'I')) (then (call $counter (local.get $at) (i64.const 9223372036854775807))))
    ;; Only where there is nothing yet.
    (if (i32.eq (local.get $do) (i32.const 'c'))
      (then
        (call $swap (i32.const 16) (i32.const 1) (local.get $at) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)
          (i32.add (local.get $at) (i32.const 1)) (i32.sub (local.get $length) (i32.const 1)) (i64.const 0) (i32.const 512))
        (if (i32.load8_u (i32.const 516))
          (then (call $outcome (i32.const 4) (i32.const 96) (i32.const 4)))
          (else (call $outcome (i32.const 4) (i32.const 104) (i32.const 5))))))
    (if (i32.eq (local.get $do) (i32.const 'x'))
      (then
        (call $get (i32.const 24) (i32.const 5) (local.get $at) (i32.const 1) (i32.const 512))
        (call $outcome (i32.const 4) (i32.const 80) (i32.const 4))))
    (if (i32.eq (local.get $do) (i32.const 'F')) (then (call $fill)))
    (if (i32.eq (local.get $do) (i32.const 'h')) (then (call $calls (i32.const 1000))))
    (if (i32.eq (local.get $do) (i32.const 'H')) (then (call $calls (i32.const 1001))))

    ;; How many endpoints, and the address of the last.
    (if (i32.eq (local.get $do) (i32.const 'l'))
      (then
        (call $lookup (local.get $at) (local.get $length) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 512))
        (local.set $at (i32.add (i32.load (i32.const 516))
          (i32.mul (i32.sub (i32.load (i32.const 520)) (i32.const 1)) (i32.const 28))))
        (call $outcome (i32.const 4) (i32.load (local.get $at)) (i32.load offset=4 (local.get $at)))))

    (if (i32.eq (local.get $do) (i32.const 'u'))
      (then
        (call $send (i32.const 32) (i32.const 3) (local.get $at) (local.get $length)
          (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 512))
        (call $outcome (i32.const 4) (i32.load (i32.const 528)) (i32.load (i32.const 532)))))
    ;; Again and again, whatever comes back.
    (if (i32.eq (local.get $do) (i32.const 'U'))
      (then (loop $again
        (call $send (i32.const 32) (i32.const 3) (local.get $at) (local.get $length)
          (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 512))
        (br $again))))
    ;; A request, and then a loop.
    (if (i32.eq (local.get $do) (i32.const 'L'))
      (then
        (call $send (i32.const 32) (i32.const 3) (local.get $at) (local.get $length)
          (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 512))
        (loop $again (br $again))))

    (if (i32.eq (local.get $do) (i32.const 'n'))
      (then (global.set $realloc_calls (i32.const 1)) (call $query (i32.const 8192))))
    (if (i32.eq (local.get $do) (i32.const 'N')) (then (global.set $return_calls (i32.const 1))))
    (i32.const 4096))
  (func (export "cabi_post_cordboard:plugin/role-detection@0.1.0#detect-role") (param i32)
    (if (global.get $return_calls) (then (call $random (i32.const 1) (i32.const 512))))))
