//! A real browser: Chromium without a window and with an empty profile, driven as its developer tools drive it.
//!
//! Needs Chromium (`apt-get install chromium`); without it the tests fail and say so. `CORDBOARD_TEST_CHROMIUM` names
//! another binary.

use std::{
    fs,
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    dial::{Ws, dial_at, hear_text, say},
    eventually, http, soon,
};

/// How long a page may take to show something; a browser that starts on a busy machine takes its time.
const PATIENCE: Duration = Duration::from_mins(1);
/// One at a time: several that start at once starve each other.
static ALONE: Mutex<()> = Mutex::new(());

/// Killed by its id when it is dropped.
pub struct Browser {
    child: Child,
    profile: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Browser {
    pub fn open(url: &str) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let program = std::env::var("CORDBOARD_TEST_CHROMIUM").unwrap_or_else(|_| "chromium".to_owned());
        let profile = tempfile::tempdir().unwrap();
        // Nothing but the page itself may be asked for; a sandbox of its own needs more rights than a container has.
        let child = Command::new(&program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{program} could not be started ({error}); apt-get install chromium"));
        Self { child, profile, _alone: alone }
    }

    /// What it shows.
    pub async fn tab(&self) -> Tab {
        let port = eventually("the port of the developer tools", || {
            let written = fs::read_to_string(self.profile.path().join("DevToolsActivePort")).ok()?;
            written.lines().next()?.parse::<u16>().ok()
        });
        let tools = ([127, 0, 0, 1], port).into();
        let path = eventually("the page in the browser", || {
            let (_, list) = http(tools, &format!("GET /json/list HTTP/1.1\r\nHost: {tools}\r\n\r\n"));
            let list: Value = serde_json::from_str(&list).ok()?;
            let page = list.as_array()?.iter().find(|target| target["type"] == "page")?;
            Some(page["webSocketDebuggerUrl"].as_str()?.split_once(&port.to_string())?.1.to_owned())
        });
        Tab { tools: dial_at(tools, &path).await, asked: 0 }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A page in the browser.
pub struct Tab {
    tools: Ws,
    asked: u64,
}

impl Tab {
    /// The value of an expression of JavaScript in the page; one that throws fails the test.
    pub async fn value(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let result = self.order("Runtime.evaluate", params).await;
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Gives the page so much room, in CSS pixels, as a telephone does.
    pub async fn size(&mut self, width: u32, height: u32) {
        let params = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": true});
        self.order("Emulation.setDeviceMetricsOverride", params).await;
    }

    async fn order(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        say(&mut self.tools, json!({"id": self.asked, "method": method, "params": params}).to_string()).await;
        loop {
            let mut heard: Value = serde_json::from_str(&hear_text(&mut self.tools).await).unwrap();
            if heard["id"] == self.asked {
                assert!(heard["error"].is_null(), "{method}: {heard}");
                return heard["result"].take();
            }
        }
    }

    /// The text of an element, or what stands in a field; nothing where it is not shown.
    pub async fn text(&mut self, selector: &str) -> String {
        let shown = format!(
            "(() => {{ const found = document.querySelector({selector:?}); \
             if (!found?.checkVisibility()) return ''; \
             return found.matches('input, textarea') ? found.value : found.innerText; }})()"
        );
        self.value(&shown).await.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an element shows a text.
    pub async fn shows(&mut self, selector: &str, text: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let there = self.text(selector).await;
            if there.contains(text) {
                return;
            }
            assert!(Instant::now() < end, "{selector} shows {there:?}, and not {text:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Clicks what can be clicked.
    pub async fn click(&mut self, selector: &str) {
        let click = format!(
            "(() => {{ const found = document.querySelector({selector:?}); \
             if (!found?.checkVisibility() || found.disabled) return false; found.click(); return true; }})()"
        );
        soon(&format!("a click on {selector}"), async || (self.value(&click).await == true).then_some(())).await;
    }

    /// Puts a text into a field, as if it were typed.
    pub async fn fill(&mut self, selector: &str, text: &str) {
        let fill = format!(
            "(() => {{ const field = document.querySelector({selector:?}); field.value = {}; \
             field.dispatchEvent(new Event('input', {{ bubbles: true }})); }})()",
            Value::from(text)
        );
        self.value(&fill).await;
    }
}
