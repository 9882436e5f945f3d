//! What the pages say about a name: the name of a cause, of a kind of event or of a verdict comes in, its sections as plain
//! text go out. The pages are part of the binary. Does no I/O.

mod near;
mod page;
mod render;

use self::page::{Page, Section};
use crate::cause;

/// A document of this project.
struct Document {
    /// What its names are.
    of: &'static str,
    file: &'static str,
    text: &'static str,
}

const DOCUMENTS: [Document; 2] = [
    Document {
        of: "Causes",
        file: "docs/causes.md",
        text: include_str!("../../../docs/causes.md"),
    },
    Document {
        of: "Verdicts",
        file: "docs/verdicts.md",
        text: include_str!("../../../docs/verdicts.md"),
    },
];

/// How wide the text is.
const COLUMNS: usize = 100;

/// All that the documents say about `name`; a sentence if that is nothing.
pub fn about(name: &str) -> Result<String, String> {
    about_in(&DOCUMENTS, name)
}

/// Every name with the beginning of what is said about it, by document.
pub fn names() -> String {
    names_in(&DOCUMENTS)
}

fn about_in(documents: &[Document], name: &str) -> Result<String, String> {
    let found: Vec<String> = documents
        .iter()
        .flat_map(|document| about_in_one(document, name))
        .collect();
    if found.is_empty() {
        return Err(unknown(documents, name));
    }
    Ok(found.join("\n"))
}

/// Each section as text.
fn about_in_one(document: &Document, name: &str) -> Vec<String> {
    let page = Page::of(document.text);
    let show = |heading: &str, within: &str, body: &str| {
        let heading = render::inline(heading);
        let body = render::body(body, COLUMNS);
        let within = match render::inline(within).as_str() {
            "" => String::new(),
            chapter => format!(", {chapter}"),
        };
        format!("{heading}\n({}{within})\n\n{body}", document.file)
    };
    let show_section =
        |section: &Section| show(&section.heading, page.chapter_of(section), &section.body);
    let mut found: Vec<String> = page.sections_of(name).map(show_section).collect();
    // Some causes only ever stand beside another one, and are in its section.
    if found.is_empty() && cause::is_known(name) {
        found.extend(page.sections_with(name).map(show_section));
    }
    for (chapter, sections) in page.chapters_of(name) {
        let names: Vec<&str> = sections
            .flat_map(|section| section.names.iter().map(String::as_str))
            .collect();
        let body = match names.as_slice() {
            [] => chapter.body.clone(),
            names => format!("{}\n\nSee also: {}", chapter.body, names.join(", ")),
        };
        found.push(show(&chapter.heading, "", &body));
    }
    found
}

fn unknown(documents: &[Document], name: &str) -> String {
    let pages: Vec<Page> = documents.iter().map(|one| Page::of(one.text)).collect();
    let names = pages.iter().flat_map(Page::names);
    let near = near::near(name, names);
    let near = match near.as_slice() {
        [] => String::new(),
        near => format!("; near it are {}", near.join(", ")),
    };
    format!("no page has a section `{name}`{near}; `whydrop explain` lists all names")
}

fn names_in(documents: &[Document]) -> String {
    let pages: Vec<(&Document, Page)> = documents
        .iter()
        .map(|document| (document, Page::of(document.text)))
        .collect();
    let all = pages.iter().flat_map(|(_, page)| &page.sections);
    let longest = |section: &Section| section.names.iter().map(|name| name.chars().count()).max();
    let width = all.filter_map(longest).max().unwrap_or(0);
    let mut lines = Vec::new();
    for (document, page) in &pages {
        let mut chapter = None;
        for section in &page.sections {
            if chapter.is_none() {
                lines.push(format!("{} ({})", document.of, document.file));
            }
            if chapter != Some(section.chapter) {
                chapter = Some(section.chapter);
                let heading = render::inline(page.chapter_of(section));
                if !heading.is_empty() {
                    lines.push(format!("\n  {heading}"));
                }
            }
            let mut says = render::first_line(&section.body, COLUMNS.saturating_sub(width + 6));
            for name in &section.names {
                lines.push(format!("    {name:<width$}  {says}").trim_end().to_owned());
                says = format!("(with {})", section.names[0]);
            }
        }
        if chapter.is_some() {
            lines.push(String::new());
        }
    }
    lines.push("whydrop explain NAME prints a section.".into());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Document = Document {
        of: "Causes",
        file: "docs/first.md",
        text: "# First\n\nHead.\n\n# Refused: `overflow`\n\nIntro.\n\n## both, other (here)\n\n\
               - **What happened:** `overflow`. It was\n  full.\n\n## alone\n\nText.\n",
    };
    const SECOND: Document = Document {
        of: "Verdicts",
        file: "docs/second.md",
        text: "# Verdicts\n\nHead.\n\n## both\n\nAnother.\n",
    };

    #[test]
    fn every_cause_has_a_section() {
        for id in cause::every_known() {
            let text = about(id).expect(id);
            assert!(text.contains(id), "{id}: {text}");
            assert!(!text.contains("**"), "{id}: {text}");
            assert!(text.lines().count() > 3, "{id}: {text}");
        }
    }

    #[test]
    fn every_name_that_is_listed_can_be_asked_for() {
        let listed = names();
        for document in &DOCUMENTS {
            for name in Page::of(document.text).names() {
                assert!(about(&name).is_ok(), "{name}");
                let own = name.trim_end_matches('…');
                assert!(listed.contains(own) || about(own).is_ok(), "{name}");
            }
        }
        let widest = listed.lines().map(|line| line.chars().count()).max();
        assert!(widest.is_some_and(|widest| widest <= 120), "{listed}");
    }

    #[test]
    fn a_name_in_two_documents_prints_both() {
        let text = about_in(&[FIRST, SECOND], "both").expect("a section");
        assert_eq!(
            text,
            "both, other (here)\n(docs/first.md, Refused: overflow)\n\n\
             What happened  overflow. It was full.\n\n\
             both\n(docs/second.md, Verdicts)\n\nAnother.\n"
        );
    }

    #[test]
    fn a_kind_of_event_prints_its_chapter() {
        let text = about_in(&[FIRST, SECOND], "overflow").expect("a chapter");
        let expect =
            "Refused: overflow\n(docs/first.md)\n\nIntro.\n\nSee also: both, other, alone\n";
        assert_eq!(text, expect);
    }

    #[test]
    fn an_unknown_name_gets_a_sentence_with_those_near_it() {
        let error = about_in(&[FIRST, SECOND], "alnoe").expect_err("unknown");
        assert!(error.contains("`alnoe`; near it are alone"), "{error}");
        let error = about("accept-queue-ful").expect_err("unknown");
        assert!(error.contains("accept-queue-full"), "{error}");
        for odd in ["", " ", "#", "##", "`", "…", "\u{1b}", "a b"] {
            assert!(about(odd).is_err(), "{odd:?}");
        }
    }

    #[test]
    fn names_are_listed_by_document_and_chapter() {
        assert_eq!(
            names_in(&[FIRST, SECOND]),
            "Causes (docs/first.md)\n\n  Refused: overflow\n    both   overflow. It was full.\n    \
             other  (with both)\n    alone  Text.\n\n\
             Verdicts (docs/second.md)\n\n  Verdicts\n    both   Another.\n\n\
             whydrop explain NAME prints a section."
        );
    }
}
