//! What receivers are to do with forged mail, and who takes their reports.
//!
//! Owns the policy of each domain: the site says what becomes of mail and where reports go; what
//! else stands in the record that is there stays, without what receivers ignore. Owns too who
//! has to agree to reports about another domain.
//! Follows RFC 9989; RFC 9990, 4.

use super::{Making, Needed, RecordRefused, Role, TTL};
use crate::dns::{Answer, Name, Record, RecordData, RecordType};
use crate::mail::dmarc::{Dmarc, Oddity, Policy, ReportUri};
use crate::site;

impl Making<'_> {
    /// The policy of a domain that sends, and the consent of those who get its reports.
    pub(super) fn dmarc(&mut self, domain: &Name) {
        let host = domain.host();
        let owner = Dmarc::owner(domain);
        let Some(owner) = self.place("DMARC", &host, owner) else {
            return;
        };
        let existing = match self.published_policy(&owner) {
            Ok(existing) => existing,
            Err(error) => {
                return self.refuse(RecordRefused::CouldNotAsk {
                    record: "DMARC",
                    domain: domain.clone(),
                    error,
                });
            }
        };
        let dmarc = self.policy(existing.clone());
        let weaker = existing.as_ref().and_then(|there| there.policy) > dmarc.policy;
        let why = match existing {
            Some(existing) if weaker => format!(
                "replaces the DMARC record of `{host}`: the site file asks for `p={}`, which is weaker than the `p={}` that stands there",
                dmarc.policy.unwrap_or(Policy::None),
                existing.policy.unwrap_or(Policy::None)
            ),
            Some(existing) if existing != dmarc => {
                format!("replaces the DMARC record of `{host}`, which says something else")
            }
            _ => format!("tells receivers what to do with forged mail of `{host}`"),
        };
        let text = dmarc.to_string();
        self.add(Role::Dmarc, owner, RecordData::Txt(text.into()), why);
        let reports = dmarc.aggregate_reports.iter().chain(&dmarc.failure_reports);
        for taker in reports.filter_map(ReportUri::mail_domain) {
            self.consent(domain, &taker);
        }
    }

    /// Nobody may send as a name that sends no mail.
    pub(super) fn silence(&mut self, domain: &Name) {
        let host = domain.host();
        let none = RecordData::Txt(b"v=spf1 -all".to_vec());
        let why = format!("no mail is sent as `{host}`");
        self.add(Role::Spf, domain.clone(), none, why);
        let owner = Dmarc::owner(domain);
        if let Some(owner) = self.place("DMARC", &host, owner) {
            // What stands there may speak of names below, and say where reports go.
            let mut refuse = match self.published_policy(&owner) {
                Ok(existing) => kept(existing),
                Err(error) => {
                    return self.refuse(RecordRefused::CouldNotAsk {
                        record: "DMARC",
                        domain: domain.clone(),
                        error,
                    });
                }
            };
            refuse.policy = Some(Policy::Reject);
            let data = RecordData::Txt(refuse.to_string().into());
            let why = format!("no mail is sent as `{host}`, so all of it is forged");
            self.add(Role::Dmarc, owner, data, why);
        }
    }

    /// The one policy that stands there and can be read.
    fn published_policy(&self, owner: &Name) -> Result<Option<Dmarc>, crate::dns::DnsError> {
        let answer = match self.resolver {
            Some(resolver) => resolver.lookup(owner, RecordType::Txt)?,
            None => Answer::NoData,
        };
        let mut found = answer.records().iter().filter_map(|record| {
            let RecordData::Txt(text) = &record.data else {
                return None;
            };
            let text = str::from_utf8(text).ok()?;
            text.trim_start()
                .starts_with("v=DMARC1")
                .then(|| Dmarc::parse(text).ok())?
        });
        // RFC 9989, 4.10: several records are none.
        let first = found.next();
        Ok(first.filter(|_| found.next().is_none()))
    }

    /// What the site says, put into what stands there.
    fn policy(&self, existing: Option<Dmarc>) -> Dmarc {
        let said = &self.site.dmarc;
        let mut dmarc = kept(existing);
        let wanted = said.policy.map(|policy| match policy {
            site::Policy::None => Policy::None,
            site::Policy::Quarantine => Policy::Quarantine,
            site::Policy::Reject => Policy::Reject,
        });
        // A policy that nobody asked to change is not weakened.
        dmarc.policy = wanted.or(dmarc.policy).or(Some(Policy::None));
        let reports = said.reports.iter().flat_map(|list| list.split(','));
        // The site file was refused if one could not be read.
        for place in reports.filter_map(|place| place.trim().parse::<ReportUri>().ok()) {
            if !dmarc.aggregate_reports.contains(&place) {
                dmarc.aggregate_reports.push(place);
            }
        }
        dmarc
    }

    /// Who gets reports about another domain has to say that they are wanted.
    fn consent(&mut self, domain: &Name, taker: &Name) {
        let mut zones = self.site.domains.iter().chain(&self.site.silent_domains);
        let zones: Vec<Name> = zones
            .by_ref()
            .filter_map(|zone| zone.parse().ok())
            .collect();
        // With one organizational domain above both nothing has to be said (RFC 9990, 4).
        let of_one = |zone: &Name| domain.is_subdomain_of(zone) && taker.is_subdomain_of(zone);
        if taker.is_subdomain_of(domain) || zones.iter().any(of_one) {
            return;
        }
        let host = domain.host();
        let owner = taker.below(&format!("{host}._report._dmarc"));
        let Some(owner) = self.place("DMARC report", &host, owner) else {
            return;
        };
        let data = RecordData::Txt(b"v=DMARC1".to_vec());
        let taker_host = taker.host();
        if zones.iter().any(|zone| taker.is_subdomain_of(zone)) {
            let why = format!("`{taker_host}` takes the DMARC reports about `{host}`");
            return self.add(Role::ReportsTaken, owner, data, why);
        }
        let record = Record {
            owner,
            ttl: TTL,
            data,
        };
        let why =
            format!("without it receivers send no DMARC reports about `{host}` to `{taker_host}`");
        if !self
            .records
            .elsewhere
            .iter()
            .any(|one| one.record == record)
        {
            let needed = Needed::new(Role::ReportsTaken, record, why);
            self.records.elsewhere.push(needed);
        }
    }
}

/// What stands there, without what receivers ignore.
fn kept(existing: Option<Dmarc>) -> Dmarc {
    let mut dmarc = existing.unwrap_or_default();
    let ignored: Vec<String> = dmarc
        .oddities()
        .into_iter()
        .filter_map(|oddity| match oddity {
            Oddity::Removed { tag } => Some(tag),
            _ => None,
        })
        .collect();
    dmarc.other.retain(|(tag, _)| !ignored.contains(tag));
    dmarc
}
