//! Who is told that a session begins to end.

/// Told once, in any case, whether there were two legs: when the first Close, end or error of either leg is read or we
/// decide to end the session, before anybody hears of it; and at the latest when the session is dropped.
#[derive(Default)]
pub(super) struct FirstEnd {
    hook: Option<Box<dyn FnOnce(bool) + Send>>,
    pub(super) joined: bool,
}

impl FirstEnd {
    pub(super) fn new(hook: impl FnOnce(bool) + Send + 'static, joined: bool) -> Self {
        Self { hook: Some(Box::new(hook)), joined }
    }

    pub(super) fn tell(&mut self) {
        if let Some(hook) = self.hook.take() {
            hook(self.joined);
        }
    }
}

impl Drop for FirstEnd {
    fn drop(&mut self) {
        self.tell();
    }
}
