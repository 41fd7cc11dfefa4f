  ;; What every guest of these tests has. Results stand at 4096, what the host hands over from 16384 on. `init` keeps the
  ;; letter of the configuration {"do":"X"}. A letter between quotes stands for its code.
  (memory (export "memory") 2)
  (global $heap (mut i32) (i32.const 16384))
  (global $do (mut i32) (i32.const 0))
  (data (i32.const 16) "hooked")
  (data (i32.const 32) "said so")

  (func (export "cabi_realloc") (param $old i32) (param $was i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get $at) (local.get $size)))
    (local.get $at))

  (func $string (param $to i32) (param $at i32) (param $length i32)
    (i32.store (local.get $to) (local.get $at))
    (i32.store offset=4 (local.get $to) (local.get $length)))

  (func $enter
    (global.set $heap (i32.const 16384))
    (memory.fill (i32.const 4096) (i32.const 0) (i32.const 256)))

  (func (export "cordboard:plugin/meta@0.1.0#init") (param $config i32) (param $length i32) (result i32)
    (call $enter)
    (if (i32.gt_u (local.get $length) (i32.const 7))
      (then (global.set $do (i32.load8_u offset=7 (local.get $config)))))
    (i32.const 4096))

  (func (export "cordboard:plugin/meta@0.1.0#describe") (result i32)
    (call $enter)
    (call $string (i32.const 4096) (i32.const 16) (i32.const 6))
    (call $string (i32.const 4104) (i32.const 16) (i32.const 6))
    (call $string (i32.const 4112) (i32.const 16) (i32.const 0))
    (i32.const 4096))

  ;; err(rejection) with this status; the case stands at 4096, the record at `at`.
  (func $reject (param $at i32) (param $status i32)
    (i32.store8 (i32.const 4096) (i32.const 1))
    (i32.store16 (local.get $at) (local.get $status))
    (call $string (i32.add (local.get $at) (i32.const 4)) (i32.const 16) (i32.const 6))
    (call $string (i32.add (local.get $at) (i32.const 12)) (i32.const 32) (i32.const 7)))
