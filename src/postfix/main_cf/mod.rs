//! `main.cf`: settings, one `name = value` a logical line.
//!
//! Owns reading, and edits of one parameter or one list item that leave every
//! other byte alone. Must not know what a parameter means.
//! Follows postconf(5) and what postconf(1) `-e` does to a file, except that a
//! missing final newline never joins two settings.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use super::logical_line::{
    self, Content, PieceKind, ends_in_braces, is_balanced, is_blank, split_outside_braces, trim,
};
use super::problem::{byte_problems, first_line};
use super::{EditError, Problem, ProblemKind};

/// What separates the items of a list parameter.
const LIST_SEPARATORS: &[u8] = b", \t\r\n";

/// A `main.cf`, every byte of it.
#[derive(Clone, Debug, Default)]
pub struct MainCf {
    items: Vec<Item>,
    /// What most lines end in.
    line_end: &'static [u8],
}

#[derive(Clone, Debug)]
struct Item {
    text: Vec<u8>,
    kind: ItemKind,
}

#[derive(Clone, Debug)]
enum ItemKind {
    /// Comments and blank lines between settings.
    Filler,
    /// A logical line that sets something.
    Setting { name: String, value: Vec<u8> },
    /// A logical line that Postfix ignores or refuses.
    Odd(ProblemKind),
}

/// One definition of a parameter, as it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<'a> {
    /// The parameter; case matters.
    pub name: &'a str,
    /// The value as Postfix sees it: continuation lines joined, comments gone, nothing expanded.
    pub value: Cow<'a, str>,
    /// The same as bytes.
    pub bytes: &'a [u8],
    /// From the first byte of the name to the last byte of the value.
    pub span: Range<usize>,
    /// The value alone; empty, behind the `=`, if there is none.
    pub value_span: Range<usize>,
    /// Whether a later definition of the same name replaces this one.
    pub overridden: bool,
}

/// Where the parts of a setting stand in its content.
struct Parts {
    name: Range<usize>,
    equals: usize,
    value: Range<usize>,
}

impl Parts {
    fn of(content: &[u8]) -> Result<Self, ProblemKind> {
        let name_end = content
            .iter()
            .position(|byte| is_blank(*byte) || *byte == b'=');
        let name_end = name_end.unwrap_or(content.len());
        let equals = name_end
            + content[name_end..]
                .iter()
                .take_while(|byte| is_blank(**byte))
                .count();
        if content.get(equals) != Some(&b'=') {
            return Err(ProblemKind::MissingEquals);
        }
        if name_end == 0 {
            return Err(ProblemKind::MissingName);
        }
        let rest = &content[equals + 1..];
        let start = equals + 1 + rest.iter().take_while(|byte| is_blank(**byte)).count();
        let value = start..start + trim(rest).len();
        Ok(Self {
            name: 0..name_end,
            equals,
            value,
        })
    }
}

impl Item {
    fn read(kind: PieceKind, text: &[u8]) -> Self {
        let kind = match kind {
            PieceKind::Filler => ItemKind::Filler,
            PieceKind::Orphan => ItemKind::Odd(ProblemKind::LeadingBlank),
            PieceKind::Line => {
                let content = Content::of(text).bytes;
                match Parts::of(&content) {
                    Err(problem) => ItemKind::Odd(problem),
                    Ok(parts) => ItemKind::Setting {
                        name: String::from_utf8_lossy(&content[parts.name]).into_owned(),
                        value: content[parts.value].to_vec(),
                    },
                }
            }
        };
        Self {
            text: text.to_vec(),
            kind,
        }
    }

    fn name(&self) -> Option<&str> {
        match &self.kind {
            ItemKind::Setting { name, .. } => Some(name),
            _ => None,
        }
    }

    fn content(&self) -> (Content, Parts) {
        let content = Content::of(&self.text);
        let parts = Parts::of(&content.bytes).expect("a setting was read as a setting");
        (content, parts)
    }

    /// Takes an edited text if it holds the wanted list, else writes the list on one line.
    ///
    /// An item that begins with `#` must not come to stand first on its line.
    fn take_list(&mut self, text: &[u8], wanted: &[&[u8]]) {
        let edited = Self::read(PieceKind::Line, text);
        let (content, parts) = edited.content();
        let got = list_words(&content.bytes, &parts);
        *self = if got.len() == wanted.len()
            && got
                .iter()
                .zip(wanted)
                .all(|(got, wanted)| content.bytes[got.clone()] == **wanted)
        {
            edited
        } else {
            Self::read(PieceKind::Line, &self.with_value(&wanted.join(&b", "[..])))
        };
    }

    /// Gives the text of the setting with another value, its layout and comments kept.
    fn with_value(&self, value: &[u8]) -> Vec<u8> {
        let (content, parts) = self.content();
        let equals = content.place(parts.equals);
        let old = content.span(&parts.value);
        let value_is_folded = self.text[equals..old.start].contains(&b'\n');
        // A value that moves to the line of the `=` is never read as a comment.
        let would_be_comment = value_is_folded && value.starts_with(b"#");
        let keeps_start = !(parts.value.is_empty() || value.is_empty() || would_be_comment);
        let (mut text, anchor);
        if keeps_start {
            anchor = old.start;
            text = self.text[..anchor].to_vec();
        } else {
            anchor = equals;
            text = self.text[..=equals].to_vec();
        }
        if !keeps_start && !value.is_empty() {
            let blanks = self.text[equals + 1..]
                .iter()
                .take_while(|byte| matches!(byte, b' ' | b'\t'));
            text.extend(blanks);
            let spaced = equals > 0 && is_blank(self.text[equals - 1]);
            if spaced && text.last() == Some(&b'=') {
                text.push(b' ');
            }
        }
        text.extend_from_slice(value);
        let stop = logical_line::line_stop(&self.text, anchor);
        let rest = self.text[stop..].iter().position(|byte| *byte == b'\n');
        let rest = rest.map_or(self.text.len(), |at| stop + at + 1);
        text.extend_from_slice(&self.text[stop..rest]);
        text.extend(logical_line::ignored_lines(&self.text[rest..]));
        text
    }
}

impl MainCf {
    /// Reads a file; odd lines are kept and reported by [`Self::problems`].
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        let items = logical_line::pieces(text)
            .map(|(kind, range)| Item::read(kind, &text[range]))
            .collect();
        Self {
            items,
            line_end: logical_line::line_end(text),
        }
    }

    /// Prints the file, byte for byte what was read except for what was edited.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.items
            .iter()
            .flat_map(|item| &item.text)
            .copied()
            .collect()
    }

    /// Gives the value of a parameter as Postfix sees it, if the file sets it.
    ///
    /// The last definition wins. The empty value is a value. Bytes that are
    /// not UTF-8 are shown as replacement characters; [`Self::get_bytes`] has them.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        self.get_bytes(name)
            .map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// Gives the value of a parameter as bytes.
    #[must_use]
    pub fn get_bytes(&self, name: &str) -> Option<&[u8]> {
        self.items.iter().rev().find_map(|item| match &item.kind {
            ItemKind::Setting { name: found, value } if found == name => Some(value.as_slice()),
            _ => None,
        })
    }

    /// Lists the parameters the file sets, each once, in the order of the definitions that win.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.settings()
            .filter(|setting| !setting.overridden)
            .map(|setting| setting.name)
    }

    /// Lists every definition, in file order, also those a later one overrides.
    pub fn settings(&self) -> impl Iterator<Item = Setting<'_>> {
        let mut last: HashMap<&str, usize> = HashMap::new();
        for (index, item) in self.items.iter().enumerate() {
            if let Some(name) = item.name() {
                last.insert(name, index);
            }
        }
        let mut at = 0;
        self.items
            .iter()
            .enumerate()
            .filter_map(move |(index, item)| {
                let start = at;
                at += item.text.len();
                let ItemKind::Setting { name, value } = &item.kind else {
                    return None;
                };
                let (content, parts) = item.content();
                let value_span = if parts.value.is_empty() {
                    let equals = content.place(parts.equals) + 1;
                    equals..equals
                } else {
                    content.span(&parts.value)
                };
                Some(Setting {
                    name,
                    value: String::from_utf8_lossy(value),
                    bytes: value,
                    span: start..start + value_span.end,
                    value_span: start + value_span.start..start + value_span.end,
                    overridden: last[name.as_str()] != index,
                })
            })
    }

    /// Gives the definition of a parameter that wins.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<Setting<'_>> {
        self.settings()
            .find(|setting| setting.name == name && !setting.overridden)
    }

    /// Sets a parameter: the definition that wins is changed in place, or one is added at the end.
    ///
    /// Blanks at both ends of the value are dropped, as Postfix would. Comments
    /// inside the old value stay, its continuation lines go.
    ///
    /// # Errors
    /// Fails if the name or the value would not be read back as given.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), EditError> {
        check_name(name)?;
        if value.bytes().any(|byte| matches!(byte, b'\n' | 0)) {
            return Err(EditError::Value {
                name: name.to_owned(),
                value: value.to_owned(),
            });
        }
        self.put(name, trim(value.as_bytes()));
        Ok(())
    }

    fn put(&mut self, name: &str, value: &[u8]) {
        if let Some(item) = self.last_mut(name) {
            if !matches!(&item.kind, ItemKind::Setting { value: old, .. } if old == value) {
                *item = Item::read(PieceKind::Line, &item.with_value(value));
            }
            return;
        }
        let line_end = if self.line_end.is_empty() {
            b"\n"
        } else {
            self.line_end
        };
        if let Some(last) = self.items.last_mut() {
            logical_line::end_last_line(&mut last.text);
        }
        let mut text = name.as_bytes().to_vec();
        text.extend_from_slice(if value.is_empty() { b" =" } else { b" = " });
        text.extend_from_slice(value);
        text.extend_from_slice(line_end);
        self.items.push(Item::read(PieceKind::Line, &text));
    }

    /// Replaces parts of a value, given as ranges of [`Self::get_bytes`]: the layout of the rest,
    /// its folds and comments, stays as it is.
    ///
    /// # Errors
    /// Fails if the file does not set the parameter, or the value would not be read back as meant.
    pub fn replace_in(
        &mut self,
        name: &str,
        parts: &[(Range<usize>, &str)],
    ) -> Result<(), EditError> {
        let Some(item) = self.last_mut(name) else {
            return Err(EditError::Name {
                name: name.to_owned(),
            });
        };
        let (content, place) = item.content();
        let start = place.value.start;
        let spans = parts.iter().map(|(range, new)| {
            (
                content.span(&(start + range.start..start + range.end)),
                *new,
            )
        });
        let text = logical_line::spliced(&item.text, spans);
        let wanted = logical_line::spliced(&content.bytes[place.value], parts.iter().cloned());
        let edited = Item::read(PieceKind::Line, &text);
        if !matches!(&edited.kind, ItemKind::Setting { value, .. } if *value == wanted) {
            return Err(EditError::Value {
                name: name.to_owned(),
                value: String::from_utf8_lossy(&wanted).into_owned(),
            });
        }
        *item = edited;
        Ok(())
    }

    /// Removes every definition of a parameter; comments inside its value stay.
    pub fn unset(&mut self, name: &str) {
        self.items.retain_mut(|item| {
            if item.name() != Some(name) {
                return true;
            }
            item.text = logical_line::ignored_lines(&item.text);
            item.kind = ItemKind::Filler;
            !item.text.is_empty()
        });
    }

    /// Adds one item at the end of a list parameter, unless it is there already.
    ///
    /// `current` is what the parameter is worth while the file does not set
    /// it, so that adding keeps the default. Folding, comments and the way
    /// items are separated stay as they are.
    ///
    /// # Errors
    /// Fails if the name or the item would not be read back as given.
    pub fn add_item(
        &mut self,
        name: &str,
        item: &str,
        current: Option<&str>,
    ) -> Result<(), EditError> {
        check_name(name)?;
        check_item(name, item)?;
        let Some(setting) = self.last_mut(name) else {
            let current = current.unwrap_or_default();
            if split_list(current).iter().any(|present| present == item) {
                return Ok(());
            }
            if ends_in_braces(current.as_bytes()) {
                return Err(EditError::Unbalanced {
                    name: name.to_owned(),
                });
            }
            let current = current.trim().trim_end_matches([',', ' ', '\t']);
            return if current.is_empty() {
                self.set(name, item)
            } else {
                self.set(name, &format!("{current}, {item}"))
            };
        };
        let (content, parts) = setting.content();
        let words = list_words(&content.bytes, &parts);
        if words
            .iter()
            .any(|word| content.bytes[word.clone()] == *item.as_bytes())
        {
            return Ok(());
        }
        let Some(last) = words.last() else {
            let text = setting.with_value(item.as_bytes());
            *setting = Item::read(PieceKind::Line, &text);
            return Ok(());
        };
        if ends_in_braces(&content.bytes[last.clone()]) {
            return Err(EditError::Unbalanced {
                name: name.to_owned(),
            });
        }
        let end = content.span(last).end;
        let mut text = setting.text[..end].to_vec();
        text.extend(separator(&setting.text, &content, &parts, &words, item));
        text.extend_from_slice(item.as_bytes());
        text.extend_from_slice(&setting.text[end..]);
        let mut wanted: Vec<&[u8]> = words
            .iter()
            .map(|word| &content.bytes[word.clone()])
            .collect();
        wanted.push(item.as_bytes());
        setting.take_list(&text, &wanted);
        Ok(())
    }

    /// Removes an item from a list parameter, wherever in the list it stands.
    ///
    /// A list of which nothing is left is set to the empty value.
    pub fn remove_item(&mut self, name: &str, item: &str) {
        let Some(setting) = self.last_mut(name) else {
            return;
        };
        let (content, parts) = setting.content();
        let words = list_words(&content.bytes, &parts);
        let goes = |word: &Range<usize>| content.bytes[word.clone()] == *item.as_bytes();
        if !words.iter().any(goes) {
            return;
        }
        if words.iter().all(goes) {
            let text = setting.with_value(b"");
            *setting = Item::read(PieceKind::Line, &text);
            return;
        }
        let cuts = logical_line::cuts(&words, None, |index| goes(&words[index]));
        let text = logical_line::without(&setting.text, &cuts);
        let wanted: Vec<&[u8]> = words
            .iter()
            .filter(|word| !goes(word))
            .map(|word| &content.bytes[word.clone()])
            .collect();
        setting.take_list(&text, &wanted);
    }

    fn last_mut(&mut self, name: &str) -> Option<&mut Item> {
        self.items
            .iter_mut()
            .rev()
            .find(|item| item.name() == Some(name))
    }

    /// Lists what is odd about the file, in file order.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut at = 0;
        for item in &self.items {
            let mut report = |kind, span: Range<usize>| {
                problems.push(Problem {
                    kind,
                    span: at + span.start..at + span.end,
                });
            };
            byte_problems(&item.text, at == 0, &mut report);
            match &item.kind {
                ItemKind::Filler => {}
                ItemKind::Odd(kind) => report(*kind, first_line(&item.text)),
                ItemKind::Setting { .. } => problems::setting_problems(item, &mut report),
            }
            at += item.text.len();
        }
        let mut later: HashMap<&str, Cow<'_, str>> = HashMap::new();
        let settings: Vec<_> = self.settings().collect();
        for setting in settings.into_iter().rev() {
            let winner = later
                .entry(setting.name)
                .or_insert_with(|| setting.value.clone());
            if setting.overridden && *winner != setting.value {
                problems.push(Problem {
                    kind: ProblemKind::Overridden,
                    span: setting.span,
                });
            }
        }
        problems.sort_by_key(|problem| problem.span.start);
        problems
    }
}

/// Splits a list parameter's value at commas and blanks; `{ }` holds an item together (3.0+).
#[must_use]
pub fn split_list(value: &str) -> Vec<String> {
    let value = value.as_bytes();
    split_outside_braces(value, LIST_SEPARATORS)
        .into_iter()
        .map(|range| String::from_utf8_lossy(&value[range]).into_owned())
        .collect()
}

/// Gives the items of a list value as ranges of the content.
fn list_words(content: &[u8], parts: &Parts) -> Vec<Range<usize>> {
    split_outside_braces(&content[parts.value.clone()], LIST_SEPARATORS)
        .into_iter()
        .map(|word| parts.value.start + word.start..parts.value.start + word.end)
        .collect()
}

/// Chooses what to write between the last item and a new one: what stands before the last item.
fn separator(
    text: &[u8],
    content: &Content,
    parts: &Parts,
    words: &[Range<usize>],
    item: &str,
) -> Vec<u8> {
    let last = words.last().map_or(parts.value.start, |word| word.start);
    let last_place = content.place(last);
    let (gap, gap_place) = match words.len().checked_sub(2).map(|index| &words[index]) {
        Some(previous) => (
            &content.bytes[previous.end..last],
            content.span(previous).end,
        ),
        None => (&b", "[..], content.place(parts.equals)),
    };
    let commas = gap.split(|byte| *byte == b',').count() - 1;
    let folded = text[gap_place..last_place].contains(&b'\n');
    if folded && !item.starts_with('#') {
        let mut separator = if commas > 0 {
            b",".to_vec()
        } else {
            Vec::new()
        };
        separator.extend_from_slice(logical_line::line_end(text));
        let indent = logical_line::indent_at(text, last_place);
        separator.extend_from_slice(if indent.is_empty() { b"    " } else { indent });
        separator
    } else if !folded && commas <= 1 {
        gap.to_vec()
    } else if commas > 0 {
        b", ".to_vec()
    } else {
        b" ".to_vec()
    }
}

fn check_name(name: &str) -> Result<(), EditError> {
    let bytes = name.as_bytes();
    let odd = |byte: &u8| is_blank(*byte) || matches!(byte, b'=' | 0);
    if bytes.is_empty() || bytes[0] == b'#' || bytes.iter().any(odd) {
        return Err(EditError::Name {
            name: name.to_owned(),
        });
    }
    Ok(())
}

fn check_item(name: &str, item: &str) -> Result<(), EditError> {
    let bytes = item.as_bytes();
    let words = split_outside_braces(bytes, LIST_SEPARATORS);
    let one = words.len() == 1 && words[0] == (0..bytes.len());
    if one
        && is_balanced(bytes)
        && trim(bytes).len() == bytes.len()
        && !bytes.iter().any(|byte| matches!(byte, b'\n' | 0))
    {
        return Ok(());
    }
    Err(EditError::Item {
        name: name.to_owned(),
        item: item.to_owned(),
    })
}

mod problems;
#[cfg(test)]
mod tests;
