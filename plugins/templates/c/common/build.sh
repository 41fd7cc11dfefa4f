#!/bin/sh
# Compiles for WebAssembly, with the first compiler that can link for it; its arguments are those of the compiler.
set -eu
mkdir -p build

for cc in "${CC:-}" "${WASI_SDK_PATH:-/opt/wasi-sdk}/bin/clang" clang clang-22 clang-21 clang-20 clang-19 clang-18; do
  command -v "${cc:-none}" >/dev/null 2>&1 || continue
  # Older C libraries have one name for the target, newer ones the other. A clang without either cannot link.
  for target in wasm32-wasip1 wasm32-wasi; do
    echo 'int main(void) { return 0; }' | "$cc" --target=$target -x c - -o build/probe.wasm 2>/dev/null || continue
    # reactor:     a library that is called, not a program that ends.
    # stack-first: a stack that overflows ends the call, instead of writing over what is beside it.
    # strip-debug: names of functions stay, so that the log says where a call ended.
    exec "$cc" --target=$target -mexec-model=reactor -std=c17 -O2 -Wall -Wextra -I. \
      -Wl,--stack-first -Wl,-z,stack-size=131072 -Wl,--strip-debug "$@"
  done
done
echo "no C compiler that links for WebAssembly; plugin.yaml says what to install" >&2
exit 1
