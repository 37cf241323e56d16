//! The documentation as pages: the Markdown files of `docs/`, from inside the binary.
//!
//! Knows the order of the chapters, which `docs/SUMMARY.md` holds, and how Markdown becomes a page that keeps to
//! the content security policy. Refuses to know what a chapter says.

use super::error::AppError;
use super::frame::Chrome;
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::Path;
use pulldown_cmark::{CodeBlockKind, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};
use std::collections::BTreeMap;
use std::sync::LazyLock;

macro_rules! text {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../", $name))
    };
}

const SUMMARY: &str = text!("docs/SUMMARY.md");

/// The files of the chapters, by their paths as the summary has them.
const FILES: &[(&str, &str)] = &[
    ("tutorial.md", text!("docs/tutorial.md")),
    ("verdicts.md", text!("docs/verdicts.md")),
    ("limits.md", text!("docs/limits.md")),
    ("../policies/README.md", text!("policies/README.md")),
    ("cli.md", text!("docs/cli.md")),
    ("console.md", text!("docs/console.md")),
    ("triage.md", text!("docs/triage.md")),
    ("owners.md", text!("docs/owners.md")),
    ("reports.md", text!("docs/reports.md")),
    ("simulate.md", text!("docs/simulate.md")),
    ("compare.md", text!("docs/compare.md")),
    ("drift.md", text!("docs/drift.md")),
    ("what-if.md", text!("docs/what-if.md")),
    ("declared.md", text!("docs/declared.md")),
    ("access.md", text!("docs/access.md")),
    ("bots.md", text!("docs/bots.md")),
    ("outgoing.md", text!("docs/outgoing.md")),
    ("api-design.md", text!("docs/api-design.md")),
    ("performance.md", text!("docs/performance.md")),
    ("fuzzing.md", text!("docs/fuzzing.md")),
    ("glossary.md", text!("docs/glossary.md")),
    ("../ARCHITECTURE.md", text!("ARCHITECTURE.md")),
];

/// A chapter: its address, its title, and its page.
struct Chapter {
    slug: &'static str,
    title: &'static str,
    part: &'static str,
    html: String,
}

static CHAPTERS: LazyLock<Vec<Chapter>> = LazyLock::new(|| chapters(SUMMARY, FILES));

/// A link of the table of contents.
struct Entry {
    title: &'static str,
    href: String,
    is_current: bool,
}

/// The chapters of one part of the table of contents.
struct Part {
    title: &'static str,
    entries: Vec<Entry>,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/docs.html")]
pub(crate) struct DocsPage {
    chrome: Chrome,
    title: &'static str,
    parts: Vec<Part>,
    html: &'static str,
}

/// `GET /docs`: the first chapter.
pub(crate) async fn first(chrome: Chrome) -> Result<DocsPage, AppError> {
    shown(CHAPTERS.first().map_or("", |chapter| chapter.slug), chrome)
}

/// `GET /docs/{chapter}`
pub(crate) async fn page(Path(slug): Path<String>, chrome: Chrome) -> Result<DocsPage, AppError> {
    shown(&slug, chrome)
}

fn shown(slug: &str, chrome: Chrome) -> Result<DocsPage, AppError> {
    let chapter = CHAPTERS.iter().find(|chapter| chapter.slug == slug);
    let chapter = chapter.ok_or_else(|| AppError::not_found(format!("the chapter `{slug}`")))?;
    let mut parts: Vec<Part> = Vec::new();
    for other in CHAPTERS.iter() {
        let is_current = other.slug == chapter.slug;
        let entry = Entry { title: other.title, href: href(other.slug), is_current };
        match parts.last_mut().filter(|part| part.title == other.part) {
            Some(part) => part.entries.push(entry),
            None => parts.push(Part { title: other.part, entries: vec![entry] }),
        }
    }
    Ok(DocsPage { title: chapter.title, parts, html: &chapter.html, chrome })
}

fn href(slug: &str) -> String {
    format!("/docs/{slug}")
}

/// `verdicts.md` is at `verdicts`, `../policies/README.md` at `policies`.
fn slug(path: &str) -> &str {
    let name = path.trim_start_matches("../").trim_end_matches(".md").trim_end_matches("/README");
    if name == "ARCHITECTURE" { "architecture" } else { name }
}

/// The chapters of a summary in mdBook's form: headings for parts, a list of links below each.
fn chapters(summary: &'static str, files: &[(&'static str, &'static str)]) -> Vec<Chapter> {
    let mut part = "";
    let mut found = Vec::new();
    for line in summary.lines() {
        if let Some(title) = line.strip_prefix("# ") {
            part = title;
        } else if let Some((title, path)) = line.trim_start_matches("- [").split_once("](")
            && let Some(path) = path.strip_suffix(')')
            && let Some((path, text)) = files.iter().find(|(known, _)| *known == path)
        {
            found.push(Chapter { slug: slug(path), title, part, html: rendered(path, text) });
        }
    }
    found
}

/// Markdown as HTML: raw HTML is text, headings have addresses, tables and code can be scrolled by keyboard, links
/// lead to the chapter of their file.
fn rendered(path: &str, text: &str) -> String {
    let mut events: Vec<Event<'_>> = Vec::new();
    let mut heading: Option<(HeadingLevel, usize)> = None;
    let mut ids: BTreeMap<String, usize> = BTreeMap::new();
    let mut links: Vec<bool> = Vec::new();
    // Regions of one page have names of their own.
    let mut regions = 1_u32..;
    // What a table is about, for whoever cannot see what it stands under.
    let mut under = String::new();
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Html(raw) | Event::InlineHtml(raw) => events.push(Event::Text(raw)),
            Event::Start(Tag::Heading { level, .. }) => {
                heading = Some((level, events.len()));
            }
            Event::End(TagEnd::Heading(_)) => {
                let Some((level, at)) = heading.take() else { continue };
                let inner = events.split_off(at.min(events.len()));
                let words: String = inner
                    .iter()
                    .filter_map(|event| match event {
                        Event::Text(text) | Event::Code(text) => Some(text.as_ref()),
                        _ => None,
                    })
                    .collect();
                let id = anchor(&words, &mut ids);
                under = escaped(&words);
                events.push(Event::Html(CowStr::from(format!("<{level} id=\"{id}\">"))));
                events.extend(inner);
                events.push(Event::Html(CowStr::from(format!("</{level}>\n"))));
            }
            // Alignment would be a style in the page.
            Event::Start(Tag::Table(columns)) => {
                let n = regions.next().unwrap_or_default();
                events.push(Event::Html(CowStr::from(format!(
                    "<div class=\"table-wrap\" tabindex=\"0\" role=\"region\" aria-label=\"Table {n}\">"
                ))));
                let plain = columns.iter().map(|_| pulldown_cmark::Alignment::None).collect();
                events.push(Event::Start(Tag::Table(plain)));
                events.push(Event::Html(CowStr::from(format!("<caption class=\"visually-hidden\">{under}</caption>"))));
            }
            Event::End(TagEnd::Table) => {
                events.push(event);
                events.push(Event::Html(CowStr::from("</div>")));
            }
            Event::Start(Tag::CodeBlock(kind)) => {
                let language = match kind {
                    CodeBlockKind::Fenced(language) => language.split(',').next().unwrap_or_default().to_owned(),
                    CodeBlockKind::Indented => String::new(),
                };
                let n = regions.next().unwrap_or_default();
                let said =
                    if language.is_empty() { format!("Code {n}") } else { format!("Code {n}: {}", escaped(&language)) };
                events.push(Event::Html(CowStr::from(format!(
                    "<pre class=\"code\" tabindex=\"0\" role=\"region\" aria-label=\"{said}\"><code>"
                ))));
            }
            Event::End(TagEnd::CodeBlock) => events.push(Event::Html(CowStr::from("</code></pre>\n"))),
            Event::Start(Tag::Link { dest_url, .. }) => {
                let to = link(path, &dest_url);
                links.push(to.is_some());
                if let Some(to) = to {
                    events.push(Event::Html(CowStr::from(format!("<a href=\"{}\">", escaped(&to)))));
                }
            }
            Event::End(TagEnd::Link) => {
                if links.pop() == Some(true) {
                    events.push(Event::Html(CowStr::from("</a>")));
                }
            }
            // Pictures stand beside the files, and not in the binary.
            Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => {}
            other => events.push(other),
        }
    }
    let mut out = String::with_capacity(text.len().saturating_mul(2));
    html::push_html(&mut out, events.into_iter());
    // A header cell without text heads nothing.
    out.replace("<th></th>", "<td></td>").replace("<th>", "<th scope=\"col\">")
}

/// The address of a heading, as GitHub makes it.
fn anchor(words: &str, known: &mut BTreeMap<String, usize>) -> String {
    let kept = |c: char| match c {
        ' ' | '-' => Some('-'),
        '_' => Some('_'),
        c if c.is_alphanumeric() => Some(c),
        _ => None,
    };
    let id: String = words.to_lowercase().chars().filter_map(kept).collect();
    let times = known.entry(id.clone()).or_default();
    let count = *times;
    *times = times.saturating_add(1);
    if count == 0 { id } else { format!("{id}-{count}") }
}

/// Where a link of a file leads here; `None`: to a file that is no chapter.
fn link(from: &str, to: &str) -> Option<String> {
    if to.starts_with("https://") || to.starts_with('#') {
        return Some(to.to_owned());
    }
    let (path, fragment) = to.split_once('#').map_or((to, ""), |(path, fragment)| (path, fragment));
    // A path from the root of the repository, as the summary would write it from `docs/`.
    let folder = from.strip_prefix("../").map_or("docs", |path| path.rsplit_once('/').map_or("", |(folder, _)| folder));
    let mut steps: Vec<&str> = folder.split('/').filter(|step| !step.is_empty()).collect();
    for step in path.split('/') {
        match step {
            ".." => {
                steps.pop();
            }
            "." => {}
            step => steps.push(step),
        }
    }
    let whole = steps.join("/");
    let path = whole.strip_prefix("docs/").map_or_else(|| format!("../{whole}"), str::to_owned);
    let (known, _) = FILES.iter().find(|(known, _)| *known == path)?;
    let fragment = if fragment.is_empty() { String::new() } else { format!("#{fragment}") };
    Some(format!("{}{fragment}", href(slug(known))))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path as FilePath;

    /// A file that no chapter shows, or a chapter without a file, would be found by nobody.
    #[test]
    fn every_file_of_the_documentation_is_a_chapter() {
        let folder = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let on_disk: BTreeSet<String> = files.filter(|name| name.ends_with(".md") && name != "SUMMARY.md").collect();
        let named = FILES.iter().map(|(path, _)| (*path).to_owned());
        let named: BTreeSet<String> = named.filter(|path| !path.starts_with("../")).collect();
        assert_eq!(on_disk, named);
        assert_eq!(CHAPTERS.len(), FILES.len(), "docs/SUMMARY.md lists every file once");
        let slugs: BTreeSet<&str> = CHAPTERS.iter().map(|chapter| chapter.slug).collect();
        assert_eq!(slugs.len(), CHAPTERS.len());
        assert!(!slugs.contains("api"), "`/docs/api` is the reference of the API");
    }

    /// Each link to a chapter leads to a heading that is there.
    #[test]
    fn links_between_chapters_lead_somewhere() {
        let mut followed = 0;
        for chapter in CHAPTERS.iter() {
            for part in chapter.html.split("href=\"").skip(1) {
                let to = part.split('"').next().unwrap();
                if to.starts_with("https://") {
                    continue;
                }
                let (path, fragment) = to.split_once('#').unwrap_or((to, ""));
                let slug = path.strip_prefix("/docs/").unwrap_or(chapter.slug);
                let target = CHAPTERS.iter().find(|other| other.slug == slug);
                let target = target.unwrap_or_else(|| panic!("{}: {to}", chapter.slug));
                assert!(
                    fragment.is_empty() || target.html.contains(&format!("id=\"{fragment}\"")),
                    "{}: {to}",
                    chapter.slug
                );
                followed += 1;
            }
        }
        assert!(followed > 10, "{followed}");
    }

    #[test]
    fn markdown_keeps_to_the_content_security_policy() {
        let page = rendered(
            "a.md",
            "# One `two`\n\n<script>alert(1)</script>\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n```sh\n<x>\n```\n\n# One `two`\n",
        );
        assert!(page.contains("<h1 id=\"one-two\">") && page.contains("<h1 id=\"one-two-1\">"), "{page}");
        assert!(!page.contains("<script") && !page.contains("style="), "{page}");
        assert!(page.contains("&lt;script&gt;") && page.contains("&lt;x&gt;"), "{page}");
        for chapter in CHAPTERS.iter() {
            assert!(!chapter.html.contains("style=") && !chapter.html.contains("<script"), "{}", chapter.slug);
            assert_eq!(chapter.html.matches("<h1").count(), 1, "{}", chapter.slug);
            let count = |text: &str| chapter.html.matches(text).count();
            assert_eq!(count("<table"), count("<caption"), "{}", chapter.slug);
            assert_eq!(count("<caption class=\"visually-hidden\"></caption>"), 0, "{}", chapter.slug);
            assert_eq!(count("<th>"), 0, "{}", chapter.slug);
        }
    }
}
