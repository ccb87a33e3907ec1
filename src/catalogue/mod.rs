//! The catalogue: all that is known of receivers and causes, ours and the administrator's own.
//!
//! Owns [`Catalogue`], and which of two files of one name counts: that of the folders
//! `providers` and `causes` beside the site file. Must not know what a reply is judged by.

#[cfg(test)]
mod tests;

use camino::Utf8Path;

use crate::cause::Cause;
use crate::data_file::{DataError, Faults};
use crate::finding::{Finding, escape};
use crate::provider::Provider;
use crate::system::{System, SystemError};

/// The folder of the administrator's own providers, beside the site file.
pub const PROVIDERS: &str = "providers";
/// The folder of the administrator's own causes, beside the site file.
pub const CAUSES: &str = "causes";

/// Words for what is no receiver that a file describes.
const RESERVED: [&str; 2] = ["other", "local"];

/// What is known of receivers and causes, by id and code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalogue {
    /// The receivers.
    pub providers: Vec<Provider>,
    /// The causes.
    pub causes: Vec<Cause>,
}

/// The administrator's own files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// One is wrong.
    #[error(transparent)]
    Data(#[from] DataError),
    /// One cannot be read.
    #[error(transparent)]
    System(#[from] SystemError),
}

impl Catalogue {
    /// Takes what mailfix brings.
    #[must_use]
    pub fn built_in() -> Self {
        Self {
            providers: Provider::known(),
            causes: Cause::all(),
        }
    }

    /// Takes what mailfix brings and, before it, what lies in the folders `providers` and
    /// `causes` of the directory the site file is in. A file there stands in for ours of that
    /// name, or adds one.
    ///
    /// # Errors
    /// When a file there is wrong or cannot be read.
    pub fn of(system: &dyn System, directory: &Utf8Path) -> Result<Self, CatalogueError> {
        let mut all = Self::built_in();
        if system.is_collected() {
            return Ok(all);
        }
        for (path, bytes) in files(system, &directory.join(CAUSES))? {
            let cause = Cause::parse(bytes, &path)?;
            put(&mut all.causes, cause, |cause| &cause.code);
        }
        let codes: Vec<&str> = all.causes.iter().map(|cause| cause.code.as_str()).collect();
        for (path, bytes) in files(system, &directory.join(PROVIDERS))? {
            let provider = Provider::parse_among(bytes, &path, &codes)?;
            put(&mut all.providers, provider, |provider| &provider.id);
        }
        Ok(all)
    }

    /// Finds a receiver by its id.
    #[must_use]
    pub fn provider(&self, id: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.id == id)
    }

    /// Finds a cause by its code.
    #[must_use]
    pub fn cause(&self, code: &str) -> Option<&Cause> {
        self.causes.iter().find(|cause| cause.code == code)
    }
}

/// Puts an entry in its place by its word, and takes out the one that had it.
fn put<T>(list: &mut Vec<T>, entry: T, word: fn(&T) -> &String) {
    match list.binary_search_by(|known| word(known).cmp(word(&entry))) {
        Ok(at) => {
            if let Some(known) = list.get_mut(at) {
                *known = entry;
            }
        }
        Err(at) => list.insert(at, entry),
    }
}

/// The TOML files of a folder and what is in them; none where there is no folder.
fn files(
    system: &dyn System,
    folder: &Utf8Path,
) -> Result<Vec<(camino::Utf8PathBuf, Vec<u8>)>, CatalogueError> {
    let mut found = Vec::new();
    for name in system.list(folder)? {
        // Hidden files are an editor's, and so are those with an end of their own.
        let Some(word) = name
            .strip_suffix(".toml")
            .filter(|_| !name.starts_with('.'))
        else {
            continue;
        };
        let path = folder.join(&name);
        if !is_word(word) || RESERVED.contains(&word) {
            return Err(CatalogueError::Data(bad_name(&path, word)));
        }
        if let Some(file) = system.read(&path)? {
            found.push((path, file.bytes));
        }
    }
    Ok(found)
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn bad_name(path: &Utf8Path, word: &str) -> DataError {
    let mut faults = Faults::new(path, "");
    let finding = if RESERVED.contains(&word) {
        Finding::error("bad-name", format!("`{word}` is no receiver's word"))
            .because("it stands for what no file describes")
    } else {
        Finding::error("bad-name", format!("`{}` is no word", escape(word)))
            .because("the file's name is letters in lower case, digits and `-`, such as `my-isp`")
    };
    faults.add(0..0, finding.mend("give the file another name"));
    faults
        .finish(())
        .expect_err("a fault was added just before")
}
