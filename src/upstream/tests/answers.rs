//! Answers that are no connection: wrong 101s, refusals and their bodies.

use super::*;

#[tokio::test]
async fn an_answer_that_is_not_one_to_our_request_is_a_protocol_error_and_ends_the_search() {
    let table = [
        (SWITCH.replace("{accept}", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") + "\r\n", "Accept"),
        (SWITCH.replace("sec-websocket-accept", "x-accept") + "\r\n", "Accept"),
        (switch("sec-websocket-accept: {accept}\r\n", ""), "sec-websocket-accept"),
        (SWITCH.replace("WebSocket", "h2c") + "\r\n", "does not switch"),
        (SWITCH.replace("keep-alive, Upgrade", "keep-alive") + "\r\n", "does not switch"),
        (SWITCH.replace("HTTP/1.1", "HTTP/1.0") + "\r\n", "HTTP/1.1"),
        (switch("sec-websocket-protocol: c\r\n", ""), "\"c\""),
        (switch("sec-websocket-protocol: A\r\n", ""), "\"A\""),
        (switch("sec-websocket-protocol: a, b\r\n", ""), "\"a, b\""),
        (switch("sec-websocket-protocol: a\r\nsec-websocket-protocol: b\r\n", ""), "sec-websocket-protocol"),
        (switch("sec-websocket-protocol: \r\n", ""), "\"\""),
        (switch("sec-websocket-extensions: x, y; z=1\r\n", ""), "\"y\""),
        (switch("sec-websocket-extensions: x\r\nsec-websocket-extensions: permessage-deflate\r\n", ""), "deflate"),
        (switch("sec-websocket-extensions: ;\r\n", ""), "extension"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_owned(), "200"),
        ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), "204"),
        ("SSH-2.0-OpenSSH_9.9\r\n\r\n".to_owned(), "invalid"),
        (format!("HTTP/1.1 101 X\r\nx: {}\r\n\r\n", "y".repeat(MAX_HEAD + 1)), "large"),
    ];
    for (answer, named) in table {
        let upstream = Upstream::answering(&answer).await;
        let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let offers = [("sec-websocket-protocol", "a, b"), ("sec-websocket-extensions", "x")];
        let endpoints = vec![upstream.endpoint.clone(), endpoint(other.local_addr().unwrap())];
        let error = timeout(PATIENCE, connect_to(endpoints, &offers)).await.expect(named).expect_err(named);
        assert!(matches!(&error, DialError::Protocol(tried) if tried.to_string().contains(named)), "{named}: {error}");
        assert_eq!(error.cause().row().status, 502);
        assert!(error.refusal().detail.is_some_and(|detail| detail.contains(named)));
        upstream.received().await;
    }
}

#[tokio::test]
async fn nothing_may_be_selected_where_nothing_was_offered() {
    for more in ["sec-websocket-protocol: a\r\n", "sec-websocket-extensions: permessage-deflate\r\n"] {
        let upstream = Upstream::answering(&switch(more, "")).await;
        let error = connect_to(vec![upstream.endpoint], &[]).await.expect_err(more);
        assert_eq!(error.cause(), Cause::UpstreamProtocol, "{more}");
    }
}

async fn answer(upstream: &Upstream) -> Box<Answer> {
    match connect_to(vec![upstream.endpoint.clone(), nobody().await], &[]).await {
        Err(DialError::Answer(answer)) => answer,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_refusal_of_the_upstream_comes_with_its_fields_and_body() {
    for (status, framing, body) in [
        (403, "content-length: 7\r\n", "go away"),
        (401, "transfer-encoding: chunked\r\n", "3\r\ngo \r\n4\r\naway\r\n0\r\n\r\n"),
    ] {
        let head =
            format!("HTTP/1.1 {status} X\r\nwww-authenticate: Basic\r\nconnection: x-hop\r\nx-hop: 1\r\n{framing}");
        let upstream = Upstream::answering(&format!("{head}\r\n{body}")).await;
        let answer = answer(&upstream).await;
        assert_eq!((answer.status.as_u16(), &answer.body[..], answer.truncated), (status, &b"go away"[..], false));
        assert_eq!(answer.headers.len(), 1, "{:?}", answer.headers);
        assert_eq!(answer.headers["www-authenticate"], "Basic");
        assert_eq!(answer.endpoint, upstream.endpoint);
        upstream.received().await;
    }
    let upstream = Upstream::new(Script::AnswerAndEnd("HTTP/1.0 302 X\r\nlocation: /y\r\n\r\nto the end".into())).await;
    let answer = answer(&upstream).await;
    assert_eq!((answer.status.as_u16(), &answer.body[..], answer.truncated), (302, &b"to the end"[..], false));
    assert_eq!(DialError::Answer(answer).cause(), Cause::UpstreamRefused);
}

#[tokio::test]
async fn a_long_body_of_a_refusal_is_cut_at_the_limit() {
    for (size, truncated) in [(MAX_ANSWER_BODY, false), (MAX_ANSWER_BODY + 1, true), (MAX_ANSWER_BODY * 20, true)] {
        let text = format!("HTTP/1.1 503 X\r\ncontent-length: {size}\r\n\r\n{}", "x".repeat(size));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = endpoint(listener.local_addr().unwrap());
        // It writes more than fits the socket, and is cut off while it does.
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_head(&mut stream).await;
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
        let Err(DialError::Answer(answer)) = connect_to(vec![there], &[]).await else { panic!("{size}") };
        assert_eq!((answer.body.len(), answer.truncated), (MAX_ANSWER_BODY, truncated), "{size}");
        timeout(PATIENCE, server).await.expect("the connection was left open").unwrap();
    }
}

#[tokio::test]
async fn a_refusal_whose_body_breaks_off_or_does_not_end_is_passed_on_as_far_as_it_came() {
    let text = "HTTP/1.1 404 X\r\ncontent-length: 100\r\n\r\npart";
    let upstream = Upstream::new(Script::AnswerAndEnd(text.to_owned())).await;
    let broken = answer(&upstream).await;
    assert_eq!((broken.status.as_u16(), &broken.body[..], broken.truncated), (404, &b"part"[..], true));

    let upstream = Upstream::answering(text).await;
    let request = request(&[]);
    let dial = Dial { deadline: Instant::now() + Duration::from_millis(200), ..dial(&request) };
    let Err(DialError::Answer(late)) = connect([upstream.endpoint.clone()], &dial).await else { panic!() };
    assert_eq!((late.status.as_u16(), &late.body[..], late.truncated), (404, &b"part"[..], true));
    upstream.received().await;
}
