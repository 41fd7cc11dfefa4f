//! What was imported is run: a real handshake through each mode, answered as the replaced system answered it.

use std::path::PathBuf;

use super::{Ended, Files, GATEWAY, RENDEZVOUS, example, import};
use crate::support::{
    Proxy, Setup,
    dial::{alive, converse, dial, dial_with, part},
    http, status, upgrade,
    upstream::Upstream,
};

/// Runs what is imported from these files, on free ports.
fn run(files: &[PathBuf]) -> Proxy {
    let Ended { out, error, .. } = import(files, &[]);
    let listening = out.replace("127.0.0.1:8080", "127.0.0.1:0").replace("0.0.0.0:8080", "127.0.0.1:0");
    assert!(listening.contains("127.0.0.1:0"), "{out}\n{error}");
    let setup = Setup::new("");
    setup.put("cordboard.yaml", format!("{listening}admin: {{ address: \"127.0.0.1:0\" }}\n").as_bytes());
    setup.start()
}

fn knock(proxy: &Proxy, target: &str, more: &str) -> u16 {
    status(&http(proxy.address, &upgrade(target, more)).0)
}

#[tokio::test]
async fn the_imported_rendezvous_joins_as_the_replaced_one_did() {
    let proxy = run(&example(RENDEZVOUS));
    // The documentation's own two requests: the client by the query, the backend by the path; then by the header.
    let mut client = dial(&proxy, "/chat?channelId=12345").await;
    let mut backend = dial(&proxy, "/chat/connect?channelId=12345").await;
    converse(&mut client, &mut backend, "by the query").await;
    // A second one of either is turned away, and so is a backend that comes first, or one that names no channel.
    let address = proxy.address;
    let second = tokio::task::spawn_blocking(move || status(&http(address, &upgrade("/chat?channelId=12345", "")).0));
    assert_eq!(alive(&mut client, second).await.unwrap(), 409);
    assert_eq!(knock(&proxy, "/chat/connect?channelId=99", ""), 409);
    assert_eq!(knock(&proxy, "/chat", ""), 400);
    part(client, backend).await;

    // One registry for all paths; and what it never did: the id can be used again.
    let mut client = dial_with(&proxy, "/chat", &[("x-group-id", "12345")]).await.0;
    let mut backend = dial_with(&proxy, "/connect", &[("channel-group-id", "12345")]).await.0;
    converse(&mut client, &mut backend, "by the header").await;
    part(client, backend).await;
    // The trigger is no WebSocket.
    let (head, _) = http(proxy.address, "GET /connect?channelId=1 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(status(&head), 426);
}

#[tokio::test]
async fn the_imported_router_dials_as_the_replaced_one_did() {
    let (chat, dev) = (Upstream::bind().await, Upstream::bind().await);
    let paths = example(GATEWAY);
    let texts: Vec<_> = paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let real = |text: &String| {
        text.replace("127.0.0.1:9001", &chat.address.to_string()).replace("127.0.0.1:9002", &dev.address.to_string())
    };
    let texts: Vec<_> = texts.iter().map(real).collect();
    let names = paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap());
    let files: Vec<_> = names.zip(texts.iter().map(String::as_str)).collect();
    let files = Files::with(&files);
    let proxy = run(&files.paths);

    // By path: the longest prefix; path and query stay, the router's own parameters go, the service sees its own name.
    let talk = async |upstream: &Upstream, target: &str, more: &str, seen: &str| {
        let request = upgrade(target, more);
        let asking = tokio::task::spawn_blocking({
            let address = proxy.address;
            move || status(&http(address, &request).0)
        });
        let mut wire = upstream.accept().await;
        assert_eq!(wire.target(), seen, "{}", wire.head);
        assert_eq!(wire.field("host"), Some(upstream.address.to_string().as_str()));
        assert_eq!(wire.fields("service_id"), Vec::<&str>::new());
        assert_eq!(wire.field("authorization"), Some("Bearer x"));
        wire.switch("", b"").await;
        assert_eq!(asking.await.unwrap(), 101);
    };
    let bearer = "Authorization: Bearer x\r\n";
    talk(&chat, "/ws/chat/room?a=1&env_tag=prod&b=2", bearer, "/ws/chat/room?a=1&b=2").await;
    // With the tag of its entry.
    talk(&dev, "/ws/notification", bearer, "/ws/notification").await;
    // By header, on any path; by query.
    talk(&chat, "/elsewhere", &format!("{bearer}service_id: chat-service\r\n"), "/elsewhere").await;
    talk(&chat, "/elsewhere?service_id=chat-service", bearer, "/elsewhere").await;
    assert_eq!(knock(&proxy, "/elsewhere", ""), 404);
    // The rendezvous beside it, with its own word for backends.
    let mut client = dial(&proxy, "/chat?channelId=1").await;
    let mut backend = dial(&proxy, "/chat/agent?channelId=1").await;
    converse(&mut client, &mut backend, "beside").await;
}
