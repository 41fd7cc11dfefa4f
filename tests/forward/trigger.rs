//! The whole of a rendezvous through one listener: the client's WebSocket, the request that triggers the backend, and
//! the backend's WebSocket.

use std::process::Command;

use crate::support::{
    CHAT, Proxy,
    dial::{converse, dial, part},
    upstream::Upstream,
};

#[tokio::test]
async fn a_request_that_is_forwarded_lets_the_backend_dial_back_to_the_client_that_waits() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::with(&format!(
        "{CHAT}  - {{name: trigger, match: {{exact_path: /connect}}, mode: http, service: backend}}\n\
         services: {{backend: {{endpoints: ['http://{}']}}}}\n",
        upstream.address
    ));
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let mut client = dial(&proxy, "/chat?channelId=7").await;
        proxy.metric_becomes("cordboard_legs_waiting", 1.0);
        let url = format!("http://{}/connect?channelId=7", proxy.address);
        let curl = tokio::task::spawn_blocking(move || {
            Command::new("curl").args(["--silent", "--show-error", "--max-time", "20", version, &url]).output().unwrap()
        });
        let mut triggered = upstream.accept().await;
        assert_eq!(triggered.target(), "/connect?channelId=7");
        // It answers when it has dialled: the client's request waits for the backend's handshake, in the same proxy.
        let mut backend = dial(&proxy, "/chat/connect?channelId=7").await;
        triggered.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\ndialled\n").await;
        let output = curl.await.unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "dialled\n", "{}", String::from_utf8_lossy(&output.stderr));
        converse(&mut client, &mut backend, version).await;
        part(client, backend).await;
    }
    proxy.logged(&["request forwarded", "route=trigger", "status=200"]);
    proxy.logged(&["session ended", "outcome=paired", "route=chat"]);
    super::at_rest_without_connections(&proxy);
}
