//! What the demo prints: where everything is, and lines to paste, with the real ports. At most 80 columns wide, but for
//! the path of the configuration.

use std::{
    fmt::{self, Write as _},
    net::SocketAddr,
    path::Path,
};

/// What the lines are made from.
pub(super) struct Screen<'a> {
    pub(super) proxy: SocketAddr,
    pub(super) admin: Option<SocketAddr>,
    pub(super) echo: SocketAddr,
    pub(super) backend: SocketAddr,
    /// The service of the page. It is there with the embedded configuration, so that the routes are known.
    pub(super) page: Option<SocketAddr>,
    pub(super) config: &'a Path,
    /// Default ports that were taken, each with what is used instead.
    pub(super) moved: &'a [(u16, u16)],
}

impl Screen<'_> {
    /// All lines.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let Self { proxy, echo, backend, .. } = self;
        match self.page {
            Some(_) => writeln!(out, "Cordboard demo: open http://{proxy}/ in a browser. Ctrl-C ends it.\n")?,
            None => writeln!(out, "Cordboard demo; Ctrl-C ends it.\n")?,
        }
        writeln!(out, "  proxy    ws://{proxy}")?;
        if let Some(admin) = self.admin {
            writeln!(out, "  admin    http://{admin}")?;
        }
        writeln!(out, "  echo     ws://{echo}    the service behind the router")?;
        writeln!(out, "  backend  http://{backend}  dials in when it is triggered")?;
        if let Some(page) = self.page {
            writeln!(out, "  page     http://{page}  the service behind http://{proxy}/")?;
        }
        for (wanted, used) in self.moved {
            writeln!(out, "  (port {wanted} is taken, {used} is used instead)")?;
        }
        let config = self.config.display();
        writeln!(out, "\nEdit this file: the next handshake decides by it, open conversations go on.")?;
        writeln!(out, "  {config}")?;
        if self.page.is_some() {
            writeln!(out, "It is the demo's own, and removed with it: copy it to keep it.")?;
            writeln!(out, "\nHANDSHAKE, as one request (ends after a second)")?;
            self.handshake(out)?;
            self.joins(out)?;
            writeln!(out, "\nRELOAD: from now on /ws/say is the echo service's, and /ws/echo is nobody's")?;
            writeln!(out, "  sed -i 's|/ws/echo:|/ws/say:|' {config}")?;
        }
        if let Some(admin) = self.admin {
            writeln!(out, "\nWATCH")?;
            writeln!(out, "  curl -s http://{admin}/generation")?;
            writeln!(out, "  curl -s http://{admin}/metrics | grep -v '^#'")?;
        }
        writeln!(out)
    }

    fn handshake(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "  curl --include --no-buffer --max-time 1 \\")?;
        writeln!(out, "    --header \"Connection: Upgrade\" --header \"Upgrade: websocket\" \\")?;
        writeln!(out, "    --header \"Sec-WebSocket-Version: 13\" \\")?;
        writeln!(out, "    --header \"Sec-WebSocket-Key: SGVsbG8sIHdvcmxkIQ==\" \\")?;
        writeln!(out, "    \"http://{}/ws/echo\"", self.proxy)
    }

    fn joins(&self, out: &mut String) -> fmt::Result {
        let proxy = self.proxy;
        writeln!(out, "\nRENDEZVOUS: a client waits on channel 1; a request that is forwarded to the")?;
        writeln!(out, "backend lets it dial in")?;
        writeln!(out, "  python3 -m websockets \"ws://{proxy}/chat?channelId=1\"")?;
        writeln!(out, "  curl \"http://{proxy}/connect?channelId=1\"   # in another terminal")?;
        writeln!(out, "\nROUTER: what is typed comes back from the echo service")?;
        writeln!(out, "  python3 -m websockets \"ws://{proxy}/ws/echo\"")?;
        writeln!(out, "\n  (python3 -m pip install websockets, or: npx wscat -c \"ws://...\")")?;
        writeln!(out, "\nBROWSER, in the console; the last line after the greeting has come")?;
        writeln!(out, "  ws = new WebSocket(\"ws://{proxy}/chat?channelId=2\")")?;
        writeln!(out, "  ws.onmessage = (event) => console.log(event.data)")?;
        writeln!(out, "  ws.onopen = () => fetch(\"http://{proxy}/connect?channelId=2\")")?;
        writeln!(out, "  ws.send(\"hello\")")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[test]
    fn every_line_fits_a_terminal_of_80_columns() {
        let screen = Screen {
            proxy: at(60001),
            admin: Some(at(60002)),
            echo: at(60003),
            backend: at(60004),
            page: Some(at(60005)),
            config: Path::new("/tmp/cordboard-demo-12345678/demo.yaml"),
            moved: &[(8080, 60001), (9901, 60002)],
        };
        let text = screen.text();
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        assert!(text.lines().count() <= 48, "more than a screen");
    }

    #[test]
    fn with_a_configuration_of_ones_own_nothing_is_said_of_routes_it_may_not_have() {
        let screen = Screen {
            proxy: at(1),
            admin: None,
            echo: at(2),
            backend: at(3),
            page: None,
            config: Path::new("own.yaml"),
            moved: &[],
        };
        let text = screen.text();
        assert!(!text.contains("/ws/echo") && !text.contains("/generation"), "{text}");
    }
}
