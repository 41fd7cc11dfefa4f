  ;; Who it is stands in the field `x-who`, when that ends, in milliseconds since 1970, in `x-end`, and the name of its
  ;; token in `x-key`. A subject that begins with `!` is rejected with 401, one that begins with `#` traps, and one that
  ;; begins with `~` has an attribute of 5000 bytes.
  (data (i32.const 64) "x-who")
  (data (i32.const 80) "x-end")
  (data (i32.const 96) "x-key")
  (data (i32.const 112) "group")
  (data (i32.const 128) "staff")

  (func $number (param $at i32) (param $length i32) (result i64)
    (local $sum i64)
    (block $done
      (loop $again
        (br_if $done (i32.eqz (local.get $length)))
        (local.set $sum
          (i64.add
            (i64.mul (local.get $sum) (i64.const 10))
            (i64.extend_i32_u (i32.sub (i32.load8_u (local.get $at)) (i32.const '0')))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (local.set $length (i32.sub (local.get $length) (i32.const 1)))
        (br $again)))
    (local.get $sum))

  (func (export "cordboard:plugin/authorization@0.1.0#authorize") (result i32)
    (local $first i32)
    (call $enter)
    (call $header (i32.const 64) (i32.const 5) (i32.const 8192))
    (if (i32.eqz (i32.load8_u (i32.const 8192))) (then (return (i32.const 4096))))
    (local.set $first (i32.load8_u (i32.load (i32.const 8196))))
    (if (i32.eq (local.get $first) (i32.const '!'))
      (then
        (call $reject (i32.const 4104) (i32.const 401))
        (return (i32.const 4096))))
    (if (i32.eq (local.get $first) (i32.const '#')) (then unreachable))
    ;; ok(some(identity)), whose records are 8 bytes apart.
    (i32.store8 (i32.const 4104) (i32.const 1))
    (i32.store8 (i32.const 4112) (i32.const 1))
    (call $string (i32.const 4116) (i32.load (i32.const 8196)) (i32.load (i32.const 8200)))
    (call $header (i32.const 80) (i32.const 5) (i32.const 8192))
    (if (i32.load8_u (i32.const 8192))
      (then
        (i32.store8 (i32.const 4136) (i32.const 1))
        (i64.store (i32.const 4144) (call $number (i32.load (i32.const 8196)) (i32.load (i32.const 8200))))))
    (call $header (i32.const 96) (i32.const 5) (i32.const 8192))
    (if (i32.load8_u (i32.const 8192))
      (then
        (i32.store8 (i32.const 4152) (i32.const 1))
        (call $string (i32.const 4156) (i32.load (i32.const 8196)) (i32.load (i32.const 8200)))))
    ;; One attribute.
    (call $string (i32.const 65536) (i32.const 112) (i32.const 5))
    (call $string (i32.const 65544) (i32.const 128) (i32.const 5))
    (if (i32.eq (local.get $first) (i32.const '~'))
      (then
        (memory.fill (i32.const 73728) (i32.const 'x') (i32.const 5000))
        (call $string (i32.const 65544) (i32.const 73728) (i32.const 5000))))
    (call $string (i32.const 4164) (i32.const 65536) (i32.const 1))
    (i32.const 4096))
