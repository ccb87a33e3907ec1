//! TSIG keys, as `tsig-keygen` writes them.
//!
//! Owns [`TsigKey`] and the reading of its file. The secret is never shown: an error names a
//! line and what is missing there, not what stands there. Must not know where the file lies.
//! Follows RFC 8945, 6; named.conf(5), "key".

use std::fmt;

use data_encoding::BASE64;
use domain::tsig::{self, Algorithm, KeyName};
use zeroize::Zeroizing;

use crate::dns::Name;

/// A key that requests to a name server are signed with.
pub struct TsigKey {
    name: Name,
    key: tsig::Key,
}

/// Why a text is no key file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// It is not text.
    #[error("it is not text")]
    NotText,
    /// It is written otherwise.
    #[error("in line {line} {wanted} is missing")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// What should stand there.
        wanted: &'static str,
    },
    /// It holds several keys, and which is meant is not guessed.
    #[error("it holds several keys: {}", .names.join(", "))]
    Several {
        /// Their names.
        names: Vec<String>,
    },
    /// The name of the key is no domain name.
    #[error("in line {line} the name of the key is no domain name")]
    Name {
        /// The line, from 1.
        line: usize,
    },
    /// The algorithm is not known, or not safe any more.
    #[error("in line {line} the algorithm is none of hmac-sha256, hmac-sha384, hmac-sha512")]
    Algorithm {
        /// The line, from 1.
        line: usize,
    },
    /// The secret is no base64.
    #[error("in line {line} the secret is not base64")]
    Secret {
        /// The line, from 1.
        line: usize,
    },
}

impl TsigKey {
    /// Reads a key file.
    ///
    /// # Errors
    /// When it does not hold just one key of a safe algorithm.
    pub fn parse(text: &[u8]) -> Result<Self, KeyFileError> {
        let text = std::str::from_utf8(text).map_err(|_| KeyFileError::NotText)?;
        let mut tokens = Tokens {
            rest: text,
            line: 1,
        };
        let mut keys = Vec::new();
        while !tokens.is_at_end() {
            keys.push(statement(&mut tokens)?);
        }
        match keys.len() {
            1 => Ok(keys.remove(0)),
            0 => Err(tokens.missing("`key NAME {`")),
            _ => Err(KeyFileError::Several {
                names: keys.iter().map(|key| format!("`{}`", key.name())).collect(),
            }),
        }
    }

    /// Gives its name, without the final dot.
    #[must_use]
    pub fn name(&self) -> String {
        self.name.host()
    }

    /// Gives the key itself.
    pub(super) fn key(&self) -> &tsig::Key {
        &self.key
    }
}

impl fmt::Debug for TsigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TsigKey")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

/// Reads `key NAME { algorithm A; secret S; };`.
fn statement(tokens: &mut Tokens<'_>) -> Result<TsigKey, KeyFileError> {
    tokens.word("key", "`key NAME {`")?;
    let line = tokens.line();
    let name = tokens.value("the name of the key")?;
    let name: Name = name.parse().map_err(|_| KeyFileError::Name { line })?;
    tokens.word("{", "`{`")?;
    let (mut algorithm, mut secret) = (None, None);
    loop {
        let line = tokens.line();
        match tokens.next() {
            Some("algorithm") => {
                let value = tokens.value("the algorithm")?;
                algorithm = Some(algorithm_of(value).ok_or(KeyFileError::Algorithm { line })?);
            }
            Some("secret") => {
                let value = tokens.value("the secret")?;
                let bytes = BASE64.decode(value.as_bytes());
                let bytes = bytes.map_err(|_| KeyFileError::Secret { line })?;
                secret = Some(Zeroizing::new(bytes));
            }
            Some("}") => break,
            _ => return Err(tokens.missing("`algorithm`, `secret` or `}`")),
        }
        tokens.word(";", "`;`")?;
    }
    tokens.word(";", "`;`")?;
    let algorithm = algorithm.ok_or_else(|| tokens.missing("`algorithm`"))?;
    let secret = secret.filter(|secret| !secret.is_empty());
    let secret = secret.ok_or_else(|| tokens.missing("`secret`"))?;
    let owner = domain::base::Name::from_octets(name.wire().to_vec())
        .expect("a name holds the wire form of a name");
    let owner: KeyName = domain::dep::octseq::OctetsInto::try_octets_into(owner)
        .expect("a key's name takes any name");
    let key = tsig::Key::new(algorithm, &secret, owner, None, None)
        .expect("signatures of full length are within bounds");
    Ok(TsigKey { name, key })
}

/// The algorithm of a name; SHA-1 and MD5 are not taken (RFC 8945, 6).
fn algorithm_of(name: &str) -> Option<Algorithm> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let algorithm: Algorithm = name.parse().ok()?;
    (algorithm != Algorithm::Sha1).then_some(algorithm)
}

/// The words of a file in the syntax of named.conf.
struct Tokens<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Tokens<'a> {
    /// Passes over blanks and the three kinds of comments.
    fn skip(&mut self) {
        loop {
            let length = match self.rest {
                rest if rest.starts_with(char::is_whitespace) => rest
                    .find(|c: char| !c.is_whitespace())
                    .unwrap_or(rest.len()),
                rest if rest.starts_with("//") || rest.starts_with('#') => {
                    rest.find('\n').unwrap_or(rest.len())
                }
                rest if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
                _ => return,
            };
            self.advance(length);
        }
    }

    fn advance(&mut self, length: usize) -> &'a str {
        let (passed, rest) = self.rest.split_at(length);
        self.line += passed.matches('\n').count();
        self.rest = rest;
        passed
    }

    fn is_at_end(&mut self) -> bool {
        self.skip();
        self.rest.is_empty()
    }

    /// The line of the next token.
    fn line(&mut self) -> usize {
        self.skip();
        self.line
    }

    /// The next token; a quoted one without its quotes.
    fn next(&mut self) -> Option<&'a str> {
        self.skip();
        let first = self.rest.chars().next()?;
        if first == '"' {
            let (quoted, _) = self.rest.get(1..)?.split_once('"')?;
            self.advance(quoted.len() + 2);
            return Some(quoted);
        }
        if ['{', '}', ';'].contains(&first) {
            return Some(self.advance(1));
        }
        let ends = |c: char| c.is_whitespace() || ['{', '}', ';', '"'].contains(&c);
        let length = self.rest.find(ends).unwrap_or(self.rest.len());
        Some(self.advance(length))
    }

    /// The next token, which must be this.
    fn word(&mut self, word: &str, wanted: &'static str) -> Result<(), KeyFileError> {
        let missing = KeyFileError::Syntax {
            line: self.line(),
            wanted,
        };
        (self.next() == Some(word)).then_some(()).ok_or(missing)
    }

    /// The next token, which must not be punctuation.
    fn value(&mut self, wanted: &'static str) -> Result<&'a str, KeyFileError> {
        let missing = KeyFileError::Syntax {
            line: self.line(),
            wanted,
        };
        let value = self.next().filter(|value| !["{", "}", ";"].contains(value));
        value.ok_or(missing)
    }

    fn missing(&mut self, wanted: &'static str) -> KeyFileError {
        KeyFileError::Syntax {
            line: self.line,
            wanted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlYw==";

    fn check(text: &str, expected: &str) {
        let text = text.replace("SECRET", SECRET);
        let said = match TsigKey::parse(text.as_bytes()) {
            Ok(key) => format!("{} {}", key.name(), key.key().algorithm()),
            Err(error) => error.to_string(),
        };
        assert_eq!(said, expected, "{text}");
        assert!(!said.contains(SECRET));
    }

    #[test]
    fn key_files_are_read_and_faults_have_a_line() {
        let generated = "key \"tsig-key\" {\n\talgorithm hmac-sha256;\n\tsecret \"SECRET\";\n};\n";
        check(generated, "tsig-key hmac-sha256");
        check(
            "# made by hand\nkey Mail.example.org { secret SECRET; // here\n /* and\n */ algorithm HMAC-SHA512; };",
            "mail.example.org hmac-sha512",
        );
        check("", "in line 1 `key NAME {` is missing");
        check("-----BEGIN SECRET", "in line 1 `key NAME {` is missing");
        check(
            &generated.repeat(2),
            "it holds several keys: `tsig-key`, `tsig-key`",
        );
        check("key x {\nsecret SECRET;\n}", "in line 3 `;` is missing");
        check(
            "key x {\nsecret SECRET;\n};",
            "in line 3 `algorithm` is missing",
        );
        check(
            "key x { algorithm hmac-sha256; };",
            "in line 1 `secret` is missing",
        );
        check(
            "key x { algorithm hmac-sha256; secret \"\"; };",
            "in line 1 `secret` is missing",
        );
        check(
            "key x {\nalgorithm hmac-md5;\nsecret SECRET; };",
            "in line 2 the algorithm is none of hmac-sha256, hmac-sha384, hmac-sha512",
        );
        check(
            "key x {\nsecret \"SECRET!\"; };",
            "in line 2 the secret is not base64",
        );
        check(
            "key x..y {",
            "in line 1 the name of the key is no domain name",
        );
        check("key x { secret \"SECRET", "in line 1 the secret is missing");
    }

    #[test]
    fn a_key_does_not_show_its_secret() {
        let text = format!("key k {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};");
        let key = TsigKey::parse(text.as_bytes()).unwrap();
        assert_eq!(format!("{key:?}"), "TsigKey { name: \"k\", .. }");
    }
}
