;; A plugin that does as it is told. The query of the request says what: its first byte in `detect-role` and
;; `extract-channel`, its second in `resolve` and `rewrite-request`, its rest is the channel. The configuration says what
;; `init` does: {"do":"X"}. A letter between quotes stands for its code; the tests replace it. The module is wrapped into
;; a component by the tests, so its functions are those of the canonical ABI: each answers with the address of its result.
(module $puppet
  (import "cordboard:plugin/request@0.1.0" "query" (func $query (param i32)))
  (import "cordboard:host/log@0.1.0" "write" (func $log (param i32 i32 i32 i32 i32)))
  (memory (export "memory") 2)
  (table $table 1 funcref)
  (global $heap (mut i32) (i32.const 16384))
  (global $calls (mut i32) (i32.const 0))
  ;; Set for the one function that is to hang.
  (global $realloc_hangs (mut i32) (i32.const 0))
  (global $return_hangs (mut i32) (i32.const 0))
  (global $describe_hangs (mut i32) (i32.const 0))

  (data (i32.const 16) "puppet")
  (data (i32.const 32) "0.0.1")
  (data (i32.const 48) "refused\nby its \1b[31mown text")
  (data (i32.const 96) "first line\n2026-01-01T00:00:00.000000Z ERROR forged: second line")
  (data (i32.const 192) "x-bad")
  (data (i32.const 200) "1\0d\0ax-forged: 1")
  (data (i32.const 224) "x-good")
  ;; A list of two header fields.
  (data (i32.const 240) "\c0\00\00\00\05\00\00\00\c8\00\00\00\0e\00\00\00\e0\00\00\00\06\00\00\00\c8\00\00\00\01\00\00\00")
  (data (i32.const 288) "no\0d\0a\0d\0aHTTP/1.1 200 OK")
  (data (i32.const 320) "ws://127.0.0.1:1")
  (data (i32.const 344) "ftp")
  (data (i32.const 352) "connection")
  (data (i32.const 368) "x-order")
  (data (i32.const 384) "nowhere")

  (func $hang (loop $again (br $again)))
  (func $a_function_that_traps unreachable)
  (func $recurse (param $n i32) (result i32)
    (i32.add (call $recurse (i32.add (local.get $n) (i32.const 1))) (i32.const 1)))

  (func (export "cabi_realloc") (param $old i32) (param $was i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (if (global.get $realloc_hangs) (then (call $hang)))
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get $at) (local.get $size)))
    (local.get $at))

  ;; Every call begins with an empty heap, a result of zeros (no opinion) at 4096 and the query at 8192.
  (func $enter
    (global.set $heap (i32.const 16384))
    (memory.fill (i32.const 4096) (i32.const 0) (i32.const 256))
    (call $query (i32.const 8192)))
  (func $told (param $n i32) (result i32)
    (if (result i32) (i32.lt_u (local.get $n) (i32.load (i32.const 8200)))
      (then (i32.load8_u (i32.add (i32.load (i32.const 8196)) (local.get $n))))
      (else (i32.const 0))))
  (func $string (param $to i32) (param $at i32) (param $length i32)
    (i32.store (local.get $to) (local.get $at))
    (i32.store offset=4 (local.get $to) (local.get $length)))

  (func (export "cordboard:plugin/meta@0.1.0#init") (param $config i32) (param $length i32) (result i32)
    (local $do i32)
    (memory.fill (i32.const 4096) (i32.const 0) (i32.const 64))
    (if (i32.gt_u (local.get $length) (i32.const 7))
      (then (local.set $do (i32.load8_u offset=7 (local.get $config)))))
    (if (i32.eq (local.get $do) (i32.const 'T')) (then (call $a_function_that_traps)))
    ;; As the SDK panics: an error in the log, then a trap.
    (if (i32.eq (local.get $do) (i32.const 'P'))
      (then
        (call $log (i32.const 4) (i32.const 48) (i32.const 28) (i32.const 0) (i32.const 0))
        (call $a_function_that_traps)))
    (if (i32.eq (local.get $do) (i32.const 'L')) (then (call $hang)))
    (if (i32.eq (local.get $do) (i32.const 'D')) (then (global.set $describe_hangs (i32.const 1))))
    (if (i32.eq (local.get $do) (i32.const 'Q')) (then (call $query (i32.const 8192))))
    (if (i32.eq (local.get $do) (i32.const 'F')) (then (call $flood)))
    (if (i32.eq (local.get $do) (i32.const 'R'))
      (then
        (i32.store8 (i32.const 4096) (i32.const 1))
        (call $string (i32.const 4100) (i32.const 48) (i32.const 28))))
    (i32.const 4096))

  (func (export "cordboard:plugin/meta@0.1.0#describe") (result i32)
    (if (global.get $describe_hangs) (then (call $hang)))
    (call $string (i32.const 4096) (i32.const 16) (i32.const 6))
    (call $string (i32.const 4104) (i32.const 32) (i32.const 5))
    (call $string (i32.const 4112) (i32.const 0) (i32.const 0))
    (i32.const 4096))

  ;; ok(some(role)); 5 is `other`, named by a string.
  (func $role (param $role i32)
    (i32.store8 offset=4 (i32.const 4096) (i32.const 1))
    (i32.store8 offset=8 (i32.const 4096) (local.get $role)))
  ;; err(rejection) with a body.
  (func $reject (param $status i32) (param $body i32) (param $length i32)
    (i32.store8 (i32.const 4096) (i32.const 1))
    (i32.store16 offset=4 (i32.const 4096) (local.get $status))
    (call $string (i32.const 4104) (i32.const 16) (i32.const 6))
    (call $string (i32.const 4112) (i32.const 48) (i32.const 28))
    (i32.store8 offset=24 (i32.const 4096) (i32.const 1))
    (call $string (i32.const 4124) (local.get $body) (local.get $length)))

  (func $flood
    (local $n i32)
    (loop $again
      (call $log (i32.const 2) (i32.const 16) (i32.const 6) (i32.const 0) (i32.const 0))
      (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1000)))))

  ;; Ten thousand log fields, all of one string of 8 MiB.
  (func $fields
    (local $n i32) (local $at i32)
    (drop (memory.grow (i32.const 140)))
    (local.set $at (i32.const 131072))
    (loop $again
      (call $string (local.get $at) (i32.const 16) (i32.const 6))
      (call $string (i32.add (local.get $at) (i32.const 8)) (i32.const 294912) (i32.const 8388608))
      (local.set $at (i32.add (local.get $at) (i32.const 16)))
      (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 10000))))
    (call $log (i32.const 2) (i32.const 16) (i32.const 6) (i32.const 131072) (i32.const 10000)))

  (func $detect_role (export "cordboard:plugin/role-detection@0.1.0#detect-role") (result i32)
    (local $do i32)
    (call $enter)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (local.set $do (call $told (i32.const 0)))
    (if (i32.eq (local.get $do) (i32.const 'c')) (then (call $role (i32.const 0))))
    (if (i32.eq (local.get $do) (i32.const 'b')) (then (call $role (i32.const 1))))
    (if (i32.eq (local.get $do) (i32.const 'l')) (then (call $role (i32.const 2))))
    (if (i32.eq (local.get $do) (i32.const 'r')) (then (call $role (i32.const 3))))
    (if (i32.eq (local.get $do) (i32.const 'T')) (then (call $a_function_that_traps)))
    (if (i32.eq (local.get $do) (i32.const 'L')) (then (call $hang)))
    (if (i32.eq (local.get $do) (i32.const 'M')) (then (drop (memory.grow (i32.const 1024)))))
    (if (i32.eq (local.get $do) (i32.const 'G')) (then (drop (table.grow $table (ref.null func) (i32.const 1000000)))))
    (if (i32.eq (local.get $do) (i32.const 'R')) (then (drop (call $recurse (i32.const 0)))))
    (if (i32.eq (local.get $do) (i32.const 'H')) (then (call $fields)))
    (if (i32.eq (local.get $do) (i32.const 'F')) (then (call $flood)))
    (if (i32.eq (local.get $do) (i32.const 'A'))
      (then
        (drop (memory.grow (i32.const 130)))
        (call $role (i32.const 5))
        (call $string (i32.const 4108) (i32.const 131072) (i32.const 8388608))))
    (if (i32.eq (local.get $do) (i32.const 'J'))
      (then
        (call $log (i32.const 2) (i32.const 96) (i32.const 64) (i32.const 0) (i32.const 0))
        (memory.fill (i32.const 65536) (i32.const 'x') (i32.const 8192))
        (call $log (i32.const 2) (i32.const 65536) (i32.const 8192) (i32.const 0) (i32.const 0))))
    (if (i32.eq (local.get $do) (i32.const 'P'))
      (then (global.set $realloc_hangs (i32.const 1)) (call $query (i32.const 8192))))
    (if (i32.eq (local.get $do) (i32.const 'O'))
      (then (global.set $return_hangs (i32.const 1)) (call $role (i32.const 0))))
    (if (i32.eq (local.get $do) (i32.const 'k'))
      (then
        (i32.store8 (i32.const 12288) (i32.add (i32.const '0') (global.get $calls)))
        (call $reject (i32.const 403) (i32.const 12288) (i32.const 1))))
    (if (i32.eq (local.get $do) (i32.const 'q'))
      (then (call $reject (i32.const 403) (i32.load (i32.const 8196)) (i32.load (i32.const 8200)))))
    (if (i32.eq (local.get $do) (i32.const '2')) (then (call $reject (i32.const 200) (i32.const 16) (i32.const 6))))
    (if (i32.eq (local.get $do) (i32.const '9')) (then (call $reject (i32.const 999) (i32.const 16) (i32.const 6))))
    (if (i32.eq (local.get $do) (i32.const 'X'))
      (then
        (call $reject (i32.const 403) (i32.const 288) (i32.const 21))
        (call $string (i32.const 4132) (i32.const 240) (i32.const 2))))
    (i32.const 4096))
  (func (export "cabi_post_cordboard:plugin/role-detection@0.1.0#detect-role") (param i32)
    (if (global.get $return_hangs) (then (call $hang))))

  ;; The channel is what follows the two letters; with `a` as the second come two attributes, one of them far too long,
  ;; with `A` a hundred.
  (func (export "cordboard:plugin/channel-extraction@0.1.0#extract-channel") (result i32)
    (local $n i32) (local $at i32)
    (call $enter)
    (if (i32.gt_u (i32.load (i32.const 8200)) (i32.const 2))
      (then
        (i32.store8 offset=4 (i32.const 4096) (i32.const 1))
        (call $string (i32.const 4104)
          (i32.add (i32.load (i32.const 8196)) (i32.const 2))
          (i32.sub (i32.load (i32.const 8200)) (i32.const 2)))))
    (if (i32.eq (call $told (i32.const 1)) (i32.const 'a'))
      (then
        (call $string (i32.const 65536) (i32.const 16) (i32.const 6))
        (call $string (i32.const 65544) (i32.const 16) (i32.const 6))
        (call $string (i32.const 65552) (i32.const 17) (i32.const 5))
        (call $string (i32.const 65560) (i32.const 73728) (i32.const 8192))
        (memory.fill (i32.const 73728) (i32.const 'x') (i32.const 8192))
        (call $string (i32.const 4112) (i32.const 65536) (i32.const 2))))
    (if (i32.eq (call $told (i32.const 1)) (i32.const 'A'))
      (then
        (local.set $at (i32.const 65536))
        (loop $again
          ;; Each name is one letter longer.
          (call $string (local.get $at) (i32.const 1024) (local.get $n))
          (call $string (i32.add (local.get $at) (i32.const 8)) (i32.const 16) (i32.const 6))
          (local.set $at (i32.add (local.get $at) (i32.const 16)))
          (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 100))))
        (call $string (i32.const 4112) (i32.const 65536) (i32.const 100))))
    (i32.const 4096))

  (func $target (param $case i32) (param $at i32) (param $length i32)
    (i32.store8 offset=4 (i32.const 4096) (i32.const 1))
    (i32.store8 offset=8 (i32.const 4096) (local.get $case))
    (call $string (i32.const 4108) (local.get $at) (local.get $length)))
  (func (export "cordboard:plugin/service-resolution@0.1.0#resolve") (result i32)
    (local $do i32)
    (call $enter)
    (local.set $do (call $told (i32.const 1)))
    (if (i32.eq (local.get $do) (i32.const 'E')) (then (call $target (i32.const 1) (i32.const 320) (i32.const 16))))
    (if (i32.eq (local.get $do) (i32.const 'U')) (then (call $target (i32.const 0) (i32.const 384) (i32.const 7))))
    (if (i32.eq (local.get $do) (i32.const 'S'))
      (then
        (call $target (i32.const 0) (i32.const 384) (i32.const 7))
        (i32.store8 offset=20 (i32.const 4096) (i32.const 1))
        (call $string (i32.const 4120) (i32.const 344) (i32.const 3))))
    (if (i32.eq (local.get $do) (i32.const 'W'))
      (then
        (call $target (i32.const 0) (i32.const 384) (i32.const 7))
        (i32.store8 offset=44 (i32.const 4096) (i32.const 1))
        (call $string (i32.const 4144) (i32.const 352) (i32.const 10))))
    (i32.const 4096))

  ;; `C` sets a header that is reserved to the proxy, `N` makes two hundred edits, any other letter sets `x-order` to itself.
  (func (export "cordboard:plugin/request-rewriting@0.1.0#rewrite-request") (result i32)
    (local $do i32) (local $n i32) (local $at i32)
    (call $enter)
    (local.set $do (call $told (i32.const 1)))
    (i32.store8 (i32.const 12288) (local.get $do))
    (local.set $at (i32.const 65536))
    (loop $again
      (i32.store8 (local.get $at) (i32.const 0))
      (call $string (i32.add (local.get $at) (i32.const 4)) (i32.const 368) (i32.const 7))
      (call $string (i32.add (local.get $at) (i32.const 12)) (i32.const 12288) (i32.const 1))
      (local.set $at (i32.add (local.get $at) (i32.const 20)))
      (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 200))))
    (if (i32.eq (local.get $do) (i32.const 'C'))
      (then (call $string (i32.const 65540) (i32.const 352) (i32.const 10))))
    (call $string (i32.const 4100) (i32.const 65536)
      (select (i32.const 200) (i32.const 1) (i32.eq (local.get $do) (i32.const 'N'))))
    (i32.const 4096)))
