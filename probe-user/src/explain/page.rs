//! A page as chapters (`# …`) with sections (`## …`): markdown comes in. A row of a chapter's table of causes is a section too.

use std::mem;

#[derive(Debug, Default)]
pub(super) struct Chapter {
    pub heading: String,
    pub body: String,
}

#[derive(Debug)]
pub(super) struct Section {
    pub names: Vec<String>,
    pub heading: String,
    pub body: String,
    /// The number of the chapter it is in.
    pub chapter: usize,
}

#[derive(Debug, Default)]
pub(super) struct Page {
    pub chapters: Vec<Chapter>,
    pub sections: Vec<Section>,
}

impl Page {
    pub(super) fn of(text: &str) -> Self {
        let mut page = Self::default();
        let mut in_code = false;
        let mut in_section = false;
        for line in text.lines() {
            in_code ^= line.trim_start().starts_with("```");
            let heading = |mark| line.strip_prefix(mark).filter(|_| !in_code);
            if let Some(heading) = heading("# ") {
                page.chapters.push(Chapter {
                    heading: heading.trim().to_owned(),
                    body: String::new(),
                });
                in_section = false;
            } else if let Some(heading) = heading("## ") {
                page.sections.push(Section {
                    names: names_of(heading),
                    heading: heading.trim().to_owned(),
                    body: String::new(),
                    chapter: page.chapters.len().saturating_sub(1),
                });
                in_section = true;
            } else {
                let body = match page.sections.last_mut() {
                    Some(section) if in_section => &mut section.body,
                    _ => match page.chapters.last_mut() {
                        Some(chapter) => &mut chapter.body,
                        None => continue,
                    },
                };
                body.push_str(line);
                body.push('\n');
            }
        }
        page.take_tables();
        page
    }

    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        let of_sections = self.sections.iter().flat_map(|section| &section.names);
        let of_chapters = self.chapters.iter().flat_map(|one| quoted(&one.heading));
        of_sections.cloned().chain(of_chapters.map(str::to_owned))
    }

    pub(super) fn chapter_of(&self, section: &Section) -> &str {
        let chapter = self.chapters.get(section.chapter);
        chapter.map_or("", |chapter| &chapter.heading)
    }

    pub(super) fn sections_of(&self, name: &str) -> impl Iterator<Item = &Section> {
        let fits = move |known: &String| match known.strip_suffix('…') {
            // `tcp-ao…` stands for all that begin so.
            Some(begin) => !begin.is_empty() && name.starts_with(begin),
            None => known == name,
        };
        let sections = self.sections.iter();
        sections.filter(move |section| section.names.iter().any(fits))
    }

    /// Those that name it in their text.
    pub(super) fn sections_with(&self, name: &str) -> impl Iterator<Item = &Section> {
        let marked = format!("`{name}`");
        let sections = self.sections.iter();
        sections.filter(move |section| section.body.contains(&marked))
    }

    /// Chapters with this name in their heading, each with its sections.
    pub(super) fn chapters_of(
        &self,
        name: &str,
    ) -> impl Iterator<Item = (&Chapter, impl Iterator<Item = &Section>)> {
        let chapters = self.chapters.iter().enumerate();
        let named = chapters.filter(move |(_, one)| quoted(&one.heading).any(|word| word == name));
        named.map(|(number, chapter)| {
            let sections = self.sections.iter();
            (chapter, sections.filter(move |one| one.chapter == number))
        })
    }

    /// Makes sections of the rows of each chapter's table whose first column is `cause`.
    fn take_tables(&mut self) {
        for (number, chapter) in self.chapters.iter_mut().enumerate() {
            let body = mem::take(&mut chapter.body);
            let mut titles = None;
            for line in body.lines() {
                let cells = line.strip_prefix('|').map(cells);
                match (cells, &titles) {
                    (Some(cells), None) if cells.first().is_some_and(|cell| cell == "cause") => {
                        titles = Some(cells);
                    }
                    (Some(cells), Some(titles)) => {
                        self.sections.extend(row(number, titles, &cells));
                    }
                    _ => {
                        titles = None;
                        chapter.body.push_str(line);
                        chapter.body.push('\n');
                    }
                }
            }
        }
        self.sections.sort_by_key(|section| section.chapter);
    }
}

fn cells(line: &str) -> Vec<String> {
    let line = line.trim().trim_end_matches('|');
    line.split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// `None` for the rule below the titles.
fn row(chapter: usize, titles: &[String], cells: &[String]) -> Option<Section> {
    let heading = cells.first()?;
    let names: Vec<String> = quoted(heading).map(str::to_owned).collect();
    let facts = titles.iter().zip(cells).skip(1);
    let body = facts
        .map(|(title, fact)| format!("- **{}:** {fact}\n", capitalised(title)))
        .collect();
    (!names.is_empty()).then(|| Section {
        names,
        heading: heading.clone(),
        body,
        chapter,
    })
}

fn capitalised(title: &str) -> String {
    let mut chars = title.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

/// Of `## a, b (where)`, `a` and `b`.
fn names_of(heading: &str) -> Vec<String> {
    let names = heading.split(" (").next().unwrap_or_default();
    let names = names.split(',').map(|name| name.trim().trim_matches('`'));
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// What stands between backticks, where it is a name.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let names = text.split('`').skip(1).step_by(2);
    names.filter(|name| !name.is_empty() && !name.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<Vec<String>> {
        let page = Page::of(text);
        page.sections.into_iter().map(|one| one.names).collect()
    }

    #[test]
    fn headings_name_sections() {
        let text = "# A: `kind` (only with `--warn`)\n\n## one\nbody\n## two, three (there)\n```\n## no\n```\n";
        assert_eq!(names(text), [vec!["one"], vec!["two", "three"]]);
        let page = Page::of(text);
        assert_eq!(page.sections[0].body, "body\n");
        assert!(page.sections[1].body.contains("## no"));
        let all: Vec<String> = page.names().collect();
        assert_eq!(all, ["one", "two", "three", "kind"]);
    }

    #[test]
    fn rows_of_a_table_of_causes_are_sections() {
        let text = "# A: `kind`\n\nIntro.\n\n| cause | what happened |\n|---|---|\n| `x-y`, `x-z` | a rule |\n\
                    | `tcp-ao…` | a key |\n\nAfter.\n";
        assert_eq!(names(text), [vec!["x-y", "x-z"], vec!["tcp-ao…"]]);
        let page = Page::of(text);
        assert_eq!(page.sections[0].body, "- **What happened:** a rule\n");
        assert_eq!(page.sections_of("tcp-aofailure").count(), 1);
        assert_eq!(page.chapters[0].body, "\nIntro.\n\n\nAfter.\n");
    }

    #[test]
    fn odd_pages_are_no_trouble() {
        for text in [
            "",
            "## a",
            "#",
            "## ",
            "| `a` |",
            "text\n## `\n",
            "# `\n| cause\n|\n",
        ] {
            let page = Page::of(text);
            assert!(page.names().count() < 2, "{text}");
        }
    }
}
