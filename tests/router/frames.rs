//! Frames pass verbatim, and an end on either side is one on the other.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    joined,
    support::{
        dial::within,
        upstream::Upstream,
        wire::{BINARY, CLOSE, PING, TEXT, Wire, bare, close, masked},
    },
    to,
};

/// Every byte that `from` writes arrives at `other` as it is.
async fn verbatim(from: &mut Wire, other: &mut Wire, bytes: &[u8]) {
    let mut seen = vec![0; bytes.len()];
    let ((), read) =
        tokio::join!(from.write(bytes), within("frames, byte for byte", other.stream.read_exact(&mut seen)));
    read.unwrap();
    assert!(seen == bytes, "{} bytes differ", bytes.len());
}

#[tokio::test]
async fn frames_pass_byte_for_byte_masks_and_fragments_and_all() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "");
    let (mut client, mut dialled) = joined(&proxy, &upstream, "", "").await;
    let payloads = [0, 1, 125, 126, 127, 65_535, 65_536, 300_000].map(|length| vec![b'x'; length]);
    for frame in [masked as fn(u8, &[u8]) -> Vec<u8>, bare] {
        let mut bytes = Vec::new();
        for payload in &payloads {
            bytes.extend(frame(BINARY, payload));
        }
        bytes.extend([frame(0x01, b"one"), frame(PING, b"between"), frame(0x00, b""), frame(0x80, b"two")].concat());
        if frame(TEXT, b"")[1] & 0x80 != 0 {
            verbatim(&mut client, &mut dialled, &bytes).await;
        } else {
            verbatim(&mut dialled, &mut client, &bytes).await;
        }
    }
}

#[tokio::test]
async fn reserved_bits_pass_where_an_extension_was_negotiated_and_are_1002_elsewhere() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "");
    let field = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let (mut client, mut dialled) = joined(&proxy, &upstream, field, field).await;
    verbatim(&mut client, &mut dialled, &masked(0xc1, b"compressed")).await;
    verbatim(&mut dialled, &mut client, &bare(0xc2, b"compressed")).await;

    let (mut client, mut dialled) = joined(&proxy, &upstream, field, "").await;
    client.send(0xc1, b"not agreed upon").await;
    assert_eq!(client.expect_close().await.map(|(code, _)| code), Some(1002));
    assert_eq!(dialled.expect_close().await.map(|(code, _)| code), Some(1001));
}

// Regression: a Close was swallowed and its code lost.
#[tokio::test]
async fn code_and_reason_of_a_close_pass_both_ways() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "");
    for (code, reason) in [(1000, "done"), (1001, ""), (1008, "policy"), (1013, "grün"), (4999, "private")] {
        let (mut client, mut dialled) = joined(&proxy, &upstream, "", "").await;
        client.send(CLOSE, &close(code, reason)).await;
        assert_eq!(dialled.expect_close().await, Some((code, reason.to_owned())));
        dialled.write(&bare(CLOSE, &close(code, ""))).await;
        assert_eq!(client.expect_close().await, Some((code, String::new())));
        client.expect_end().await;

        let (mut client, mut dialled) = joined(&proxy, &upstream, "", "").await;
        dialled.write(&bare(CLOSE, &close(code, reason))).await;
        assert_eq!(client.expect_close().await, Some((code, reason.to_owned())));
        client.send(CLOSE, &close(code, "")).await;
        assert_eq!(dialled.expect_close().await, Some((code, String::new())));
    }
    let (mut client, mut dialled) = joined(&proxy, &upstream, "", "").await;
    client.send(CLOSE, b"").await;
    assert_eq!(dialled.expect_close().await, None, "an empty Close stays empty");
}

#[tokio::test]
async fn a_broken_upstream_is_1011_to_the_client_and_a_broken_client_1001_to_the_upstream() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "");
    let (mut client, mut dialled) = joined(&proxy, &upstream, "", "").await;
    dialled.write(&bare(TEXT, b"last words")).await;
    drop(dialled);
    client.expect(TEXT, b"last words").await;
    assert_eq!(client.expect_close().await.map(|(code, _)| code), Some(1011));

    let (mut client, mut dialled) = joined(&proxy, &upstream, "", "").await;
    client.send(TEXT, b"last words").await;
    client.stream.shutdown().await.unwrap();
    dialled.expect(TEXT, b"last words").await;
    let frame = dialled.frame().await.unwrap();
    assert_eq!((frame.first, &frame.payload[..2]), (CLOSE, &1001_u16.to_be_bytes()[..]));
    assert!(frame.masked, "towards the upstream we are a client");
}
