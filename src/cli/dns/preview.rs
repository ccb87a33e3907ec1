//! What `mailfix init` shows and takes from DNS: who is named there already, and the SPF record
//! that will be wanted beside the one that stands there.

use crate::cli::Session;
use crate::dns::{Name, RecordData, RecordType, Resolver};
use crate::mail::dmarc::Dmarc;
use crate::mail::spf::{Mechanism, Spf, spf_texts};
use crate::records::live::Live;
use crate::records::{RecordRefused, Role, records};
use crate::site::Site;
use crate::wizard::Published;

/// Looks up what of a domain need not be asked. What cannot be found out is left to the person.
pub fn published(resolver: &dyn Resolver, domain: &str) -> Published {
    let Ok(name) = domain.parse::<Name>() else {
        return Published::default();
    };
    let texts = resolver.lookup(&name, RecordType::Txt);
    let texts = texts.as_ref().map(spf_texts).unwrap_or_default();
    let includes = texts
        .iter()
        .filter_map(|text| Spf::parse(text).ok())
        .flat_map(|spf| {
            let includes = spf.directives().filter_map(|(_, directive)| {
                let Mechanism::Include(target) = &directive.mechanism else {
                    return None;
                };
                target.name().map(|name| name.host())
            });
            includes.collect::<Vec<_>>()
        })
        .collect();
    let policy = Dmarc::owner(&name).ok().and_then(|owner| {
        let answer = resolver.lookup(&owner, RecordType::Txt).ok()?;
        let mut found = answer
            .records()
            .iter()
            .filter_map(|record| match &record.data {
                RecordData::Txt(text) => Dmarc::parse(str::from_utf8(text).ok()?).ok(),
                _ => None,
            });
        found.next()?.policy
    });
    Published {
        includes,
        dmarc: policy.map(|policy| policy.to_string()),
    }
}

/// Shows the SPF record of each domain as it stands there and as it will be wanted.
pub fn preview(session: &mut Session, site: &Site, resolver: &dyn Resolver) {
    let made = records(site, &[], Some(resolver));
    let spf: Vec<_> = made
        .needed
        .into_iter()
        .filter(|one| one.role == Role::Spf)
        .filter(|one| site.domains.contains(&one.record.owner.host()))
        .collect();
    for needed in Live::ask(&spf, resolver).missing() {
        let text = |data: &RecordData| match data {
            RecordData::Txt(text) => String::from_utf8_lossy(text).into_owned(),
            _ => String::new(),
        };
        let host = needed.record.owner.host();
        session.ui.data("\n");
        session
            .ui
            .heading(&format!("SPF record of `{host}`: {}", needed.why));
        if needed.present.is_empty() {
            session.ui.point("now: ", "none");
        }
        for present in &needed.present {
            session.ui.point("now: ", &text(&present.data));
        }
        session.ui.point("then:", &text(&needed.record.data));
    }
    for refused in made.refused {
        if matches!(
            refused,
            RecordRefused::ExistingSpf { .. }
                | RecordRefused::SpfTooDear { .. }
                | RecordRefused::SpfFails { .. }
        ) {
            session.ui.say(&format!("warning: {refused}"));
            for hint in refused.hints() {
                session.ui.say(&format!("hint: {hint}"));
            }
        }
    }
}
