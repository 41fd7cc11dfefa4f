  ;; Tells the log of each event, with its attributes; `t` and `h` of the configuration trap and hang after that.
  (func (export "cordboard:plugin/lifecycle@0.1.0#on-event")
    (param $name i32) (param $length i32) (param $at i64) (param $attributes i32) (param $count i32)
    (call $write (i32.const 2) (local.get $name) (local.get $length) (local.get $attributes) (local.get $count))
    (global.set $heap (i32.const 16384))
    (if (i32.eq (global.get $do) (i32.const 't')) (then unreachable))
    (if (i32.eq (global.get $do) (i32.const 'h')) (then (loop $again (br $again)))))
