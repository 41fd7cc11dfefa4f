//! Bar charts as SVG, readable on light and dark pages alike. Bars are sorted; a line over each is the range of the
//! repetitions.

use std::fmt::Write as _;

use crate::{peer::Peer, stats::Summary};

/// A bar.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bar {
    pub(super) peer: Peer,
    pub(super) value: Summary,
    /// How much of the median is drawn darker.
    pub(super) part: f64,
}

/// Bars under a title of their own, on a scale of their own.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) bars: Vec<Bar>,
}

const WIDTH: f64 = 760.0;
const LABELS: f64 = 170.0;
const NUMBERS: f64 = 80.0;
const LINE: f64 = 22.0;

const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#222}.title{font-weight:600}.ours{fill:#e8590c}\
.rival{fill:#4c6ef5}.relay{fill:#868e96}.rest{opacity:.55}.range{stroke:#222;stroke-width:1.5}\
@media(prefers-color-scheme:dark){text{fill:#ddd}.range{stroke:#ddd}}";

/// Panels one below the other; nothing for those without bars.
pub(super) fn chart(title: &str, panels: Vec<Panel>) -> String {
    let mut body = String::new();
    let mut y = 24.0;
    for mut panel in panels.into_iter().filter(|panel| !panel.bars.is_empty()) {
        panel.bars.sort_by(|one, other| one.value.median.total_cmp(&other.value.median));
        let most = panel.bars.iter().map(|bar| bar.value.most).fold(f64::MIN_POSITIVE, f64::max);
        text(&mut body, "title", 4.0, y, &panel.title);
        y += 8.0;
        for bar in &panel.bars {
            draw(&mut body, bar, y, (WIDTH - LABELS - NUMBERS) / most);
            y += LINE;
        }
        y += 30.0;
    }
    let height = y - 16.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\
         <title>{}</title><style>{STYLE}</style>\n{body}</svg>\n",
        escaped(title)
    )
}

fn draw(body: &mut String, bar: &Bar, y: f64, scale: f64) {
    let class = match bar.peer {
        Peer::Cordboard | Peer::Copying | Peer::Filtered { .. } => "ours",
        peer if peer.is_rival() => "rival",
        _ => "relay",
    };
    let (whole, part) = (bar.value.median * scale, bar.value.median * bar.part * scale);
    text(body, "label", 4.0, y + 15.0, bar.peer.title());
    let mut rect = |class: &str, x: f64, width: f64| {
        let _ = writeln!(
            body,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\"/>",
            y + 3.0,
            LINE - 6.0
        );
    };
    rect(class, LABELS, part);
    rect(&format!("{class} rest"), LABELS + part, whole - part);
    let (from, to, middle) = (LABELS + bar.value.least * scale, LABELS + bar.value.most * scale, y + LINE / 2.0);
    let _ = writeln!(body, "<path class=\"range\" d=\"M{from:.1} {middle:.1}H{to:.1}\"/>");
    text(body, "number", to.max(LABELS + whole) + 6.0, y + 15.0, &super::number(bar.value.median));
}

fn text(body: &mut String, class: &str, x: f64, y: f64, text: &str) {
    let _ = writeln!(body, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(text));
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
