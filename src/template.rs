//! Templates of the texts we generate: fragments in Postfix's own syntax.
//!
//! Owns minijinja and the files under `templates/`. Undefined variables are errors.
//! Must not know what the variables mean; a fragment is read afterwards by the
//! same parser as the administrator's files.

use minijinja::{Environment, UndefinedBehavior, syntax::SyntaxConfig, value::Serde};
use serde::Serialize;

/// The templates that are built in, by file name.
pub use crate::embedded::TEMPLATES;

/// A template that could not be rendered.
#[derive(Debug, thiserror::Error)]
#[error("cannot render the template `{name}`: {source}")]
pub struct TemplateError {
    /// The template.
    pub name: String,
    /// Why, with its place.
    pub source: minijinja::Error,
}

/// Renders a built-in template.
///
/// # Errors
/// When there is no such template or a variable it names is not given.
pub fn render<V: Serialize>(name: &str, variables: &V) -> Result<String, TemplateError> {
    let fail = |source| TemplateError {
        name: name.to_owned(),
        source,
    };
    let environment = environment().map_err(fail)?;
    let template = environment.get_template(name).map_err(fail)?;
    template.render(Serde(variables)).map_err(fail)
}

fn environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_debug(true);
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build()?;
    environment.set_syntax(syntax);
    for (name, text) in TEMPLATES {
        environment.add_template(name, text)?;
    }
    Ok(environment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_built_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
        #[expect(
            clippy::disallowed_methods,
            reason = "a test that looks at the project's own files"
        )]
        let mut found: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        found.sort();
        let mut known: Vec<&str> = TEMPLATES.iter().map(|(name, _)| *name).collect();
        known.sort_unstable();
        assert_eq!(found, known);
    }

    #[test]
    fn a_missing_variable_is_an_error_that_names_the_template() {
        #[derive(Serialize)]
        struct Nothing {}
        let error = render("transport", &Nothing {}).unwrap_err();
        assert!(error.to_string().contains("`transport`"), "{error}");
    }

    #[test]
    fn all_templates_parse() {
        let environment = environment().unwrap();
        for (name, _) in TEMPLATES {
            assert!(
                !environment
                    .get_template(name)
                    .unwrap()
                    .undeclared_variables(true)
                    .is_empty()
            );
        }
    }
}
