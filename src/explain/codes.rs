//! What codes mean, whoever uses them: those of replies, and enhanced status codes.
//!
//! Owns the reading of `codes.toml`. Must not know what a receiver means by one.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// A code somebody asks about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Code {
    /// That of a reply, `550`.
    pub reply: Option<u16>,
    /// The enhanced one, `5.7.26`.
    pub enhanced: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Codes {
    reply: BTreeMap<String, String>,
    class: BTreeMap<String, String>,
    subject: BTreeMap<String, String>,
    detail: BTreeMap<String, String>,
}

static CODES: LazyLock<Codes> = LazyLock::new(|| {
    toml::from_str(include_str!("codes.toml")).expect("a test reads the embedded codes")
});

impl Code {
    /// Reads a text that is a code and nothing else: `550`, `5.7.26`, `421 4.7.28`, `550-5.7.1`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_matches(['"', '\'', '(', ')', '#']);
        let mut code = Self::default();
        for word in text.split([' ', '-', '#']).filter(|word| !word.is_empty()) {
            if is_enhanced(word) && code.enhanced.is_none() {
                code.enhanced = Some(word.to_owned());
            } else if is_reply(word) && code.reply.is_none() && code.enhanced.is_none() {
                code.reply = word.parse().ok();
            } else {
                return None;
            }
        }
        (code != Self::default()).then_some(code)
    }

    /// What it means, phrases from the general to the particular.
    #[must_use]
    pub fn says(&self) -> Vec<(String, &'static str)> {
        let mut says = Vec::new();
        if let Some(reply) = self.reply {
            let reply = reply.to_string();
            let class = reply.get(..1).and_then(|class| CODES.class.get(class));
            let known = CODES.reply.get(&reply).or(class);
            says.extend(known.map(|known| (reply, known.as_str())));
        }
        if let Some(enhanced) = &self.enhanced {
            let (class, rest) = enhanced.split_once('.').unwrap_or_default();
            let subject = rest.split('.').next().unwrap_or_default();
            let known = [
                (format!("{class}.x.x"), CODES.class.get(class)),
                (format!("x.{subject}.x"), CODES.subject.get(subject)),
                (format!("x.{rest}"), CODES.detail.get(rest)),
            ];
            says.extend(
                known
                    .into_iter()
                    .filter_map(|(code, known)| Some((code, known?.as_str()))),
            );
        }
        says
    }

    /// The code as it is written.
    #[must_use]
    pub fn text(&self) -> String {
        let reply = self.reply.map(|reply| reply.to_string());
        let both = reply.into_iter().chain(self.enhanced.clone());
        both.collect::<Vec<_>>().join(" ")
    }
}

fn is_reply(word: &str) -> bool {
    word.len() == 3
        && word.starts_with(['2', '3', '4', '5'])
        && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// Tells whether a word is an enhanced status code (RFC 3463, 2).
fn is_enhanced(word: &str) -> bool {
    let parts: Vec<&str> = word.split('.').collect();
    let number = |part: &str| {
        (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    parts.len() == 3
        && matches!(parts.first(), Some(&("2" | "4" | "5")))
        && parts.iter().all(|part| number(part))
}
