//! Remedies: one file each, saying when it fits, what it adds to the target and why.
//!
//! Must not know files, and a remedy does not know another: what several of them need stands
//! beside them ([`own_transport`], the jail, the interfaces).

pub mod address_preference;
pub(crate) mod chroot;
pub mod gentle_pace;
pub mod hosted_domains;
mod interfaces;
pub mod ipv4_only;
pub mod ipv4_transport;
pub mod mx_filter;
pub mod own_transport;
pub mod reply_filter;
pub mod reverse_dns;
pub mod source_address;
pub mod srs;

use camino::Utf8Path;

use crate::finding::Finding;
use crate::host::{Facts, REPLY_FILTER, REPLY_FILTER_FILE};
use crate::profile::Profile;
use crate::provider::Provider;
use crate::remedy::own_transport::Routed;
use crate::site::Site;
use crate::target::{ServiceWanted, Setting, TableWanted};
use crate::template::TemplateError;

/// What a remedy is fitted to.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    /// The receivers whose mail needs a cure.
    pub providers: &'a [&'a Provider],
    /// The operator's declaration.
    pub site: &'a Site,
    /// The kind of host.
    pub profile: &'a Profile,
    /// What is so on the host.
    pub facts: &'a Facts,
}

/// What a remedy adds, or why it does not fit; an error is a template of ours that is broken.
pub type Fit = Result<Result<Contribution, String>, TemplateError>;

/// The parameters that name tables of ours.
pub const CONTRIBUTED: [&str; 3] = ["transport_maps", "smtp_dns_reply_filter", REPLY_FILTER];

/// The tables of ours, by the names of their files.
pub const OWN_TABLES: [&str; 3] = [own_transport::FILE, mx_filter::FILE, REPLY_FILTER_FILE];

/// What a remedy adds to the target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contribution {
    /// Parameters of main.cf.
    pub settings: Vec<Setting>,
    /// Services of master.cf.
    pub services: Vec<ServiceWanted>,
    /// Tables of our own.
    pub tables: Vec<TableWanted>,
    /// Entries of the one transport table.
    pub routes: Vec<Routed>,
    /// What it does, in a phrase.
    pub outcome: String,
    /// Why so, a sentence each.
    pub reasons: Vec<String>,
    /// What it leaves alone.
    pub findings: Vec<Finding>,
}

impl Contribution {
    /// Takes the reasons and findings of what it was made with.
    #[must_use]
    pub fn with_reasons_of(mut self, other: Self) -> Self {
        self.reasons.push(other.outcome);
        self.reasons.extend(other.reasons);
        self.findings.extend(other.findings);
        self
    }
}

/// A table of ours as a parameter names it.
struct Named {
    /// Its type.
    kind: String,
    /// The item of the list, `type:path` or `proxy:type:path`.
    item: String,
}

/// How a parameter names a table of ours already: the administrator may have wrapped it in
/// `proxy:`, or the host may have got another default type since.
fn named(facts: &Facts, parameter: &str, path: &Utf8Path) -> Option<Named> {
    facts
        .parameters
        .list(parameter)
        .into_iter()
        .find_map(|item| {
            let kind = item.strip_suffix(path.as_str())?.strip_suffix(':')?;
            let kind = kind.strip_prefix("proxy:").unwrap_or(kind).to_owned();
            facts
                .table_types
                .contains(&kind)
                .then_some(Named { kind, item })
        })
}

#[cfg(test)]
pub(crate) mod shown {
    //! Targets and contributions as lines that a test can compare.

    use camino::Utf8Path;

    use super::{
        Case, Contribution, Facts, Finding, Fit, Profile, Provider, ServiceWanted, Setting, Site,
        TableWanted, own_transport,
    };
    use crate::target::Ensure;

    /// What a remedy adds for Google on such a host.
    pub(crate) fn fitted(
        fit: impl Fn(&Case<'_>) -> Fit,
        facts: &Facts,
    ) -> Result<Contribution, String> {
        fitted_for(fit, facts, "")
    }

    /// The same with more of the site file.
    pub(crate) fn fitted_for(
        fit: impl Fn(&Case<'_>) -> Fit,
        facts: &Facts,
        more: &str,
    ) -> Result<Contribution, String> {
        let providers = Provider::demanding();
        let google = providers.iter().find(|provider| provider.id == "google");
        let site = site(more);
        let case = Case {
            providers: &[google.unwrap()],
            site: &site,
            profile: &Profile::built_in("linux").unwrap(),
            facts,
        };
        let mut fitted = fit(&case).unwrap();
        if let Ok(contribution) = &mut fitted {
            let table = own_transport::table(&contribution.routes, case.profile, facts).unwrap();
            let (tables, settings): (Vec<_>, Vec<_>) = table.into_iter().unzip();
            contribution.tables.extend(tables);
            contribution.settings.extend(settings);
        }
        fitted
    }

    /// A site of one domain, with more of its file.
    pub(crate) fn site(more: &str) -> Site {
        let text = format!(
            "allow_non_global = true\n[server]\nhostname = \"mail.example.org\"\nipv4 = [\"192.0.2.25\"]\nipv6 = [\"2001:db8::25\"]\n[[domain]]\nname = \"example.org\"\n{more}"
        );
        Site::parse(text, Utf8Path::new("mailfix.toml")).unwrap()
    }

    /// Compares what a remedy adds for Google, or why it does not fit.
    #[track_caller]
    pub(crate) fn check(
        fit: impl Fn(&Case<'_>) -> Fit,
        facts: &Facts,
        expected: Result<&[&str], &str>,
    ) {
        let given = fitted(fit, facts).map(|fitted| {
            lines(
                &fitted.settings,
                &fitted.services,
                &fitted.tables,
                &fitted.findings,
            )
        });
        let expected = expected
            .map(|lines| lines.iter().map(ToString::to_string).collect())
            .map_err(ToOwned::to_owned);
        assert_eq!(given, expected);
    }

    /// A line each, blanks folded.
    pub(crate) fn lines(
        settings: &[Setting],
        services: &[ServiceWanted],
        tables: &[TableWanted],
        findings: &[Finding],
    ) -> Vec<String> {
        let settings = settings.iter().map(|setting| match setting {
            Setting::Is { name, value } => format!("{name} = {value}"),
            Setting::Has { name, item } => format!("{name} += {item}"),
            Setting::Lacks { name, item } => format!("{name} -= {item}"),
            Setting::Unset { name } => format!("{name} unset"),
        });
        let services = services.iter().map(|service| match &service.ensure {
            Ensure::Whole(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
            Ensure::Absent => format!("{} absent", service.name),
            Ensure::Words { chroot, options } => {
                format!("{}: chroot {chroot:?}, options {options:?}", service.name)
            }
        });
        let tables = tables.iter().map(|table| {
            let samples: Vec<String> = table
                .samples
                .iter()
                .map(|(key, value)| format!("{key} {value}"))
                .collect();
            format!("{}:{}: {}", table.kind, table.file, samples.join(", "))
        });
        let findings = findings
            .iter()
            .map(|finding| format!("{}: {}", finding.code, finding.title));
        settings
            .chain(services)
            .chain(tables)
            .chain(findings)
            .collect()
    }
}
