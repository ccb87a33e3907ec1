//! What is odd about a service.

use std::ops::Range;

use super::{
    Argument, ArgumentKind, Field, Service, ServiceType, is_boolean, is_process_limit, is_wakeup,
};
use crate::postfix::ProblemKind;

/// Reports what is odd about a service.
pub(super) fn service_problems(
    service: &Service,
    text: &[u8],
    report: &mut impl FnMut(ProblemKind, Range<usize>),
) {
    if matches!(service.kind, ServiceType::Other(_)) {
        report(ProblemKind::UnknownType, service.field_span(Field::Type));
    }
    for field in [Field::Private, Field::Unprivileged, Field::Chroot] {
        if !is_boolean(service.field(field)) {
            report(ProblemKind::BadBoolean, service.field_span(field));
        }
    }
    if !is_wakeup(&service.wakeup) {
        report(ProblemKind::BadWakeup, service.field_span(Field::Wakeup));
    }
    if !is_process_limit(&service.process_limit) {
        report(
            ProblemKind::BadProcessLimit,
            service.field_span(Field::ProcessLimit),
        );
    }
    if service.kind == ServiceType::Inet && matches!(service.field(Field::Private), "-" | "y") {
        report(ProblemKind::PrivateInet, service.field_span(Field::Private));
    }
    if service.kind != ServiceType::Inet && service.name.contains('/') {
        report(ProblemKind::SlashInName, service.field_span(Field::Name));
    }
    if service.overridden {
        report(ProblemKind::DuplicateService, service.span.clone());
    }
    let starts_with_equals = |argument: &&Argument| matches!(&argument.kind, ArgumentKind::Word(word) if word.starts_with('='));
    let mut overrides_ended = false;
    for (index, argument) in service.arguments.iter().enumerate() {
        let rest = &service.arguments[index + 1..];
        match &argument.kind {
            ArgumentKind::BareOverride(_)
                if rest.first().is_some_and(|next| starts_with_equals(&next)) =>
            {
                let last = match &rest[0].kind {
                    ArgumentKind::Word(word) if word == "=" => rest.get(1).unwrap_or(&rest[0]),
                    _ => &rest[0],
                };
                report(
                    ProblemKind::SpacedOverride,
                    argument.span.start..last.span.end,
                );
            }
            ArgumentKind::BareOverride(_) => {
                report(ProblemKind::OverrideWithoutEquals, argument.span.clone());
            }
            ArgumentKind::Override { value, .. }
                if value.is_empty() && !service.runs_commands() && !overrides_ended =>
            {
                // `-o name= value`
                if let Some(Argument {
                    kind: ArgumentKind::Word(_),
                    span,
                    ..
                }) = rest.first()
                {
                    report(ProblemKind::SpacedOverride, argument.span.start..span.end);
                }
            }
            ArgumentKind::Word(word) if word == "-o" && !service.runs_commands() => {
                let end = rest.first().map_or(argument.span.end, |next| next.span.end);
                report(ProblemKind::OverrideAfterWords, argument.span.start..end);
            }
            ArgumentKind::Word(word) if !overrides_ended && word.starts_with('#') => {
                report(ProblemKind::CommentAfterText, argument.span.clone());
            }
            _ => {}
        }
        overrides_ended |= matches!(argument.kind, ArgumentKind::Word(_));
        let word = &text[argument.word.clone()];
        if word.starts_with(b"{") && closing_brace(word) != Some(word.len() - 1) {
            report(ProblemKind::UnbalancedBrace, argument.word.clone());
        }
    }
}

/// Gives where the brace that opens a word is closed.
fn closing_brace(word: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    word.iter().position(|byte| {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    })
}
