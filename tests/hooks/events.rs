//! Observers are told what becomes of a connection, in order, and hold nothing up.

use super::{
    WRITE, chat, guest, setup,
    support::{
        self, Proxy,
        dial::{Ws, converse, dial, hang_up, hear_close, say, within},
        http, status, upgrade,
        upstream::Upstream,
        wire::{CLOSE, TEXT, bare, close},
    },
    yaml,
};

const CLIENT: &str = "/chat?channelId=1";
const BACKEND: &str = "/chat/connect?channelId=1";

fn observer() -> Vec<u8> {
    guest(&[WRITE], &["lifecycle"], include_str!("observer.wat"))
}

fn proxy(does: &str, settings: &str) -> Proxy {
    let settings = format!(", config: {{do: {does}}}{settings}");
    setup(&[("sees", &observer(), &settings)], &chat("sees", "")).start()
}

/// What the observer has said of each connection so far: name and attributes, in order, by connection.
fn told(proxy: &Proxy) -> Vec<(String, Vec<String>)> {
    let mut of: Vec<(String, Vec<String>)> = Vec::new();
    for line in proxy.log().iter().filter(|line| line.contains("cordboard::plugin: ")) {
        let (_, said) = line.split_once("cordboard::plugin: ").unwrap();
        let (event, rest) = said.split_once(" plugin=").unwrap();
        let conn = rest.split("conn=").nth(1).unwrap().split(' ').next().unwrap();
        let fields = rest.split_once("fields=").map_or("", |(_, fields)| fields);
        let said = format!("{event} {}", fields.replace(['\\', '"'], ""));
        match of.iter_mut().find(|(known, _)| known == conn) {
            Some((_, events)) => events.push(said),
            None => of.push((conn.to_owned(), vec![said])),
        }
    }
    of
}

fn names(events: &[String]) -> Vec<&str> {
    events.iter().map(|event| event.split(' ').next().unwrap()).collect()
}

/// Waits until so many connections were told of up to their end.
async fn ended(proxy: &Proxy, connections: usize) -> Vec<(String, Vec<String>)> {
    let all = support::soon("the last event of each", async || {
        let mut all = told(proxy);
        // By when they came: two may be told of in any order.
        all.sort();
        let over = all.iter().filter(|(_, events)| events.iter().any(|event| event.starts_with("closed "))).count();
        (over == connections).then_some(all)
    });
    all.await
}

async fn part(mut one: Ws, mut other: Ws) {
    hang_up(&mut one, 4000, "").await;
    assert_eq!(hear_close(&mut other).await.map(|(code, _)| code), Some(4000));
    assert_eq!(hear_close(&mut one).await.map(|(code, _)| code), Some(4000));
}

#[tokio::test]
async fn both_legs_of_a_pair_are_told_of_in_order() {
    let proxy = proxy("o", "");
    let (mut client, mut backend) = (dial(&proxy, CLIENT).await, dial(&proxy, BACKEND).await);
    converse(&mut client, &mut backend, "joined").await;
    say(&mut client, "once more").await;
    assert_eq!(support::dial::hear_text(&mut backend).await, "once more");
    part(client, backend).await;
    let all = ended(&proxy, 2).await;
    let [(one, of_client), (other, of_backend)] = &all[..] else { panic!("{all:#?}") };
    for (events, partner) in [(of_client, other), (of_backend, one)] {
        assert_eq!(names(events), ["opened", "paired", "unpaired", "closed"], "{events:#?}");
        assert_eq!(
            (&events[1], &events[2]),
            (&format!("paired partner={partner}"), &format!("unpaired partner={partner}"))
        );
    }
    let sent = of_client[3].split_once("messages-in=").unwrap().1.split(' ').next().unwrap();
    let heard = of_backend[3].split_once("messages-out=").unwrap().1;
    assert_eq!((sent, heard), (heard, "2"), "{all:#?}");
    assert!(of_client[3].starts_with("closed code=4000 cause=closed reason=closed by=peer bytes-in="), "{all:#?}");
    assert!(of_backend[3].contains("code=4000 cause=closed reason=closed by=partner"), "{all:#?}");
    let labels = "plugin=\"sees\"";
    proxy.metric_becomes(&format!("cordboard_plugin_events_total{{{labels}}}"), 8.0);
    proxy.metric_becomes(&format!("cordboard_plugin_events_dropped_total{{{labels}}}"), 0.0);
    // One that is refused never was open.
    let refused = http(proxy.address, &upgrade("/chat", "")).0;
    assert_eq!(status(&refused), 400);
    assert_eq!(told(&proxy).len(), 2);
}

#[tokio::test]
async fn a_pair_that_has_fallen_silent_is_told_so() {
    let idle = chat("sees", "").replace("mode: rendezvous", "mode: rendezvous, limits: {idle: 200ms}");
    let proxy = setup(&[("sees", &observer(), ", config: {do: o}")], &idle).start();
    let (mut client, mut backend) = (dial(&proxy, CLIENT).await, dial(&proxy, BACKEND).await);
    let closes = tokio::join!(hear_close(&mut client), hear_close(&mut backend));
    assert_eq!((closes.0.unwrap().0, closes.1.unwrap().0), (1001, 1001));
    drop((client, backend));
    for (_, events) in ended(&proxy, 2).await {
        assert_eq!(names(&events), ["opened", "paired", "idle-expired", "unpaired", "closed"], "{events:#?}");
        assert!(events[4].contains("code=1001 cause=idle"), "{events:#?}");
    }
}

#[tokio::test]
async fn a_routed_leg_opens_and_closes() {
    let upstream = Upstream::bind().await;
    let more = format!(
        "routes: [{{name: ws, match: {{path: /ws}}, mode: router, plugins: [sees], service: up}}]\n\
         services: {{up: {{endpoints: ['ws://{}']}}}}\n",
        upstream.address
    );
    let proxy = setup(&[("sees", &observer(), "")], &more).start();
    let (client, mut service) = tokio::join!(dial(&proxy, "/ws"), async {
        let mut service = upstream.accept().await;
        service.switch("", b"").await;
        service
    });
    let mut client = client;
    service.write(&bare(TEXT, b"hello")).await;
    assert_eq!(support::dial::hear_text(&mut client).await, "hello");
    service.write(&bare(CLOSE, &close(4321, ""))).await;
    assert_eq!(hear_close(&mut client).await.map(|(code, _)| code), Some(4321));
    drop((client, service));
    let all = ended(&proxy, 1).await;
    let [(_, events)] = &all[..] else { panic!("{all:#?}") };
    assert_eq!(names(events), ["opened", "closed"]);
    assert!(events[1].contains("code=4321 cause=closed reason=closed by=partner bytes-in="), "{events:#?}");
    assert!(events[1].ends_with("messages-in=0 messages-out=1"), "{events:#?}");
}

#[tokio::test]
async fn an_order_to_revoke_and_a_stop_are_told_of_and_the_stop_waits_for_that() {
    let mut proxy = proxy("o", "");
    let mut client = dial(&proxy, CLIENT).await;
    let conn = told_of(&proxy, "opened").await;
    let mut command = support::binary();
    command.args(["revoke", "--admin", &proxy.admin.to_string(), "--connection", &conn]);
    let revoked = tokio::task::spawn_blocking(move || command.output().unwrap().status);
    assert_eq!(hear_close(&mut client).await.map(|(code, _)| code), Some(4401));
    assert!(revoked.await.unwrap().success());
    drop(client);
    let all = ended(&proxy, 1).await;
    assert_eq!(names(&all[0].1), ["opened", "revoked", "closed"]);
    assert!(all[0].1[2].contains("code=4401 cause=revoked") && all[0].1[2].contains("by=proxy"), "{all:#?}");

    let mut client = dial(&proxy, CLIENT).await;
    // Its 101 comes first, and what is not open yet is not told that we stop.
    support::soon("opened", async || (told(&proxy).len() == 2).then_some(())).await;
    proxy.signal("TERM");
    assert_eq!(hear_close(&mut client).await.map(|(code, _)| code), Some(1012));
    drop(client);
    assert!(proxy.ended().success());
    proxy.logged(&["stopped", "clean=true"]);
    let all = told(&proxy);
    assert_eq!(names(&all[1].1), ["opened", "drained", "closed"], "{all:#?}");
    assert!(all[1].1[2].contains("cause=draining"), "{all:#?}");
}

/// The connection that was told of in this way.
async fn told_of(proxy: &Proxy, event: &str) -> String {
    support::soon(event, async || {
        let of = told(proxy).into_iter().find(|(_, events)| names(events).contains(&event));
        of.map(|(conn, _)| conn)
    })
    .await
}

#[tokio::test]
async fn an_observer_that_hangs_holds_up_nobody_and_misses_what_is_too_much() {
    let proxy = proxy("h", ", limits: {events: 2, decision: 10s}");
    let (mut client, mut backend) = (dial(&proxy, CLIENT).await, dial(&proxy, BACKEND).await);
    converse(&mut client, &mut backend, "joined").await;
    within("a whole life beside it", part(client, backend)).await;
    // Of eight one is being told, and two wait.
    proxy.metric_becomes("cordboard_plugin_events_total{plugin=\"sees\"}", 3.0);
    proxy.metric_becomes("cordboard_plugin_events_dropped_total{plugin=\"sees\"}", 5.0);
    proxy.logged(&["events are dropped: 2 wait to be told (limits.events)", "plugin=sees"]);
    assert_eq!(proxy.log().iter().filter(|line| line.contains("events are dropped")).count(), 1);
}

#[tokio::test]
async fn an_observer_that_traps_is_counted_and_closes_nothing() {
    let proxy = proxy("t", "");
    let (mut client, mut backend) = (dial(&proxy, CLIENT).await, dial(&proxy, BACKEND).await);
    converse(&mut client, &mut backend, "joined").await;
    proxy.metric_becomes("cordboard_plugin_failures_total{plugin=\"sees\",failure=\"trap\"}", 4.0);
    converse(&mut client, &mut backend, "undisturbed").await;
    part(client, backend).await;
    proxy.metric_becomes("cordboard_plugin_failures_total{plugin=\"sees\",failure=\"trap\"}", 8.0);
    // Said once, for it may be as many as there are connections.
    assert_eq!(proxy.log().iter().filter(|line| line.contains("a policy failed")).count(), 1);
}

#[tokio::test]
async fn a_new_version_of_who_is_asked_again_is_told_of() {
    let rechecker = super::recheck::rechecker();
    let settings = |does: &str| format!(", config: {{do: {does}}}, recheck_on_swap: true");
    let (observer, first, second) = (observer(), settings("o"), settings("b"));
    let with = |again: &str| {
        let plugins: [(&str, &[u8], &str); 2] = [("sees", b"", ""), ("again", b"", again)];
        yaml(&plugins, &chat("sees, again", ""))
    };
    let of: [(&str, &[u8], &str); 2] = [("sees", &observer, ""), ("again", &rechecker, &first)];
    let proxy = setup(&of, &chat("sees, again", "")).start();
    let _client = dial(&proxy, CLIENT).await;
    let before = proxy.generation();
    proxy.setup.write(&with(&second));
    proxy.reloaded(before);
    told_of(&proxy, "policy-swapped").await;
    let all = told(&proxy);
    let swapped = all[0].1.iter().find(|event| event.starts_with("policy-swapped")).unwrap();
    assert!(swapped.starts_with("policy-swapped plugin=again from="), "{all:#?}");
}

#[tokio::test]
async fn a_session_counts_for_the_generation_whose_observer_hears_of_it() {
    let settings = |label: &str| format!(", config: {{do: {label}}}");
    for (sessions, alive) in [("pin", 2.0), ("migrate", 1.0), ("drain", 1.0)] {
        let more = format!("{}reload: {{quiet: 10ms, sessions: {sessions}}}\n", chat("sees", ""));
        let proxy = setup(&[("sees", &observer(), &settings("o"))], &more).start();
        let mut client = dial(&proxy, CLIENT).await;
        let before = proxy.generation();
        proxy.setup.write(&yaml(&[("sees", &[], &settings("p"))], &more));
        proxy.reloaded(before);
        // Until the leg was looked at, the old one is there in any case.
        match sessions {
            "pin" => drop(proxy.logged(&["legs with plugins of an older version", "stayed=1"])),
            _ => proxy.metric_becomes("cordboard_generations_alive", alive),
        }
        assert!((proxy.metric("cordboard_generations_alive") - alive).abs() < 0.5, "{sessions}");
        // It goes on in any case, and is told of to its end.
        let mut backend = dial(&proxy, BACKEND).await;
        converse(&mut client, &mut backend, "still there").await;
        part(client, backend).await;
        let all = ended(&proxy, 2).await;
        assert_eq!(names(&all[0].1), ["opened", "paired", "unpaired", "closed"], "{sessions}");
        proxy.metric_becomes("cordboard_generations_alive", 1.0);
    }
}
