//! Mail that goes to a provider no faster than it takes it.
//!
//! Owns whose mail that is, which the site file alone decides, and the words for it. Must not know
//! how a client is held back.

use crate::finding::Finding;
use crate::provider::Provider;
use crate::remedy::own_transport::is_paced;
use crate::remedy::{Case, gentle_pace};
use crate::template::TemplateError;

use super::{Judged, Target};

/// The word for it in explanations.
const ABOUT: &str = "Gentle pace";

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paced {
    /// The transport table is as the site file wishes.
    Done,
    /// Nothing was wished, or it does not fit.
    Not,
}

/// Decides.
///
/// # Errors
/// When a template of ours cannot be rendered.
pub(super) fn decide(
    target: &mut Target,
    case: &Case<'_>,
    judged: &Judged,
) -> Result<Paced, TemplateError> {
    let is_gentle = |provider: &&&Provider| case.site.is_gentle_to(&provider.id);
    let gentle: Vec<&Provider> = case.providers.iter().filter(is_gentle).copied().collect();
    let was_gentle = || {
        let services = case.facts.own.services();
        services.iter().any(|service| is_paced(service, None))
    };
    let routed: &[String] = match judged {
        Judged::All { routed } => routed,
        Judged::None => &[],
    };
    let is_judged = matches!(judged, Judged::All { .. });
    if gentle.is_empty() && (is_judged || !was_gentle()) {
        return Ok(Paced::Not);
    }
    let rest: Vec<&Provider> = gentle
        .iter()
        .filter(|provider| !routed.contains(&provider.id))
        .copied()
        .collect();
    let mut outcome = Vec::new();
    let mut more = Vec::new();
    if !rest.is_empty() || !is_judged {
        let case = Case {
            providers: &rest,
            ..*case
        };
        match gentle_pace::fit(&case, is_judged, &target.services)? {
            Ok(contribution) => {
                let (of_rest, reasons) = target.take(contribution, &case)?;
                outcome.push(of_rest);
                more = reasons;
            }
            Err(_) if gentle.is_empty() => return Ok(Paced::Not),
            Err(why) => {
                target.findings.push(unfit(&why));
                target.decide(ABOUT, "left out", vec![why]);
                return Ok(Paced::Not);
            }
        }
    }
    if gentle.is_empty() {
        return Ok(Paced::Done);
    }
    for provider in gentle.iter().filter(|one| routed.contains(&one.id)) {
        let mut all = target.routes.iter();
        if let Some(route) = all.find(|route| route.whose == provider.name) {
            outcome.push(format!(
                "`{}`, which keeps off IPv6, takes mail to {} too",
                route.service, provider.name
            ));
        }
    }
    let mut why = gentle_pace::reasons(&gentle, case.facts);
    why.extend(more);
    target.decide(ABOUT, &outcome.join("; "), why);
    Ok(Paced::Done)
}

fn unfit(why: &str) -> Finding {
    Finding::error(
        "pace-unfit",
        "mailfix.toml asks for `pace = \"gentle\"`, which does not fit",
    )
    .because(why)
    .mend("mend that, or take the key out")
}
