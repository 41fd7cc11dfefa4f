//! The demo's page, from its first look to a changed decision, as its visitor sees it.

use super::support::{
    browser::{Browser, Tab},
    demo::Demo,
};

async fn says(tab: &mut Tab, pane: &str, text: &str) {
    tab.fill(&format!("#{pane} .message"), text).await;
    tab.click(&format!("#{pane} .say button")).await;
}

async fn heard(tab: &mut Tab, pane: &str, text: &str) {
    tab.shows(&format!("#{pane} .said li:last-child[data-from=them]"), text).await;
}

async fn opened(demo: &Demo) -> (Browser, Tab) {
    let browser = Browser::open(&format!("http://{}/", demo.proxy));
    let mut tab = browser.tab().await;
    tab.shows("#verdict", "This is what serves").await;
    tab.shows("#count-generation", "1").await;
    (browser, tab)
}

#[tokio::test]
async fn two_panes_pair_and_talk_on_while_a_broken_save_is_refused_and_a_good_one_decides() {
    let demo = Demo::start();
    let (_browser, mut tab) = opened(&demo).await;
    tab.value("void document.addEventListener('securitypolicyviolation', (it) => (window.violated = it.blockedURI))")
        .await;

    tab.click("#client .connect").await;
    tab.shows("#client .state", "waits for the other side").await;
    tab.shows("#count-sessions", "1").await;
    tab.click("#backend .connect").await;
    tab.shows("#client .state", "joined with the backend here").await;
    tab.shows("#backend .state", "joined with the client here").await;
    tab.shows("#count-pairs", "1").await;
    says(&mut tab, "client", "größe <b>✓</b>").await;
    heard(&mut tab, "backend", "größe <b>✓</b>").await;
    says(&mut tab, "backend", "and back").await;
    heard(&mut tab, "client", "and back").await;

    tab.click("#router .connect").await;
    tab.shows("#router .state", "joined with the echo service").await;
    says(&mut tab, "router", "is there an echo?").await;
    heard(&mut tab, "router", "is there an echo?").await;
    tab.shows("#count-sessions", "3").await;
    tab.shows("#count-accepted", "3").await;

    // A mistake is shown with its place, and changes nothing.
    tab.click("[data-change=typo]").await;
    tab.shows("#verdict", "Refused. Generation 1 serves on").await;
    let problem = tab.text("#problems").await;
    assert!(problem.starts_with("demo.yaml:") && problem.contains("did you mean `pairing_timeout`?"), "{problem}");
    let caret = problem.lines().find(|line| line.trim_end().ends_with('^')).expect("a caret").find('^').unwrap();
    let line = problem.lines().find(|line| line.contains("pairing_timeot: ")).unwrap();
    assert_eq!(line.find("pairing_timeot"), Some(caret), "{problem}");
    let number = line.split('|').next().unwrap().trim();
    tab.shows("#lines .wrong", number).await;
    tab.click("#problems button").await;
    let selected = "(({ value, selectionStart, selectionEnd }) => value.slice(selectionStart, selectionEnd))\
        (document.querySelector('#text'))";
    assert!(tab.value(selected).await.as_str().unwrap().starts_with("pairing_timeot: "));

    // By hand, in the editor: a good one.
    let good =
        tab.text("#text").await.replace("pairing_timeot", "pairing_timeout").replace("enabled: true", "enabled: false");
    tab.fill("#text", &good).await;
    tab.shows("#dirty", "not saved").await;
    tab.click("#save").await;
    tab.shows("#verdict", "Generation 2 serves: the next handshake decides by it.").await;
    tab.shows("#count-generation", "2").await;
    assert_eq!((tab.text("#problems").await, tab.text("#dirty").await), (String::new(), String::new()));
    assert_eq!(std::fs::read_to_string(&demo.config).unwrap(), good);

    // What was joined before goes on.
    tab.shows("#client .detail", "Decided by generation 1; 2 serves now, and this goes on.").await;
    says(&mut tab, "client", "still there?").await;
    heard(&mut tab, "backend", "still there?").await;
    tab.fill("#backend .code", "4321").await;
    tab.fill("#backend .reason", "that was all").await;
    tab.click("#backend .end button").await;
    tab.shows("#client .state", "closed by the other side").await;
    tab.shows("#client .detail", "4321, a code for private use: “that was all”").await;
    tab.shows("#backend .state", "closed from here").await;

    // The next handshake is decided anew, and the page learns why; what it asks for itself does not count.
    says(&mut tab, "router", "and the echo?").await;
    heard(&mut tab, "router", "and the echo?").await;
    tab.click("#client .connect").await;
    tab.shows("#client .detail", "403 no-role: no policy gave this connection a role").await;
    tab.shows("#count-refused", "1").await;
    tab.shows("#count-pairs", "0").await;

    assert_eq!(tab.value("window.violated ?? null").await, serde_json::Value::Null);
    let elsewhere = "performance.getEntriesByType('resource').map(({ name }) => name)\
        .filter((name) => !name.startsWith(location.origin))";
    assert_eq!(tab.value(elsewhere).await, serde_json::json!([]));
    let (inline, outside) = (
        "document.body.setAttribute('onclick', 'window.inline = 1'), document.body.click(), window.inline ?? null",
        format!("fetch('http://{}/').then(() => 'answered', () => 'blocked')", demo.echo),
    );
    assert_eq!(tab.value(inline).await, serde_json::Value::Null, "inline handlers must not run");
    assert_eq!(tab.value(&outside).await, "blocked");
}

#[tokio::test]
async fn the_channel_moves_to_another_parameter_and_the_demos_backend_is_triggered() {
    let demo = Demo::start();
    let (_browser, mut tab) = opened(&demo).await;
    tab.click("#client .connect").await;
    tab.click("#trigger").await;
    tab.shows("#triggered", "200: the backend dialled").await;
    tab.shows("#client .state", "joined with somebody who dialled in elsewhere").await;
    heard(&mut tab, "client", "say bye to end this").await;
    says(&mut tab, "client", "bye").await;
    tab.shows("#client .detail", "1000, normal closure: “bye”").await;

    tab.click("[data-change=room]").await;
    tab.shows("#verdict", "Generation 2 serves").await;
    tab.click("#client .connect").await;
    tab.shows("#client .detail", "400 no-channel").await;
    tab.fill("#client .target", "/chat?room=kitchen").await;
    tab.fill("#backend .target", "/chat/connect?room=kitchen").await;
    tab.click("#both").await;
    tab.shows("#client .state", "joined with the backend here").await;
    says(&mut tab, "client", "in the kitchen").await;
    heard(&mut tab, "backend", "in the kitchen").await;

    tab.click("[data-change=nobody]").await;
    tab.shows("#verdict", "Generation 3 serves").await;
    says(&mut tab, "backend", "still in the kitchen").await;
    heard(&mut tab, "client", "still in the kitchen").await;
    tab.click("[data-change=original]").await;
    tab.shows("#verdict", "Generation 4 serves").await;

    // On disk: shown where nothing is lost by it, offered where something would be.
    let original = std::fs::read_to_string(&demo.config).unwrap();
    assert!(original.contains("enabled: true") && original.contains("channelQuery: [channelId]"), "{original}");
    std::fs::write(&demo.config, format!("{original}# from disk\n")).unwrap();
    tab.shows("#verdict", "Changed on disk, and loaded").await;
    tab.shows("#text", "# from disk").await;
    tab.fill("#text", "mine").await;
    std::fs::write(&demo.config, &original).unwrap();
    tab.shows("#verdict", "The file has been changed on disk").await;
    tab.click("#save").await;
    tab.shows("#verdict", "Not saved: the file has been changed on disk since").await;
    assert_eq!(std::fs::read_to_string(&demo.config).unwrap(), original);
    tab.click("#load").await;
    tab.shows("#text", "listeners:").await;
}

#[tokio::test]
async fn it_is_wide_enough_at_360_pixels_and_every_control_has_a_name() {
    let demo = Demo::start();
    let (_browser, mut tab) = opened(&demo).await;
    let nameless = "[...document.querySelectorAll('button, input, textarea, section, article, [role=log]')]\
        .filter((it) => !(it.labels?.length || it.matches('button') && it.innerText.trim() || it.ariaLabel \
        || document.getElementById(it.getAttribute('aria-labelledby'))?.innerText.trim())).length";
    assert_eq!(tab.value(nameless).await, 0);
    tab.size(360, 800).await;
    assert_eq!(tab.value("[innerWidth, document.documentElement.scrollWidth]").await, serde_json::json!([360, 360]));
}
