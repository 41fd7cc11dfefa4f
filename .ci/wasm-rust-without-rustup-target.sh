#!/usr/bin/env bash
# A Rust compiler for wasm32-unknown-unknown on Debian machines whose rustup cannot fetch that target.
#
# Cordboard's built-in policies need the target, which `rustup target add wasm32-unknown-unknown` installs. Where that is
# not possible, this script takes Debian's rustc-web with its std sources, unpacks them into a cache folder (nothing is
# installed) and builds std for the target: about a minute and 500 MB, once.
#
#   eval "$(.ci/wasm-rust-without-rustup-target.sh [DIR])"     # prints `export ...` lines on standard output
#
# DIR is the cache folder, by default $WASM_RUST_DIR or ~/.cache/wasm-rust. The lines set the linker that turns a guest into a
# component, its flags and, where the target is not rustup's, RUSTC: eval them in a SUBSHELL, or the proxy itself is
# built with that compiler too. `make setup FALLBACK=1` does all that and hands the compiler to the build by
# CORDBOARD_WASM_RUSTC. WASM_RUST_FORCE_DEBIAN=1 takes this way even where rustup's target is installed.
set -euo pipefail

DIR=${1:-${WASM_RUST_DIR:-$HOME/.cache/wasm-rust}}
T=wasm32-unknown-unknown
HOST=$(rustc -vV | sed -n 's/^host: //p')
SYS=$(rustc --print sysroot)
BIN=$SYS/lib/rustlib/$HOST/bin # rust-lld, gcc-ld/wasm-ld, wasm-component-ld

say() { echo "$*" >&2; }
has_std() { ls "$("$1" --print target-libdir --target $T 2>/dev/null)"/libstd-*.rlib >/dev/null 2>&1; }
candidate() { apt-cache policy rustc-web 2>/dev/null | sed -n 's/^ *Candidate: //p' | grep -vx '(none)' || true; }

[ -x "$BIN/wasm-component-ld" ] || { say "this toolchain has no wasm-component-ld ($BIN)"; exit 1; }
# wasm-component-ld links with wasm-ld and makes a component of the result; it finds wasm-ld on PATH or by this flag.
linker() {
  echo "export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER='$BIN/wasm-component-ld'"
  echo "export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS='-Clink-arg=--wasm-ld-path=$BIN/gcc-ld/wasm-ld'"
}

# 1. An ordinary machine, where `rustup target add` was run. This script never downloads a target itself.
if [ -z "${WASM_RUST_FORCE_DEBIAN:-}" ] && has_std rustc; then
  linker
  say "using rustup's $T"
  exit 0
fi

# 2. Debian: rustc-web and its own std sources, unpacked; std is built once.
command -v apt-get >/dev/null || { say "no $T target, and no apt-get to take Debian's rustc-web with"; exit 1; }
V=$(candidate)
if [ -z "$V" ] || ! has_std "$DIR/$V/usr/bin/rustc-run"; then
  [ "$(id -u)" != 0 ] || apt-get -qq update >&2 || say "apt-get update failed; going on with the lists there are"
  V=$(candidate)
fi
[ -n "$V" ] || { say "no $T target, and no Debian package rustc-web: run apt-get update?"; exit 1; }
ROOT=$DIR/$V
if ! has_std "$ROOT/usr/bin/rustc-run"; then
  say "building std for $T with Debian's rustc-web $V into $ROOT"
  rm -rf "$ROOT"
  mkdir -p "$ROOT/debs"
  ABI=$(apt-cache depends "libstd-rust-web-dev=$V" | sed -n 's/.*Depends: \(libstd-rust-web-[0-9.]*\)$/\1/p')
  LLVM=$(apt-cache depends "$ABI=$V" | sed -n 's/.*Depends: \(libllvm[0-9]*\)$/\1/p')
  (cd "$ROOT/debs" && apt-get -qq -o APT::Sandbox::User=root download \
    "rustc-web=$V" "libstd-rust-web-dev=$V" "$ABI=$V" "rust-web-src=$V" "$LLVM" >&2)
  for d in "$ROOT"/debs/*.deb; do dpkg-deb -x "$d" "$ROOT"; done
  rm -rf "$ROOT/debs" "$ROOT"/usr/share
  # This rustc finds its own librustc_driver and LLVM only through the wrapper.
  LIBS=$(echo "$ROOT"/usr/lib/*-linux-gnu*)
  cat >"$ROOT/usr/bin/rustc-run" <<W
#!/bin/sh
LD_LIBRARY_PATH=$LIBS exec $ROOT/usr/bin/rustc "\$@"
W
  chmod +x "$ROOT/usr/bin/rustc-run"
  mkdir -p "$ROOT/stdbuild/src"
  : >"$ROOT/stdbuild/src/lib.rs"
  printf '[package]\nname="stdbuild"\nversion="0.0.0"\nedition="2021"\n[workspace]\n' >"$ROOT/stdbuild/Cargo.toml"
  # No path of this machine goes into the panic messages of std.
  (cd "$ROOT/stdbuild" && env -u CARGO_TARGET_DIR -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS \
    RUSTC="$ROOT/usr/bin/rustc-run" RUSTC_BOOTSTRAP=1 \
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="-Cembed-bitcode=yes --remap-path-prefix=$ROOT=/rustc --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src=/registry" \
    cargo build -q --release -Z build-std=std,panic_abort --target $T >&2)
  L=$ROOT/usr/lib/rustlib/$T/lib
  mkdir -p "$L"
  rm -f "$ROOT"/stdbuild/target/$T/release/deps/libstdbuild-*
  cp "$ROOT"/stdbuild/target/$T/release/deps/*.rlib "$L/"
  rm -rf "$ROOT/stdbuild" "$ROOT/usr/src" "$ROOT/usr/lib/rustlib/src" # not needed any more
fi
linker
echo "export RUSTC='$ROOT/usr/bin/rustc-run'"
say "using Debian's rustc-web $V at $ROOT"
