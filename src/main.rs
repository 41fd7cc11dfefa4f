//! The thin binary: everything is in the library.

use std::process::ExitCode;

// A session is made of small pieces that stay, while those of its handshake, some of them large, go again. Here each size
// has pages of its own; glibc's allocator would leave holes between the pieces, up to two thirds as large as they are
// (docs/benchmarks.md).
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cordboard::cli::main()
}
