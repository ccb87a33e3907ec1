//! `mailfix dns spf`: the SPF record of a domain with all it leads to, and what it says.

use std::net::IpAddr;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::{Failure, FailureKind, Session, json};
use crate::dns::{Name, RecordType};
use crate::draft::silenced;
use crate::finding::{Finding, Severity, escape};
use crate::mail::spf::{self, Fault, Identity, Judgement, NotFlat, Status, Survey, Unconfirmed};
use crate::site::Site;

use super::Servers;
use super::servers::Asked;

/// Show the SPF record of a domain with all it leads to, and what it costs
///
/// Every branch is walked, each term with a lookup has the number that receivers count to there,
/// and what could be dropped is said. Without DOMAIN it is those of the site file. With --address
/// it judges one message as a receiver does. Exit status: 0 all right (with --address: pass), 1
/// something is wrong, 75 something could not be asked.
#[derive(Debug, Args)]
pub struct SpfCommand {
    /// The domain; the sending domains of the site file where none is given
    #[arg(value_name = "DOMAIN")]
    domain: Option<String>,
    /// Judge a message from this address instead
    #[arg(long, value_name = "IP", conflicts_with = "flatten")]
    address: Option<IpAddr>,
    /// The name the client gives in HELO [default: the domain]
    #[arg(long, value_name = "NAME", requires = "address")]
    helo: Option<String>,
    /// The sender in MAIL FROM; empty for a bounce [default: postmaster of the domain]
    #[arg(
        long,
        value_name = "ADDRESS",
        requires = "address",
        conflicts_with = "domain"
    )]
    sender: Option<String>,
    /// Print the record with addresses in place of names; it goes out of date, see its warning
    #[arg(long)]
    flatten: bool,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    servers: Servers,
}

impl SpfCommand {
    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        let asked = self.servers.begin(session)?;
        match self.address {
            Some(address) => self.judge(session, address),
            None if self.flatten => self.flatten(session),
            None => self.survey(session, &asked),
        }
    }

    /// The domains meant, and the site file where it names them.
    fn domains(&self, session: &mut Session) -> Result<(Vec<Name>, Option<Site>), Failure> {
        if let Some(text) = &self.domain {
            return Ok((vec![domain(text)?], None));
        }
        let (site, _) = session.site()?;
        let domains = site.domains.iter().map(|text| domain(text));
        Ok((domains.collect::<Result<_, _>>()?, Some(site)))
    }

    fn survey(&self, session: &mut Session, asked: &Asked) -> Result<u8, Failure> {
        let (domains, site) = self.domains(session)?;
        let resolver = session.resolver()?;
        let lookup = |name: &Name, kind: RecordType| resolver.lookup(name, kind);
        let (mut status, mut forms) = (0, Vec::new());
        for domain in &domains {
            let survey = spf::survey(domain, &lookup);
            let mut findings = survey.findings();
            if let Some(site) = &site {
                findings = silenced(site, findings);
            }
            status = worse(status, survey_status(&survey, &findings));
            if self.json {
                forms.push(survey_form(&survey, &findings));
            } else {
                session.ui.data(&format!("{survey}\n\n"));
                session.ui.findings(&findings);
            }
        }
        if self.json {
            session.ui.data(&json::text(&json::object("spf", &forms)));
        }
        // Where the zones' own servers were asked, they may not say the same.
        let differing = asked.findings(&domains);
        session.ui.remarks(&differing);
        if has_error(&differing) {
            status = FailureKind::Failed.status();
        }
        Ok(status)
    }

    fn judge(&self, session: &mut Session, address: IpAddr) -> Result<u8, Failure> {
        let identities: Vec<Identity> = match &self.sender {
            Some(sender) => {
                let helo = self.helo.clone().or_else(|| domain_of(sender));
                let helo = helo.ok_or_else(|| {
                    Failure::usage("a bounce is judged by the HELO name: give it with `--helo`")
                })?;
                vec![Identity::mail_from(address, &helo, sender)]
            }
            None => self
                .domains(session)?
                .0
                .iter()
                .map(|domain| {
                    let host = domain.host();
                    let helo = self.helo.as_deref().unwrap_or(&host);
                    Identity::mail_from(address, helo, &format!("postmaster@{host}"))
                })
                .collect(),
        };
        let resolver = session.resolver()?;
        let lookup = |name: &Name, kind: RecordType| resolver.lookup(name, kind);
        let (mut status, mut forms) = (0, Vec::new());
        for mut identity in identities {
            identity.time = session.now.as_second();
            let judgement = spf::check_host(&identity, &lookup);
            status = worse(status, judgement_status(judgement.status));
            if self.json {
                forms.push(judgement_form(&identity, &judgement));
            } else {
                show_judgement(session, &identity, &judgement);
            }
        }
        if self.json {
            session
                .ui
                .data(&json::text(&json::object("judgements", &forms)));
        }
        Ok(status)
    }

    fn flatten(&self, session: &mut Session) -> Result<u8, Failure> {
        let (domains, _) = self.domains(session)?;
        let [domain] = domains.as_slice() else {
            return Err(Failure::usage("one record is flattened at a time")
                .hint("name the domain: `mailfix dns spf DOMAIN --flatten`"));
        };
        let resolver = session.resolver()?;
        let lookup = |name: &Name, kind: RecordType| resolver.lookup(name, kind);
        let survey = spf::survey(domain, &lookup);
        let record = survey.flatten()?;
        let text = record.to_string();
        let risk = format!(
            "this is what the names lead to now. When a service changes its addresses, its mail \
             fails SPF until the record is made anew: run `mailfix dns spf {} --flatten` daily, \
             and publish what changed. A record that stays within {} lookups is better left as \
             it is.",
            domain.host(),
            spf::MAX_LOOKUPS
        );
        let long = record
            .oddities()
            .into_iter()
            .find(|oddity| matches!(oddity, spf::Oddity::Long { .. }));
        if self.json {
            let form = json!({
                "domain": domain.host(),
                "record": text,
                "bytes": text.len(),
                "fits": long.is_none(),
                "risk": risk,
            });
            session
                .ui
                .data(&json::text(&json::object("flattened", &form)));
        } else {
            session.ui.data(&format!("{text}\n"));
            let mut remarks = vec![Finding::warning("spf-flattened", risk)];
            if let Some(long) = &long {
                let remark = Finding::error("spf-long", long.to_string()).mend(
                    "drop services, or move some of them to a subdomain with a record of its own; \
                     nothing was split",
                );
                remarks.push(remark);
            }
            session.ui.remarks(&remarks);
        }
        Ok(match long {
            Some(_) => FailureKind::Failed.status(),
            None => 0,
        })
    }
}

fn domain(text: &str) -> Result<Name, Failure> {
    let name: Name = text
        .parse()
        .map_err(|error: crate::dns::NameError| Failure::usage(error.to_string()))?;
    if name.labels().count() < 2 {
        return Err(Failure::usage(format!(
            "`{}` is no domain that has an SPF record; it takes two labels at least",
            name.host()
        )));
    }
    Ok(name)
}

/// What stands behind the `@`.
fn domain_of(sender: &str) -> Option<String> {
    let domain = sender.rsplit_once('@').map_or(sender, |(_, domain)| domain);
    (!domain.is_empty()).then(|| domain.to_owned())
}

/// The worse of two exit statuses: what is wrong for certain counts most.
fn worse(a: u8, b: u8) -> u8 {
    let failed = FailureKind::Failed.status();
    if a == failed || b == failed {
        failed
    } else {
        a.max(b)
    }
}

fn has_error(findings: &[Finding]) -> bool {
    findings
        .iter()
        .any(|finding| finding.severity == Severity::Error)
}

fn survey_status(survey: &Survey, findings: &[Finding]) -> u8 {
    if has_error(findings) {
        FailureKind::Failed.status()
    } else if survey.unasked().is_some() {
        FailureKind::Unasked.status()
    } else {
        0
    }
}

fn judgement_status(status: Status) -> u8 {
    match status {
        Status::Pass => 0,
        Status::TempError => FailureKind::Unasked.status(),
        _ => FailureKind::Failed.status(),
    }
}

fn survey_form(survey: &Survey, findings: &[Finding]) -> Value {
    json!({
        "domain": survey.tree.domain.host(),
        "costs": survey.costs,
        "limits": {
            "lookups": spf::MAX_LOOKUPS,
            "void_ipv4": spf::MAX_VOID_LOOKUPS,
            "void_ipv6": spf::MAX_VOID_LOOKUPS,
        },
        "endless": survey.endless,
        "complete": survey.complete,
        "tree": survey.tree,
        "savings": survey.savings().iter().map(|saving| {
            let mut form = json!(saving);
            form["why"] = saving.waste.to_string().into();
            form
        }).collect::<Vec<_>>(),
        "findings": findings,
    })
}

fn judgement_form(identity: &Identity, judgement: &Judgement) -> Value {
    json!({
        "address": identity.address,
        "helo": identity.helo,
        "sender": identity.sender(),
        "status": judgement.status,
        "by": judgement.by.as_ref().map(|by| json!({ "domain": by.domain.host(), "term": by.term })),
        "why": judgement.why.as_ref().map(ToString::to_string),
        "explanation": judgement.explanation,
        "lookups": judgement.lookups,
        "void_lookups": judgement.void_lookups,
        "message_term": judgement.message_term.as_ref().map(ToString::to_string),
    })
}

fn show_judgement(session: &mut Session, identity: &Identity, judgement: &Judgement) {
    session.ui.heading(&format!(
        "{}: mail of {} from {}",
        judgement.status,
        escape(&identity.sender()),
        identity.address
    ));
    let mut point = |text: &str| session.ui.point("-", text);
    match (&judgement.why, &judgement.by) {
        (Some(why), _) => point(&why.to_string()),
        (None, Some(by)) => point(&format!(
            "by `{}` in the SPF record of `{}`",
            by.term,
            by.domain.host()
        )),
        (None, None) => point("no term of the record matches"),
    }
    if let Some(term) = &judgement.message_term {
        point(&format!("{term}: another message may fare otherwise"));
    }
    if let Some(explanation) = &judgement.explanation {
        point(&format!("the domain says: {explanation}"));
    }
    point(&format!(
        "{} of {} lookups, {} of {} that may find nothing",
        judgement.lookups,
        spf::MAX_LOOKUPS,
        judgement.void_lookups,
        spf::MAX_VOID_LOOKUPS
    ));
}

impl From<NotFlat> for Failure {
    fn from(error: NotFlat) -> Self {
        let kind = match &error {
            NotFlat::Fault(Fault::Unconfirmed(Unconfirmed::Lookup(_))) => FailureKind::Unasked,
            NotFlat::Wrong(_) => FailureKind::Bug,
            _ => FailureKind::Failed,
        };
        let failure = Self::new(kind, error.to_string());
        match error {
            NotFlat::Term { .. } => failure.hint(
                "keep the record as it is, or take the term out of it first if nobody needs it",
            ),
            NotFlat::Fault(_) if kind == FailureKind::Failed => {
                failure.hint("mend the record first: `mailfix dns spf` shows what is wrong with it")
            }
            _ => failure,
        }
    }
}
