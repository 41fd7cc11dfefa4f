  ;; Says by its configuration whether a session may go on: `o` yes, `x` no (4001), `i` no, with a code that must not be
  ;; sent, `t` traps, `h` hangs, and `b` no to those whose subject begins with that letter. The log hears of each question.
  (data (i32.const 64) "asked again")

  (func $ends (param $code i32)
    (i32.store8 (i32.const 4096) (i32.const 1))
    (i32.store16 (i32.const 4100) (local.get $code))
    (call $string (i32.const 4104) (i32.const 32) (i32.const 7)))

  (func (export "cordboard:plugin/session-authorization@0.1.0#recheck") (result i32)
    (call $enter)
    (call $write (i32.const 2) (i32.const 64) (i32.const 11) (i32.const 0) (i32.const 0))
    (if (i32.eq (global.get $do) (i32.const 'x')) (then (call $ends (i32.const 4001))))
    (if (i32.eq (global.get $do) (i32.const 'i')) (then (call $ends (i32.const 1005))))
    (if (i32.eq (global.get $do) (i32.const 't')) (then unreachable))
    (if (i32.eq (global.get $do) (i32.const 'h')) (then (loop $again (br $again))))
    (if (i32.eq (global.get $do) (i32.const 'b'))
      (then
        (call $identity (i32.const 8192))
        (if (i32.and (i32.load8_u (i32.const 8192)) (i32.load8_u (i32.const 8200)))
          (then
            (if (i32.eq (i32.load8_u (i32.load (i32.const 8204))) (i32.const 'b'))
              (then (call $ends (i32.const 4001))))))))
    (i32.const 4096))
