//! Lines that say something else than they seem to, in `main.cf` and `master.cf`.
//!
//! Owns how grave each oddity the parsers report is, and what to do about it.

use super::{Check, Document, Subject, faults, mend, trimmed};
use crate::finding::{Finding, escape};
use crate::postfix::{Problem, ProblemKind, Service, Version, parameter};

/// The first version whose programs refuse a `master.cf` they cannot parse before master reads it.
const CHECKS_MASTER_CF: Version = Version::new(2, 9, 0);

/// The first version that refuses a line beginning with `=`.
const REFUSES_NAMELESS: Version = Version::new(3, 0, 0);

pub(super) const CHECK: Check = Check {
    name: "syntax",
    about: "lines that Postfix refuses, ignores or reads differently from how they look",
    run,
};

fn run(subject: &Subject) -> Vec<Finding> {
    let main = subject.main;
    let master = subject.master;
    let in_main = main.parsed.problems().into_iter().filter_map(|problem| {
        let text = text_of(main, &problem);
        main_finding(subject, &problem, &text).map(|finding| finding.at(main.place(problem.span)))
    });
    let problems = master.parsed.problems();
    // A word whose brace is not closed has no `=` outside it either.
    let is_torn = |problem: &Problem| {
        problem.kind == ProblemKind::OverrideWithoutEquals
            && problems.iter().any(|other| {
                other.kind == ProblemKind::UnbalancedBrace
                    && problem.span.start <= other.span.start
                    && other.span.end <= problem.span.end
            })
    };
    let whole = problems.iter().filter(|problem| !is_torn(problem)).cloned();
    let in_master = whole.filter_map(|problem| {
        let text = text_of(master, &problem);
        master_finding(subject, &problem, &text)
            .map(|finding| finding.at(master.place(problem.span)))
    });
    in_main.chain(in_master).collect()
}

fn text_of<T>(document: &Document<T>, problem: &Problem) -> String {
    let span = trimmed(&document.bytes, problem.span.clone());
    let bytes = document.bytes.get(span).unwrap_or_default();
    escape(&String::from_utf8_lossy(bytes))
}

/// What a problem of `main.cf` means; `None` where it means nothing.
fn main_finding(subject: &Subject, problem: &Problem, text: &str) -> Option<Finding> {
    Some(match problem.kind {
        ProblemKind::MissingEquals => faults::no_setting().mend(
            "write `name = value`; begin the line with `#` if it is a comment, with a blank if it continues the line above",
        ),
        ProblemKind::MissingName if subject.version >= REFUSES_NAMELESS => {
            faults::no_setting().mend("write the parameter's name before the `=`")
        }
        ProblemKind::MissingName => Finding::warning("no-name", "a value without a name before the `=`")
            .because("Postfix 3 refuses the file for it")
            .mend("write the parameter's name before the `=`"),
        ProblemKind::Overridden => {
            let name = text.split(['=', ' ', '\t', '\r', '\n']).next().unwrap_or_default();
            let winner = subject
                .main
                .parsed
                .setting(name)
                .map(|setting| subject.main.place(setting.span).line);
            let finding = faults::overridden(name);
            match winner {
                Some(line) => finding.because(format!(
                    "the last one wins, on line {line}; this one does nothing"
                )),
                None => finding,
            }
        }
        ProblemKind::SwallowedSetting => {
            let name = text.split(['=', ' ', '\t']).next().unwrap_or_default();
            // `{ inet:…, name = value }` of a milter and the like are no settings.
            parameter::lookup(name)?;
            Finding::error(
                "swallowed-setting",
                format!("the setting of `{name}` is part of the value above it"),
            )
            .because(format!(
                "an indented line continues the line above, so `{name}` is not set and the value above has words it should not have"
            ))
            .mend("take away the blanks before it")
        }
        ProblemKind::CommentAfterText => trailing_comment(text),
        _ => return either_finding(problem, text),
    })
}

/// What a problem of `master.cf` means; `None` where it means nothing.
fn master_finding(subject: &Subject, problem: &Problem, text: &str) -> Option<Finding> {
    let refused = if subject.version >= CHECKS_MASTER_CF {
        "every program that reads master.cf refuses the whole file, and `postfix reload` does nothing"
    } else {
        "master stops at the next reload, and mail with it"
    };
    let bad_field = |title: String| Finding::error("bad-field", title).because(refused);
    Some(match problem.kind {
        ProblemKind::FieldCount => faults::bad_field_count(),
        ProblemKind::UnknownType => bad_field(format!("`{text}` is no type of service"))
            .mend("`inet`, `unix`, `fifo`, `pass` or, since Postfix 3.4, `unix-dgram`"),
        ProblemKind::BadBoolean => bad_field(format!("`{text}` stands where only `y`, `n` or `-` may"))
            .mend("write `y`, `n` or `-`"),
        ProblemKind::BadWakeup => bad_field(format!("`{text}` is no wakeup time"))
            .mend("write seconds, with a `?` after them if the service wakes only once it is used, or `-`"),
        ProblemKind::BadProcessLimit => bad_field(format!("`{text}` is no process limit"))
            .mend("write a number, `0` for no limit or `-` for `default_process_limit`"),
        ProblemKind::PrivateInet => Finding::error(
            "private-inet-service",
            "a service of type `inet` that is not marked public",
        )
        .because("master stops when it reads this, also at a reload that reported success")
        .mend("write `n` in the private field"),
        ProblemKind::SlashInName => Finding::error(
            "slash-in-service-name",
            format!("the service name `{text}` holds a `/`"),
        )
        .because("master looks for a directory of that name and stops, also at a reload that reported success")
        .mend("name it without `/`"),
        ProblemKind::SpacedOverride => Finding::error(
            "spaced-override",
            format!("`{text}`: blanks around the `=` of an `-o`"),
        )
        .because("only the first word belongs to `-o`; the service's process stops as it starts, and its mail is stuck")
        .mend({
            let write = "write `-o name=value`, or since Postfix 3.0 `-o { name = value }`";
            let is_of = |service: &&Service| service.span.contains(&problem.span.start);
            let service = subject.services().find(is_of);
            let command = service.and_then(|service| mend::join_overrides(subject, service));
            command.map_or(write.to_owned(), |command| format!("{write}: {command}"))
        }),
        ProblemKind::OverrideWithoutEquals => Finding::error(
            "override-without-value",
            format!("`{text}`: an `-o` without `name=value`"),
        )
        .because("the service's process stops as it starts")
        .mend("write `-o name=value`"),
        ProblemKind::OverrideAfterWords => Finding::warning(
            "override-after-words",
            format!("`{text}` stands after words that are no options"),
        )
        .because("options end at the first word that is none, so this one is not read as an option")
        .mend("move it before the other words"),
        ProblemKind::UnbalancedBrace => {
            Finding::error("unbalanced-brace", format!("`{text}`: a `{{` without its `}}`, or text after it"))
                .because("master stops when it reads this, also at a reload that reported success")
                .mend("close the `{`")
        }
        ProblemKind::DuplicateService => Finding::warning(
            "duplicate-service",
            format!("the service `{}` is defined more than once", service_key(text)),
        )
        .because("the last one wins, this one does nothing")
        .mend("keep one of them"),
        ProblemKind::SwallowedSetting => Finding::error(
            "swallowed-service",
            format!("the service `{}` is part of the one above it", service_key(text)),
        )
        .because("an indented line continues the line above: the service does not exist, and the one above has words it should not have")
        .mend("take away the blanks before it"),
        ProblemKind::CommentAfterText => trailing_comment(text),
        _ => return either_finding(problem, text),
    })
}

/// What a problem means in either file.
fn either_finding(problem: &Problem, text: &str) -> Option<Finding> {
    Some(match problem.kind {
        ProblemKind::LeadingBlank => Finding::error(
            "leading-blank",
            format!("`{text}` is indented, and there is nothing above it to continue"),
        )
        .because("Postfix leaves the line out")
        .mend("take away the blanks before it"),
        ProblemKind::ByteOrderMark => {
            Finding::error("byte-order-mark", "the file begins with a byte order mark")
                .because(
                    "Postfix takes it for part of the first word, so the first setting is lost",
                )
                .mend("save the file without byte order mark")
        }
        ProblemKind::NulByte => Finding::error("nul-byte", "a NUL byte")
            .because("Postfix does not see what follows it on the line")
            .mend("delete it"),
        ProblemKind::LoneCarriageReturn => {
            Finding::warning("lone-carriage-return", "a carriage return inside a line")
                .because("Postfix takes it for a blank, not for the end of a line")
        }
        ProblemKind::Backslash => Finding::warning("backslash", "a backslash at the end of a line")
            .because("Postfix does not continue lines that way: it is part of the value")
            .mend("delete it, and begin the next line with a blank if it belongs here"),
        ProblemKind::LostContinuation => Finding::warning(
            "lost-continuation",
            format!("`{text}` continues a setting that is commented out"),
        )
        .because(
            "comments do not end a value, so this line belongs to what stands above the comment",
        )
        .mend("comment this line out too, or take the `#` away from the line it belongs to"),
        _ => return None,
    })
}

fn trailing_comment(text: &str) -> Finding {
    Finding::warning(
        "trailing-comment",
        format!("`{text}` is part of the value, not a comment"),
    )
    .because("a comment in Postfix's files has a line of its own")
    .mend("move it to a line of its own")
}

/// `name/type` of a service line.
fn service_key(text: &str) -> String {
    let mut words = text.split_ascii_whitespace();
    let name = words.next().unwrap_or_default();
    match words.next() {
        Some(kind) => format!("{name}/{kind}"),
        None => name.to_owned(),
    }
}
