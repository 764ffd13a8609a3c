//! One page that needs nothing else: plots, figures, how they were measured.

use std::fmt::Write;

use super::figures::{Figures, saving};
use super::plot::Plot;

/// The page.
pub(super) fn page(all: &[Figures]) -> String {
    let payload = all.first().map_or(0, |figures| figures.row.payload_bytes);
    let mut page = format!("{HEAD}<h1>onecast: the same bytes, four ways</h1>\n");
    let said = saving(all).map(|said| sentence(&said)).unwrap_or_default();
    push(&mut page, format_args!("<p class=\"lead\">{said}</p>"));
    push(
        &mut page,
        format_args!(
            "<p>{:.1} MB were sent to each number of subscribers, each way, on a switch in network \
             namespaces of one machine. Every packet crossed the publisher's cable alone: its \
             interface cuts nothing into segments (tx-udp-segmentation, tso and gso are off).</p>",
            payload as f64 / 1e6
        ),
    );
    page.push_str("<div class=\"plots\">\n");
    for plot in plots() {
        let svg = plot.svg(all);
        push(
            &mut page,
            format_args!("<figure><figcaption>{}</figcaption>\n{svg}</figure>", plot.title),
        );
    }
    page.push_str("</div>\n");
    table(all, &mut page);
    page + FOOT
}

fn plots() -> [Plot; 4] {
    [
        Plot {
            title: "On the publisher's wire",
            unit: "MB",
            value: |figures| figures.row.egress_bytes as f64 / 1e6,
        },
        Plot {
            title: "Publisher's CPU",
            unit: "seconds",
            value: |figures| figures.row.publisher_cpu_seconds,
        },
        Plot {
            title: "Until everyone had everything",
            unit: "seconds",
            value: |figures| figures.row.wall_seconds,
        },
        Plot {
            title: "At a host that did not ask",
            unit: "MB",
            value: |figures| figures.row.bystander_rx_bytes as f64 / 1e6,
        },
    ]
}

fn table(all: &[Figures], page: &mut String) {
    page.push_str("<div class=\"scroll\"><table>\n<thead><tr>");
    for name in COLUMNS {
        push(page, format_args!("<th scope=\"col\">{name}</th>"));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for Figures { row, counted_bytes, .. } in all {
        let complete = if row.complete { "yes" } else { "no" };
        push(
            page,
            format_args!(
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{:.2}</td><td>{:.2}</td><td>{}</td>\
                 <td>{:.3}</td><td>{:.3}</td><td>{:.2}</td><td>{complete}</td><td>{:.3}</td></tr>",
                row.mode,
                row.subscribers,
                row.egress_bytes as f64 / 1e6,
                *counted_bytes as f64 / 1e6,
                row.egress_datagrams,
                row.publisher_cpu_seconds,
                row.wall_seconds,
                row.delivered_bytes as f64 / 1e6,
                row.bystander_rx_bytes as f64 / 1e6,
            ),
        );
    }
    page.push_str("</tbody></table></div>\n");
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

fn push(page: &mut String, what: std::fmt::Arguments<'_>) {
    let written = page.write_fmt(what);
    debug_assert!(written.is_ok(), "writing into a string cannot fail");
    page.push('\n');
}

const COLUMNS: [&str; 10] = [
    "way",
    "subscribers",
    "wire, MB",
    "counted by the publisher, MB",
    "packets",
    "CPU, s",
    "time, s",
    "delivered, MB",
    "complete",
    "bystander, MB",
];

const HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>onecast: the same bytes, four ways</title>
<style>
:root {
  color-scheme: light dark;
  --ink: #1b1f24; --quiet: #57606a; --page: #ffffff; --grid: #d8dee4;
  --multicast: #0a6ebd; --broadcast: #8a5a00; --unicast: #b42318; --tcp: #6b3fa0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6edf3; --quiet: #9aa4af; --page: #0f1318; --grid: #30363d;
    --multicast: #58b0ff; --broadcast: #e0a93b; --unicast: #ff8078; --tcp: #c297ff;
  }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page);
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; line-height: 1.2; }
.lead { font-size: 1.15rem; font-weight: 600; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1.5rem; }
figure { margin: 0; }
figcaption { font-weight: 600; }
svg { width: 100%; height: auto; }
.grid { stroke: var(--grid); stroke-width: 1; fill: none; }
.tick, .axis { font-size: 12px; fill: var(--quiet); }
.name { font-size: 13px; font-weight: 600; }
.line { fill: none; stroke-width: 2; }
.line.multicast { stroke: var(--multicast); stroke-width: 3; }
.line.broadcast { stroke: var(--broadcast); stroke-dasharray: 6 4; }
.line.unicast { stroke: var(--unicast); }
.line.tcp { stroke: var(--tcp); stroke-dasharray: 2 3; }
.mark.multicast, .name.multicast { fill: var(--multicast); }
.mark.broadcast, .name.broadcast { fill: var(--broadcast); }
.mark.unicast, .name.unicast { fill: var(--unicast); }
.mark.tcp, .name.tcp { fill: var(--tcp); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin-top: 2rem; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid var(--grid); }
th:first-child { text-align: left; }
thead th { vertical-align: bottom; }
footer { color: var(--quiet); font-size: .9rem; margin-top: 1.5rem; }
</style>
</head>
<body>
<main>
"#;

const FOOT: &str = "</main>
<footer>Wire, packets and bystander are the interfaces' own counters; the bystander's figure is that of \
one of two hosts that never asked for the stream. CPU is the publisher's process. Time runs from the \
first byte until the last subscriber had written, and checked, everything. Made by lab compare; the same \
figures are in compare.csv.</footer>
</body>
</html>
";
