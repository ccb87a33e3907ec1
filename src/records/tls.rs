//! What a domain says about encrypted mail to it.
//!
//! Owns where reports go, and the announcement of a policy. The policy itself stands on a web
//! server, which is the administrator's.
//! Follows RFC 8460; RFC 8461.

use super::{Making, Planned, RecordRefused, Role};
use crate::dns::{DnsError, Name, RecordData, RecordType, Resolver as _};
use crate::mail::mta_sts::{Mode, MtaSts, Policy};
use crate::mail::tls_rpt::TlsRpt;

impl Making<'_> {
    /// TLS-RPT and MTA-STS of a domain, where the site wishes them.
    pub(super) fn tls(&mut self, domain: &Name, planned: Option<&Planned<'_>>) {
        self.tls_reports(domain);
        self.mta_sts(domain, planned);
    }

    fn tls_reports(&mut self, domain: &Name) {
        let Some(places) = &self.site.tls_reports else {
            return;
        };
        let host = domain.host();
        let owner = TlsRpt::owner(domain);
        let Some(owner) = self.place("TLS-RPT", &host, owner) else {
            return;
        };
        let record = TlsRpt {
            // The site file was refused if one could not be read.
            reports: places
                .split(',')
                .filter_map(|place| place.trim().parse().ok())
                .collect(),
            other: Vec::new(),
        };
        let why = format!("others report there whether they could encrypt mail to `{host}`");
        let data = RecordData::Txt(record.to_string().into());
        self.add(Role::TlsReports, owner, data, why);
    }

    fn mta_sts(&mut self, domain: &Name, planned: Option<&Planned<'_>>) {
        let Some(wish) = &self.site.mta_sts else {
            return;
        };
        let host = domain.host();
        let owner = MtaSts::owner(domain);
        let Some(owner) = self.place("MTA-STS", &host, owner) else {
            return;
        };
        let hosts = match self.hosts(domain, planned) {
            _ if wish.mode == Mode::None => Vec::new(),
            Ok(hosts) if hosts.is_empty() => {
                let domain = domain.clone();
                return self.refuse(RecordRefused::NoExchange { domain });
            }
            Ok(hosts) => hosts,
            Err(error) => {
                return self.refuse(RecordRefused::CouldNotAsk {
                    record: "MTA-STS",
                    domain: domain.clone(),
                    error,
                });
            }
        };
        let policy = Policy {
            mode: wish.mode,
            hosts,
            max_age: wish.max_age,
        };
        let why = format!(
            "announces the policy that `https://{}/.well-known/mta-sts.txt` gives",
            MtaSts::policy_host(domain).map_or_else(|_| host.clone(), |name| name.host())
        );
        let data = RecordData::Txt(MtaSts::of(&policy).to_string().into());
        self.add(Role::MtaSts, owner, data, why);
        self.records.policies.push((domain.clone(), policy));
    }

    /// The hosts that take mail of a domain once all is published, in the order of their names.
    fn hosts(&self, domain: &Name, planned: Option<&Planned<'_>>) -> Result<Vec<String>, DnsError> {
        let mut hosts: Vec<String> = if let Some(planned) = planned {
            let answer = planned.lookup(domain, RecordType::Mx)?;
            let exchanges = answer
                .records()
                .iter()
                .filter_map(|record| match &record.data {
                    RecordData::Mx { exchange, .. } if !exchange.is_root() => Some(exchange.host()),
                    _ => None,
                });
            exchanges.collect()
        } else {
            let said = self.site.exchanges.get(&domain.host());
            said.into_iter()
                .flatten()
                .map(|one| one.host.clone())
                .collect()
        };
        hosts.sort();
        hosts.dedup();
        Ok(hosts)
    }
}
