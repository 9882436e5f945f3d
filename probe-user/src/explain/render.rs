//! Markdown as plain text for a terminal, as far as this project's pages use it: paragraphs, lists whose items may begin with
//! a title in bold, tables, blocks of code, `code`, **bold** and links.

/// One line of text: its marks are taken off.
pub(super) fn inline(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.trim();
    while let Some(at) = rest.find(['`', '*', '[']) {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        rest = if let Some((code, after)) = between(from, "`", "`") {
            plain.push_str(code);
            after
        } else if let Some((bold, after)) = between(from, "**", "**") {
            plain.push_str(&inline(bold));
            after
        } else if let Some((label, after)) = link(from) {
            plain.push_str(&inline(label));
            after
        } else {
            let mut chars = from.chars();
            plain.extend(chars.next());
            chars.as_str()
        };
    }
    plain.push_str(rest);
    plain
}

/// A whole body, wrapped at `columns`.
pub(super) fn body(text: &str, columns: usize) -> String {
    let blocks = blocks(text);
    let titles = blocks.iter().filter_map(|block| match block {
        Block::Item { title, .. } => Some(title.chars().count()),
        _ => None,
    });
    let width = titles.max().unwrap_or(0);
    let mut lines = Vec::new();
    let mut after_item = false;
    for block in &blocks {
        let is_item = matches!(block, Block::Item { .. });
        let is_gap = !(after_item && is_item);
        if is_gap && !lines.is_empty() {
            lines.push(String::new());
        }
        after_item = is_item;
        match block {
            Block::Item { title, text, depth } if !title.is_empty() => {
                let first = format!("{:depth$}{title:<width$}  ", "");
                wrap(text, &first, columns, &mut lines);
            }
            Block::Item { text, depth, .. } => {
                wrap(text, &format!("{:depth$}- ", ""), columns, &mut lines);
            }
            Block::Paragraph(text) => wrap(text, "", columns, &mut lines),
            Block::AsIs(code) => lines.extend(code.iter().map(|line| format!("    {line}"))),
            Block::Table(rows) => table(rows, &mut lines),
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

/// The beginning of a body in one line.
pub(super) fn first_line(text: &str, columns: usize) -> String {
    let first = blocks(text).into_iter().find_map(|block| match block {
        Block::Item { text, .. } | Block::Paragraph(text) => Some(text),
        Block::AsIs(_) | Block::Table(_) => None,
    });
    let mut lines = Vec::new();
    wrap(
        &first.unwrap_or_default(),
        "",
        columns.saturating_sub(2),
        &mut lines,
    );
    match lines.as_slice() {
        [] => String::new(),
        [all] => all.clone(),
        [first, ..] => format!("{first} …"),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Block {
    Item {
        title: String,
        text: String,
        depth: usize,
    },
    Paragraph(String),
    AsIs(Vec<String>),
    Table(Vec<Vec<String>>),
}

/// The text's lines by what they are; text is joined and without marks.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<(Block, String)> = Vec::new();
    let mut open = false;
    let mut in_code = false;
    for line in text.lines() {
        let content = line.trim();
        if content.starts_with("```") {
            in_code = !in_code;
            open = false;
            if in_code {
                blocks.push((Block::AsIs(Vec::new()), String::new()));
            }
        } else if in_code {
            if let Some((Block::AsIs(code), _)) = blocks.last_mut() {
                code.push(line.to_owned());
            }
        } else if content.is_empty() {
            open = false;
        } else if let Some(row) = content.strip_prefix('|') {
            let row = row.trim_end_matches('|').split('|').map(inline).collect();
            match blocks.last_mut() {
                Some((Block::Table(rows), _)) if open => rows.push(row),
                _ => blocks.push((Block::Table(vec![row]), String::new())),
            }
            open = true;
        } else if let Some(item) = content.strip_prefix("- ") {
            let item_block = Block::Item {
                title: String::new(),
                text: String::new(),
                depth: line.len() - line.trim_start().len(),
            };
            blocks.push((item_block, item.to_owned()));
            open = true;
        } else if let Some((Block::Item { .. } | Block::Paragraph(_), raw)) = blocks.last_mut()
            && open
        {
            raw.push(' ');
            raw.push_str(content);
        } else {
            blocks.push((Block::Paragraph(String::new()), content.to_owned()));
            open = true;
        }
    }
    blocks
        .into_iter()
        .map(|(block, raw)| finished(block, &raw))
        .collect()
}

fn finished(block: Block, raw: &str) -> Block {
    match block {
        Block::Item { depth, .. } => {
            let (title, text) = titled(raw).unwrap_or(("", raw));
            Block::Item {
                title: inline(title),
                text: inline(text),
                depth,
            }
        }
        Block::Paragraph(_) => Block::Paragraph(inline(raw)),
        as_it_is => as_it_is,
    }
}

/// Of `**The client:** waits` and of `**It is not** a queue`, where the title begins the sentence.
fn titled(item: &str) -> Option<(&str, &str)> {
    let (title, text) = between(item, "**", "**")?;
    Some((title.trim_end_matches(':'), text))
}

/// What is between two marks at the beginning of the text, and what follows.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<(&'a str, &'a str)> {
    let (inner, after) = text.strip_prefix(begin)?.split_once(end)?;
    (!inner.is_empty()).then_some((inner, after))
}

fn link(text: &str) -> Option<(&str, &str)> {
    let (label, after) = text.strip_prefix('[')?.split_once("](")?;
    let (_, after) = after.split_once(')')?;
    (!label.contains(']')).then_some((label, after))
}

/// Words in lines of at most `columns`, the first after `first`, the others as far to the right.
fn wrap(text: &str, first: &str, columns: usize, to: &mut Vec<String>) {
    let indent = first.chars().count();
    let mut line = first.to_owned();
    let mut length = indent;
    for word in text.split_whitespace() {
        let wide = word.chars().count();
        if length > indent && length + 1 + wide > columns {
            to.push(line);
            line = " ".repeat(indent);
            length = indent;
        }
        if length > indent {
            line.push(' ');
            length += 1;
        }
        line.push_str(word);
        length += wide;
    }
    if length > 0 {
        to.push(line);
    }
}

fn table(rows: &[Vec<String>], to: &mut Vec<String>) {
    let is_rule = |row: &[String]| {
        let mut cells = row.iter();
        cells.all(|cell| cell.trim_matches(['-', ':']).is_empty())
    };
    let rows: Vec<&Vec<String>> = rows.iter().filter(|row| !is_rule(row)).collect();
    let columns = rows.iter().map(|row| row.len()).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let cells = row.iter().zip(&widths);
        let line: String = cells
            .map(|(cell, width)| format!("{cell:<width$}  "))
            .collect();
        to.push(line.trim_end().to_owned());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn marks_are_taken_off() {
        let check = |text, expect| assert_eq!(inline(text), expect);
        check("`a_b` and **bold `c`**", "a_b and bold c");
        check("see [a `page`](x.md#y), too", "see a page, too");
        check("2 * 3 ** 4 [not] ` `", "2 * 3 ** 4 [not]  ");
        check("`**not bold**`", "**not bold**");
        check("a `lonely mark", "a `lonely mark");
    }

    #[test]
    fn items_are_aligned_by_their_titles_and_wrapped() {
        let text = "- **What happened:** it was `full`,\n  and more came.\n- **It is not** the other.\n- plain\n\nAfter.\n";
        assert_eq!(
            body(text, 30),
            "What happened  it was full,\n               and more came.\nIt is not      the other.\n- plain\n\nAfter.\n"
        );
    }

    #[test]
    fn code_and_tables_stay_as_they_are() {
        let text = "Do:\n\n```\n- a   **b**\n```\n\n| x | y |\n|---|---|\n| long | `1` |\n";
        assert_eq!(
            body(text, 30),
            "Do:\n\n    - a   **b**\n\nx     y\nlong  1\n"
        );
    }

    #[test]
    fn the_first_line_says_when_there_is_more() {
        assert_eq!(first_line("- **A:** one two three\n", 40), "one two three");
        assert_eq!(first_line("- **A:** one two three\n", 12), "one two …");
        assert_eq!(first_line("", 12), "");
    }

    proptest! {
        #[test]
        fn any_text_is_rendered(text in "[-#|`*\\[\\]() a-c\n…]{0,80}", columns in 0..50_usize) {
            let _ = body(&text, columns);
            let _ = first_line(&text, columns);
            let _ = inline(&text);
        }
    }
}
