//! What the fuzz targets of `tests/fuzz` stand on: choices read from the fuzzer's bytes, and the replay of its corpora by
//! ordinary tests. Knows nothing of ours; the targets' bodies stand beside what they try, in `relay`, `head` and `config`.

/// The fuzzer's bytes, taken from the front. Where they end, every choice is the first one.
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) const fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte, or 0.
    pub(crate) fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }

    /// The next two bytes as a number.
    pub(crate) fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// As many bytes as there are, at most so many.
    pub(crate) fn bytes(&mut self, most: usize) -> &'a [u8] {
        self.0.split_off(..most.min(self.0.len())).unwrap_or_default()
    }

    /// Bytes up to the next zero, which is taken as well, or all.
    pub(crate) fn text(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        let text = self.bytes(end);
        self.byte();
        text
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

/// Runs what the fuzzer has found interesting (`corpus`) and what once went wrong (`regressions`) through a target's
/// body, which panics where something is wrong.
#[cfg(test)]
pub(crate) fn replay(target: &str, body: fn(&[u8])) {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let mut inputs = Vec::new();
    for folder in ["corpus", "regressions"] {
        // Git keeps no empty folder, so a target without regressions has none.
        let files = std::fs::read_dir(root.join(folder).join(target)).into_iter().flatten();
        inputs.extend(files.map(|file| file.unwrap().path()));
    }
    inputs.sort();
    assert!(inputs.len() >= 10, "tests/fuzz/corpus/{target} has a corpus");
    for input in inputs {
        let data = std::fs::read(&input).unwrap();
        if let Err(panic) = std::panic::catch_unwind(|| body(&data)) {
            eprintln!("the input was {}", input.display());
            std::panic::resume_unwind(panic);
        }
    }
}
