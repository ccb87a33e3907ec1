//! What a domain says of TLS on the way to it: reports (TLS-RPT) and a policy (MTA-STS). Neither
//! need be there; a record that is there and wrong is worse than none.
//! Follows RFC 8460, 3; RFC 8461, 3.1.

use serde::Serialize;

use super::{Cell, Sender, State, mend, shown};
use crate::dns::{DnsError, Name, NameError, RecordData, RecordType, Resolver, addresses_of};
use crate::finding::Finding;
use crate::mail::TagError;
use crate::mail::mta_sts::MtaSts;
use crate::mail::tls_rpt::TlsRpt;

/// The two records.
#[derive(Clone, Debug, Serialize)]
pub struct Tls {
    /// Where reports go.
    pub tls_rpt: Cell,
    /// That there is a policy.
    pub mta_sts: Cell,
    #[serde(skip)]
    faults: Vec<Finding>,
}

/// A kind of record that a domain may have one of.
struct Kind {
    name: &'static str,
    /// What its text begins with: others at the name are passed over.
    version: &'static str,
    owner: fn(&Name) -> Result<Name, NameError>,
    fault: fn(&str) -> Option<TagError>,
    code: &'static str,
}

const TLS_RPT: Kind = Kind {
    name: "TLS-RPT",
    version: "v=TLSRPTv1",
    owner: TlsRpt::owner,
    fault: |text| TlsRpt::parse(text).err(),
    code: "tls-rpt-wrong",
};

const MTA_STS: Kind = Kind {
    name: "MTA-STS",
    version: "v=STSv1",
    owner: MtaSts::owner,
    fault: |text| MtaSts::parse(text).err(),
    code: "mta-sts-wrong",
};

/// Asks for both.
pub(super) fn look(resolver: &dyn Resolver, domain: &Name) -> Tls {
    let mut faults = Vec::new();
    let tls_rpt = record(resolver, domain, &TLS_RPT, &mut faults);
    let mut mta_sts = record(resolver, domain, &MTA_STS, &mut faults);
    if mta_sts.state == State::Right {
        mta_sts = policy_host(resolver, domain, &mut faults);
    }
    Tls {
        tls_rpt,
        mta_sts,
        faults,
    }
}

fn record(resolver: &dyn Resolver, domain: &Name, kind: &Kind, faults: &mut Vec<Finding>) -> Cell {
    let Ok(owner) = (kind.owner)(domain) else {
        return Cell::absent();
    };
    let (what, host) = (kind.name, domain.host());
    let answer = match resolver.lookup(&owner, RecordType::Txt) {
        Ok(answer) => answer,
        Err(error) => return unasked(&format!("the {what} record of `{host}`"), &error, faults),
    };
    let texts: Vec<String> = answer
        .records()
        .iter()
        .filter_map(|record| match &record.data {
            RecordData::Txt(text) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        })
        .filter(|text| text.trim_start().starts_with(kind.version))
        .collect();
    let (word, finding) = match texts.as_slice() {
        [] => return Cell::absent(),
        [text] => match (kind.fault)(text) {
            None => return Cell::new(State::Right, "yes"),
            Some(error) => (
                "wrong",
                Finding::error(
                    kind.code,
                    format!(
                        "the {what} record of `{host}` is wrong: {}",
                        shown(&error.to_string())
                    ),
                )
                .because(format!(
                    "it says `{}`, and senders pass it over",
                    shown(text)
                )),
            ),
        },
        several => (
            "several",
            Finding::error(
                kind.code,
                format!(
                    "`{host}` has {} {what} records, and only one may be",
                    several.len()
                ),
            )
            .because("senders then take none of them"),
        ),
    };
    faults.push(finding);
    Cell::new(State::Wrong, word)
}

/// The policy itself is fetched over HTTPS from a host of its own (RFC 8461, 3.3); here is only
/// asked whether there is such a host.
fn policy_host(resolver: &dyn Resolver, domain: &Name, faults: &mut Vec<Finding>) -> Cell {
    let Ok(host) = MtaSts::policy_host(domain) else {
        return Cell::absent();
    };
    let both = [false, true].map(|ipv6| addresses_of(resolver, &host, ipv6));
    if both
        .iter()
        .any(|led| led.as_ref().is_ok_and(|led| !led.is_empty()))
    {
        return Cell::new(State::Right, "yes");
    }
    let text = host.host();
    if let Some(error) = both.iter().find_map(|led| led.as_ref().err()) {
        return unasked(&format!("the address of `{text}`"), error, faults);
    }
    faults.push(
        Finding::error(
            "mta-sts-no-host",
            format!(
                "`{}` has an MTA-STS record, and there is no `{text}`",
                domain.host()
            ),
        )
        .because(
            "the policy is fetched from that host over HTTPS; without it the record says nothing",
        ),
    );
    Cell::new(State::Wrong, "no host")
}

fn unasked(what: &str, error: &DnsError, faults: &mut Vec<Finding>) -> Cell {
    faults.push(
        Finding::warning("dns-unasked", format!("{what} could not be asked for"))
            .because(error.to_string()),
    );
    Cell::unasked()
}

impl Tls {
    /// Adds what is wrong.
    pub(super) fn find(&self, sender: &Sender, findings: &mut Vec<Finding>) {
        for fault in &self.faults {
            let mut fault = fault.clone();
            if fault.code != "dns-unasked" {
                fault.fix = Some(mend::domain(sender));
            }
            findings.push(fault);
        }
    }
}
