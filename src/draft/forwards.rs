//! What is forwarded to the outside, looked for where a plan is drafted.
//!
//! Owns when it is looked for, and which questions go to DNS. Must not know what follows from it.

use super::{Wish, sources};
use crate::dns::Resolver;
use crate::finding::Finding;
use crate::host::{self, Facts, Forwarding, Host};
use crate::remedy::srs;
use crate::site::Srs;
use crate::system::System;

/// Looks at what is forwarded to the outside, and asks DNS who receives it.
pub(super) fn find(system: &dyn System, resolver: &dyn Resolver, wish: &Wish<'_>, host: &mut Host) {
    let site = wish.site;
    let logs = &wish.profile.paths.logs;
    let mut forwarding =
        host::observe_forwarding(system, &host.facts, &mut host.files, logs, &site.domains);
    host::ask_receivers(resolver, &mut forwarding);
    if site.srs == Some(Srs::Postsrsd)
        && let Some(domain) = srs::domain(site, &forwarding)
    {
        let addresses = sources(site, &host.facts);
        let name = &site.server.hostname;
        forwarding.bounces = Some(host::ask_bounces(resolver, &domain, name, &addresses));
    }
    host.facts.forwarding = Some(forwarding);
}

/// Looks again after an apply: only what rewrites senders may have changed.
pub(super) fn find_again(system: &dyn System, host: &mut Host, before: &Facts) {
    if let Some(forwarding) = &before.forwarding {
        let installed = host::observe_rewriter(system, &host.facts, &mut host.files);
        host.facts.forwarding = Some(Forwarding {
            installed,
            ..forwarding.clone()
        });
    }
}

/// Tells that a program which rewrites senders is named in main.cf and does not answer.
#[must_use]
pub fn silent_rewriter(system: &dyn System, facts: &Facts) -> Option<Finding> {
    let installed = facts.forwarding.as_ref()?.installed.as_ref()?;
    let why = host::silence(system, facts, installed)?;
    let rewriter = &installed.rewriter;
    Some(
        Finding::error(
            "srs-silent",
            format!(
                "`sender_canonical_maps` names {}, which does not rewrite senders: {why}",
                rewriter.title
            ),
        )
        .because("while it does not answer, no mail is taken")
        .mend(format!(
            "`service {} restart`, and look into the log for what it says",
            rewriter.service
        )),
    )
}
