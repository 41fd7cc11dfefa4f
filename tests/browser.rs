//! A page in a real browser speaks through every mode of one listener: its own HTML comes through `mode: http`, its
//! sockets are paired with each other, routed to a service, refused.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "browser/journey.rs"]
mod journey;
mod support;

use support::{Proxy, browser::Browser, echo::Echo, site::Site, upstream::Refusing};

const PAGE: &str = include_str!("browser/page.html");

#[test]
fn a_page_is_served_pairs_its_sockets_and_talks_to_services_through_one_listener() {
    let (echo, site, nobody) = (Echo::start("echo"), Site::start(PAGE), Refusing::bind());
    let proxy = Proxy::with(&format!(
        "plugins: {{rendezvous: {{component: 'builtin:rendezvous'}}}}\n\
         routes:\n\
         \x20 - {{name: chat, match: {{path: /chat}}, mode: rendezvous, plugins: [rendezvous]}}\n\
         \x20 - {{name: nobody, match: {{path: /ws/nobody}}, mode: router, service: nobody}}\n\
         \x20 - {{name: ws, match: {{path: /ws}}, mode: router, service: echo}}\n\
         \x20 - {{name: web, match: {{path: /web}}, mode: http, service: web}}\n\
         services:\n\
         \x20 echo: {{endpoints: ['ws://{}']}}\n\
         \x20 nobody: {{endpoints: ['ws://{}']}}\n\
         \x20 web: {{endpoints: ['http://{}']}}\n",
        echo.address, nobody.address, site.address
    ));
    let _browser = Browser::open(&format!("http://{}/web/page", proxy.address));
    let end = std::time::Instant::now() + std::time::Duration::from_mins(2);
    let result = loop {
        if let Some(result) = site.result() {
            break result;
        }
        assert!(std::time::Instant::now() < end, "the page said nothing; the log is:\n{}", proxy.log().join("\n"));
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    };
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    assert_eq!(
        result,
        serde_json::json!({
            "rendezvous": {
                "early": ["before anybody is there"],
                "text": "größe ✓",
                "binary": true,
                "protocols": ["v2.chat", "v2.chat"],
                "closed": [4321, "that was all", true],
            },
            "router": { "name": "echo", "text": 100_000, "binary": true, "closed": [1000, "bye", true] },
            "refused": { "code": 1006 },
            "http": {
                "status": 200,
                "echoed": true,
                "pieces": ["first", "second"],
                "missing": [404, "no-route"],
            },
        })
    );
    proxy.metric_becomes("cordboard_causes_total{cause=\"no-endpoint\"}", 1.0);
}
