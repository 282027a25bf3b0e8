//! The page at `/`: how the server is, and where everything else is to be found.
//!
//! Not a dashboard: one page of HTML without scripts, made anew for every request.
//!
//! Invariant: whatever comes from keys, clients or the request is escaped.
//!
//! Thread safety: functions over a merged snapshot.

use super::access::encoded;
use super::figures::ServerFigures;
use commands::profile::Evidence;
use engine::Instance;
use engine::state::instance::MAXMEMORY;
use observe::name::Name;
use observe::report::findings::{Level, findings};
use observe::report::value::{Node, bytes, duration};
use observe::report::{Asked, reports, verdict};
use observe::spec::{Headline, Observer};
use std::fmt::Write as _;

/// Rows of the page's tables.
const ROWS: usize = 5;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b2733;--dim:#64748b;--line:#d9e1e8;--paper:#f6f8fa;--card:#fff;--accent:#0b6bcb;\
--good:#137a4b;--bad:#b3261e}\
@media(prefers-color-scheme:dark){:root{--ink:#e4eaf0;--dim:#93a1b1;--line:#2b3744;--paper:#12181f;--card:#1a222c;\
--accent:#6db3f8;--good:#5fcf9a;--bad:#ff8a80}}\
*{box-sizing:border-box}\
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}\
main{max-width:60rem;margin:0 auto;padding:2rem 1.25rem 3rem}\
header{display:flex;align-items:baseline;gap:.75rem;flex-wrap:wrap}\
h1{font-size:1.6rem;margin:0;letter-spacing:-.02em}h2{font-size:1rem;margin:2rem 0 .5rem}\
.dim{color:var(--dim)}a{color:var(--accent);text-decoration:none}a:hover{text-decoration:underline}\
.verdict{margin:1.25rem 0;padding:.8rem 1rem;border:1px solid var(--line);border-left:4px solid var(--good);\
border-radius:6px;background:var(--card)}.verdict.bad{border-left-color:var(--bad)}\
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.75rem}\
.tile{padding:.7rem .9rem;border:1px solid var(--line);border-radius:6px;background:var(--card)}\
.tile b{display:block;font-size:1.25rem;font-weight:600;font-variant-numeric:tabular-nums}\
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;background:var(--card);border:1px solid var(--line);\
border-radius:6px}td,th{padding:.4rem .8rem;text-align:right;border-top:1px solid var(--line);\
font-variant-numeric:tabular-nums;white-space:nowrap}th{font-weight:500;color:var(--dim);border-top:0}\
td:first-child,th:first-child{text-align:left}.links td{text-align:left;white-space:normal}\
code{font:13px ui-monospace,monospace;unicode-bidi:isolate}";

/// The page. `token` is what the request's address had, for the links.
pub fn index(instance: &Instance, data_port: u16, token: Option<&[u8]>) -> String {
    let server = ServerFigures::of(instance);
    let evidence = Evidence::of(instance, instance.snapshot());
    let input = evidence.input();
    let found = findings(&input);
    let says = verdict::verdict(&found);
    let is_problem = found.iter().any(|finding| finding.level == Level::Problem);
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Limpid</title>\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><style>{STYLE}</style></head>\
         <body><main><header><h1>Limpid</h1><span class=\"dim\">{} &middot; port {data_port} &middot; {} workers \
         &middot; up {}</span></header>",
        env!("CARGO_PKG_VERSION"),
        instance.workers,
        duration(server.uptime_s * 1e9),
    );
    let class = if is_problem { "verdict bad" } else { "verdict" };
    let says = if is_problem { says } else { capitalised(&says) };
    let remedy =
        found.first().filter(|_| is_problem).map(|finding| finding.remedy.as_str()).unwrap_or_default();
    let _ = write!(
        html,
        "<p class=\"{class}\"><strong>{}</strong><br><span class=\"dim\">{}</span></p>",
        escaped(&says),
        escaped(if remedy.is_empty() { "No rule finds a problem in what was seen." } else { remedy }),
    );
    tiles(&mut html, instance, &server, &verdict::overview(&input));
    let query = token.map(|token| format!("token={}", encoded(token)));
    let asked = Asked { count: ROWS, command: None };
    for spec in Observer::by_place().map(Observer::spec) {
        if let Some(headline) = &spec.headline {
            let report = (spec.report.make)(&input, &asked);
            table(&mut html, headline, report.get(headline.list));
        }
    }
    links(&mut html, data_port, query.as_deref());
    html.push_str("</main></body></html>\n");
    html
}

fn tiles(html: &mut String, instance: &Instance, server: &ServerFigures, overview: &Node) {
    let figure = |name: &str| overview.get(name).and_then(Node::as_f64);
    let keys = server.databases.as_ref().map(|all| all.iter().map(|database| database.keys).sum::<usize>());
    let keys = keys.map_or("\u{2013}".to_owned(), |keys| grouped(keys as f64));
    let limit = instance.settings.read(MAXMEMORY);
    let of_limit =
        if limit == 0 { "memory".to_owned() } else { format!("memory of {}", bytes(limit as f64)) };
    let rates = instance.rates.per_second(instance.now_ms());
    let hits = figure("hit_percent").map_or("\u{2013}".to_owned(), |percent| format!("{percent:.1} %"));
    html.push_str("<div class=\"tiles\">");
    for (label, value) in [
        ("commands", grouped(figure("commands").unwrap_or(0.0))),
        ("commands/s now", grouped(rates.commands as f64)),
        ("keys", keys),
        ("hit ratio", hits),
        (&of_limit, bytes(server.memory_used_bytes as f64)),
        ("clients", grouped(server.clients as f64)),
    ] {
        let _ = write!(html, "<div class=\"tile\"><b>{value}</b><span class=\"dim\">{label}</span></div>");
    }
    html.push_str("</div>");
}

/// Some columns of a list of maps; nothing if the list is empty. A row without the name of what it is about is left out: a
/// key that was never proven heavy has none, and a person can do nothing with its hash.
fn table(html: &mut String, headline: &Headline, list: Option<&Node>) {
    let Headline { title, columns, .. } = headline;
    let is_named = |row: &&Node| {
        let mut names = columns.iter().filter_map(|(field, _)| row.get(field).and_then(Node::as_name));
        names.all(Name::is_named)
    };
    let rows: Vec<&Node> = list.map_or(&[][..], Node::items).iter().filter(is_named).collect();
    if rows.is_empty() {
        return;
    }
    let _ = write!(html, "<h2>{title}</h2><div class=\"wide\"><table><tr>");
    for (_, head) in *columns {
        let _ = write!(html, "<th>{head}</th>");
    }
    html.push_str("</tr>");
    for row in rows {
        html.push_str("<tr>");
        for (name, _) in *columns {
            let _ = write!(html, "<td>{}</td>", cell(name, row.get(name)));
        }
        html.push_str("</tr>");
    }
    html.push_str("</table></div>");
}

fn cell(name: &str, value: Option<&Node>) -> String {
    match value {
        Some(Node::Text(text)) => format!("<code>{}</code>", escaped(text)),
        Some(Node::Name(name)) => format!("<code>{}</code>", escaped(&name.shown())),
        Some(node) => match node.as_f64() {
            Some(number) if name.ends_with("_bytes") => bytes(number),
            Some(number) if name.ends_with("_percent") => format!("{number:.1} %"),
            Some(number) => grouped(number),
            None => "\u{2013}".to_owned(),
        },
        None => "\u{2013}".to_owned(),
    }
}

fn links(html: &mut String, data_port: u16, query: Option<&str>) {
    let address = |path: &str, more: &str| {
        let query: Vec<&str> = query.into_iter().chain([more]).filter(|part| !part.is_empty()).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{path}{mark}{}", query.join("&amp;"))
    };
    html.push_str("<h2>Profile</h2><div class=\"wide\"><table class=\"links\">");
    for report in reports::by_place() {
        let (name, what) = (report.name, report.shows);
        let path = format!("/api/profile/{name}");
        let _ = write!(
            html,
            "<tr><td><a href=\"{}\">{name}</a></td><td>{what}</td><td><a href=\"{}\">JSON</a></td>\
             <td class=\"dim\"><code>PROF {}</code></td></tr>",
            address(&path, "format=text"),
            address(&path, ""),
            report.subcommand,
        );
    }
    html.push_str("</table></div><h2>For machines</h2><div class=\"wide\"><table class=\"links\">");
    for (path, what) in [
        ("/metrics", "Prometheus text or OpenMetrics; the Redis exporter's names, so its dashboards work"),
        ("/healthz", "200 while the process lives; needs no token"),
        ("/readyz", "200 while it accepts clients, 503 while it stops; needs no token"),
    ] {
        let _ = write!(html, "<tr><td><a href=\"{}\">{path}</a></td><td>{what}</td></tr>", address(path, ""));
    }
    let _ = write!(
        html,
        "</table></div><p class=\"dim\">The same from any client: <code>redis-cli -3 -p {data_port} PROF REPORT</code> \
         (-3 keeps its line breaks). \
         Lists take <code>?count=20</code>, latency takes <code>?command=get</code>.</p>"
    );
}

/// Safe between tags and in attributes.
fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut html, character| {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
        html
    })
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

fn grouped(number: f64) -> String {
    crate::bench::grouped(number.max(0.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_named_cannot_become_markup() {
        assert_eq!(escaped("<script>\"a\"&'b'"), "&lt;script&gt;&quot;a&quot;&amp;&#39;b&#39;");
        let row = Node::Map(vec![
            ("key".into(), Node::Name(Name::whole("<b>\u{202e}\n".as_bytes()))),
            ("size_bytes".into(), Node::integer(2048_u64)),
        ]);
        let mut html = String::new();
        let columns = &[("key", "key"), ("size_bytes", "size")];
        let headline = Headline { title: "Keys", list: "", columns };
        table(&mut html, &headline, Some(&Node::List(vec![row])));
        assert!(html.contains("<td><code>&lt;b&gt;\\u{202e}\\n</code></td><td>2.00 KiB</td>"), "{html}");
        let mut none = String::new();
        table(&mut none, &headline, Some(&Node::List(vec![])));
        assert_eq!(none, "");
    }

    #[test]
    fn links_carry_the_token_of_the_address() {
        let mut html = String::new();
        links(&mut html, 6379, Some("token=a%26b"));
        assert!(html.contains("<code>redis-cli -3 -p 6379 PROF REPORT</code>"), "{html}");
        assert!(html.contains("href=\"/metrics?token=a%26b\""), "{html}");
        assert!(html.contains("href=\"/api/profile/report?token=a%26b&amp;format=text\""), "{html}");
        let mut open = String::new();
        links(&mut open, 6379, None);
        assert!(
            open.contains("href=\"/metrics\"") && open.contains("href=\"/api/profile/cost?format=text\"")
        );
    }
}
