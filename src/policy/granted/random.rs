//! Random bytes: of the system's cryptographic generator, at most `limits.host_copy` at once.

use super::super::{host::State, v0_1::random};

impl random::Host for State {
    fn get_bytes(&mut self, len: u32) -> wasmtime::Result<Vec<u8>> {
        self.granted()?;
        let most = self.limits.host_copy;
        let wanted = usize::try_from(len).ok().filter(|len| *len <= most);
        let Some(wanted) = wanted else {
            return Err(wasmtime::format_err!("asked for {len} random bytes at once; limits.host_copy is {most}"));
        };
        let mut bytes = vec![0; wanted];
        getrandom::fill(&mut bytes).map_err(|error| wasmtime::format_err!("no random bytes: {error}"))?;
        Ok(bytes)
    }
}
