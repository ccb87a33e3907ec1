//! What a site file says of domains and servers together.
//!
//! Owns the rules that look at more than one value, so that no record that follows from a site
//! contradicts another: an address has one name, a name one set of words. Also those of mail
//! exchangers and of the places that reports about TLS go to.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::ops::Range;

use toml::Spanned;

use super::validate::{Judge, Verdict, domain_name, host_name, reports};
use super::{Exchange, MtaSts, OtherServer, Server, data};
use crate::finding::Finding;
use crate::mail::mta_sts::LONGEST_AGE;

/// How long senders keep a policy where nothing is said: a week, as RFC 8461, 3.2 advises.
const AGE: u32 = 604_800;

/// The domains of a site.
#[derive(Default)]
pub(super) struct Domains {
    pub senders: Vec<String>,
    pub silent: Vec<String>,
    pub exchanges: BTreeMap<String, Vec<Exchange>>,
}

/// Reads a mail exchanger, as zone text has it: `10 mail.example.org`.
///
/// # Errors
/// When it is none; the finding has no place yet.
pub fn exchange(text: &str) -> Verdict<Exchange> {
    let mut words = text.split_ascii_whitespace();
    let (Some(preference), Some(host), None) = (words.next(), words.next(), words.next()) else {
        let finding = Finding::error("bad-mx", format!("`{text}` is no mail exchanger"));
        return Err(Box::new(match host_name(text) {
            Ok(host) => finding.mend(format!("write `10 {host}`: a number, lower is tried first")),
            Err(_) => finding.because("a number and a host name, such as `10 mail.example.org`"),
        }));
    };
    let Ok(preference) = preference.parse::<u16>() else {
        let title = format!("`{preference}` is no number from 0 to 65535");
        return Err(Box::new(
            Finding::error("bad-mx", title).because("the number says which host is tried first"),
        ));
    };
    if host == "." {
        let finding = Finding::error("bad-mx", "`.` is no host name");
        return Err(Box::new(
            finding.mend("for a domain that takes no mail write `mx = []`"),
        ));
    }
    let host = host_name(host)?;
    Ok(Exchange { preference, host })
}

/// Validates where reports about TLS go: `mailto:` and `https:` places, separated by commas.
///
/// # Errors
/// When it is none; the finding has no place yet.
// RFC 8460, 3
pub fn tls_reports(text: &str) -> Verdict<String> {
    for place in text.split(',') {
        let place = place.trim();
        let Some(rest) = place.strip_prefix("https://") else {
            reports(place)?;
            continue;
        };
        let host = rest.split(['/', ':']).next().unwrap_or_default();
        let good = host_name(host).is_ok()
            && rest
                .bytes()
                .all(|b| b.is_ascii_graphic() && !b"!;\"\\".contains(&b));
        if !good {
            let finding =
                Finding::error("bad-address", format!("`{place}` is no place for reports"));
            return Err(Box::new(
                finding.because("reports go to `mailto:` or `https://`"),
            ));
        }
    }
    Ok(text.to_owned())
}

impl Judge<'_> {
    /// Refuses a name or an address that two servers have.
    pub(super) fn servers(
        &mut self,
        server: &Server,
        others: &[OtherServer],
        places: impl Iterator<Item = Range<usize>>,
    ) {
        let own = (&server.hostname, &server.ipv4, &server.ipv6);
        let others = others
            .iter()
            .map(|other| (&other.name, &other.ipv4, &other.ipv6));
        let mut names = Vec::new();
        let mut owners: HashMap<IpAddr, &String> = HashMap::new();
        for ((name, v4, v6), place) in std::iter::once(own).chain(others).zip(places) {
            // An empty name was refused where it stands.
            if !name.is_empty() && names.contains(&name) {
                self.faults.add(
                    place.clone(),
                    Finding::error("duplicate", format!("there are two servers `{name}`"))
                        .mend("give one of them its own name, or list all addresses in one place"),
                );
                continue;
            }
            names.push(name);
            let v4 = v4.iter().copied().map(IpAddr::V4);
            for address in v4.chain(v6.iter().copied().map(IpAddr::V6)) {
                if let Some(owner) = owners.insert(address, name) {
                    self.faults.add(
                        place.clone(),
                        Finding::error(
                            "duplicate",
                            format!("`{owner}` and `{name}` both have the address {address}"),
                        )
                        .because("an address has one PTR record, which gives one name")
                        .mend("take it away from one of the two"),
                    );
                }
            }
        }
    }

    /// Validates the domains, those that send and those that do not.
    pub(super) fn domains(
        &mut self,
        list: Vec<data::Domain>,
        end: usize,
        server: &Server,
        others: &[OtherServer],
    ) -> Domains {
        let mut domains = Domains::default();
        let is_server =
            |name: &String| *name == server.hostname || others.iter().any(|one| one.name == *name);
        let mut is_any_sender = false;
        for domain in list {
            is_any_sender |= domain.sends;
            let name = self.value(&domain.name, domain_name);
            let exchanges = domain.mx.map(|mx| (mx.span(), self.exchanges(mx)));
            let Some(name) = name else {
                continue;
            };
            if domains.senders.contains(&name) || domains.silent.contains(&name) {
                self.twice(&domain.name, "domain");
                continue;
            }
            if let Some((span, exchanges)) = exchanges {
                if exchanges.is_empty() && domain.sends {
                    self.faults.add(
                        span,
                        Finding::error(
                            "no-way-back",
                            format!("`{name}` sends mail and takes none"),
                        )
                        .because("receivers refuse mail that no bounce can come back to")
                        .mend("name its mail exchangers, or say `sends = false`"),
                    );
                }
                domains.exchanges.insert(name.clone(), exchanges);
            }
            if domain.sends {
                domains.senders.push(name);
            } else if is_server(&name) {
                self.faults.add(
                    domain.name.span(),
                    Finding::error("server-sends", format!("the server `{name}` sends mail"))
                        .because("its bounces are judged by the SPF record of this name")
                        .mend("take the domain out, or leave out `sends = false`"),
                );
            } else {
                domains.silent.push(name);
            }
        }
        if !is_any_sender {
            self.faults.add(
                end..end,
                Finding::error("no-domain", "no domain is named")
                    .because("what DNS must say depends on the domains that mail is sent for")
                    .mend("add `[[domain]]` and below it `name = \"example.org\"`"),
            );
        }
        domains
    }

    fn exchanges(&mut self, list: Spanned<Vec<Spanned<String>>>) -> Vec<Exchange> {
        let mut exchanges: Vec<Exchange> = Vec::new();
        for text in list.into_inner() {
            if let Some(one) = self.value(&text, exchange) {
                if exchanges.iter().any(|other| other.host == one.host) {
                    self.twice(&text, "mail exchanger");
                } else {
                    exchanges.push(one);
                }
            }
        }
        exchanges.sort();
        exchanges
    }

    pub(super) fn mta_sts(&mut self, policy: data::MtaSts) -> MtaSts {
        let max_age = policy.max_age.map_or(Some(AGE), |seconds| {
            let taken = u32::try_from(*seconds.get_ref()).ok();
            let taken = taken.filter(|seconds| (1..=LONGEST_AGE).contains(seconds));
            if taken.is_none() {
                let title = format!("a policy cannot be kept for {} seconds", seconds.get_ref());
                let finding = Finding::error("bad-age", title)
                    .because(format!("from 1 to {LONGEST_AGE} seconds; a week is {AGE}"));
                self.faults.add(seconds.span(), finding);
            }
            taken
        });
        MtaSts {
            mode: policy.mode,
            max_age: max_age.unwrap_or(AGE),
        }
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use crate::mail::mta_sts::Mode;
    use crate::site::{Exchange, Site};

    const WIDE: &str = r#"[server]
hostname = "web01.example.org"
shared_name = "mail.example.org"
ipv4 = ["8.8.4.4"]
[[other_server]]
name = "app01.example.org"
ipv4 = ["8.8.8.8"]
ipv6 = ["2001:470::8"]
[[domain]]
name = "example.org"
mx = ["20 backup.example.net", "10 Mail.example.org"]
[[domain]]
name = "www.example.org"
sends = false
mx = []
[tls_rpt]
reports = "mailto:tls@example.org,https://example.org/tls"
[mta_sts]
mode = "enforce"
max_age = 86400
"#;

    fn parse(text: &str) -> Result<Site, Vec<String>> {
        Site::parse(text, Utf8Path::new("mailfix.toml")).map_err(|error| {
            let shown = error.findings.iter().map(|finding| {
                let place = finding.place.as_ref().unwrap();
                let mut text = format!("{} [{}] {}", place.line, finding.code, finding.title);
                for more in [&finding.why, &finding.fix].into_iter().flatten() {
                    text.push_str("; ");
                    text.push_str(more);
                }
                text
            });
            shown.collect()
        })
    }

    #[track_caller]
    fn check(line: &str, by: &str, fault: &str) {
        assert!(WIDE.contains(line));
        assert_eq!(
            parse(&WIDE.replacen(line, by, 1)),
            Err(vec![fault.to_owned()])
        );
    }

    #[test]
    fn every_key_is_read() {
        let site = parse(WIDE).unwrap();
        assert_eq!(site.server.shared_name.as_deref(), Some("mail.example.org"));
        assert_eq!(site.domains, ["example.org"]);
        assert_eq!(site.silent_domains, ["www.example.org"]);
        let exchange = |preference, host: &str| Exchange {
            preference,
            host: host.to_owned(),
        };
        assert_eq!(
            site.exchanges["example.org"],
            [
                exchange(10, "mail.example.org"),
                exchange(20, "backup.example.net")
            ]
        );
        assert_eq!(site.exchanges["www.example.org"], []);
        assert_eq!(
            site.tls_reports.as_deref(),
            Some("mailto:tls@example.org,https://example.org/tls")
        );
        let policy = site.mta_sts.unwrap();
        assert_eq!((policy.mode, policy.max_age), (Mode::Enforce, 86400));
        let short = WIDE.replace("mode = \"enforce\"\nmax_age = 86400\n", "");
        let policy = parse(&short).unwrap().mta_sts.unwrap();
        assert_eq!((policy.mode, policy.max_age), (Mode::Testing, 604_800));
    }

    #[test]
    fn no_two_servers_have_a_name_or_an_address_in_common() {
        check(
            "app01.example.org",
            "Web01.example.org",
            "6 [duplicate] there are two servers `web01.example.org`; give one of them its own \
             name, or list all addresses in one place",
        );
        check(
            "\"8.8.8.8\"",
            "\"8.8.4.4\"",
            "6 [duplicate] `web01.example.org` and `app01.example.org` both have the address \
             8.8.4.4; an address has one PTR record, which gives one name; take it away from one \
             of the two",
        );
    }

    #[test]
    fn mail_exchangers_are_validated() {
        for (mx, fault) in [
            (
                "mail.example.org",
                "[bad-mx] `mail.example.org` is no mail exchanger; write `10 mail.example.org`: \
                 a number, lower is tried first",
            ),
            (
                "",
                "[bad-mx] `` is no mail exchanger; a number and a host name, such as \
                 `10 mail.example.org`",
            ),
            (
                "70000 mail.example.org",
                "[bad-mx] `70000` is no number from 0 to 65535; the number says which host is \
                 tried first",
            ),
            (
                "10 192.0.2.1",
                "[bad-name] `192.0.2.1` is an address, not a host name",
            ),
            (
                "0 .",
                "[bad-mx] `.` is no host name; for a domain that takes no mail write `mx = []`",
            ),
            (
                "30 mx.example.net",
                "[duplicate] the mail exchanger `30 mx.example.net` stands here a second time; \
                 remove one of the two",
            ),
        ] {
            check(
                "mx = [\"20 backup.example.net\"",
                &format!("mx = [\"10 mx.example.net\", {mx:?}"),
                &format!("11 {fault}"),
            );
        }
    }

    #[test]
    fn who_sends_takes_bounces_and_no_server_is_silent() {
        check(
            "mx = [\"20 backup.example.net\", \"10 Mail.example.org\"]",
            "mx = []",
            "11 [no-way-back] `example.org` sends mail and takes none; receivers refuse mail that \
             no bounce can come back to; name its mail exchangers, or say `sends = false`",
        );
        check(
            "www.example.org",
            "app01.example.org",
            "13 [server-sends] the server `app01.example.org` sends mail; its bounces are judged \
             by the SPF record of this name; take the domain out, or leave out `sends = false`",
        );
        check(
            "www.example.org",
            "example.org",
            "13 [duplicate] the domain `example.org` stands here a second time; remove one of the \
             two",
        );
        check(
            "name = \"example.org\"\n",
            "name = \"example.org\"\nsends = false\n",
            "22 [no-domain] no domain is named; what DNS must say depends on the domains that \
             mail is sent for; add `[[domain]]` and below it `name = \"example.org\"`",
        );
    }

    #[test]
    fn what_is_said_of_tls_is_validated() {
        for place in [
            "http://example.org",
            "tls@example.org",
            "https://a b",
            "https://x",
        ] {
            let text = WIDE.replace("mailto:tls@example.org", place);
            assert!(parse(&text).unwrap_err()[0].starts_with("17 [bad-address]"));
        }
        check(
            "max_age = 86400",
            "max_age = 99999999",
            "20 [bad-age] a policy cannot be kept for 99999999 seconds; from 1 to 31557600 \
             seconds; a week is 604800",
        );
        check(
            "mode = \"enforce\"",
            "mode = \"enforced\"",
            "19 [unknown-value] unknown value `enforced`; allowed here: `testing`, `enforce`, \
             `none`; did you mean `enforce`?",
        );
    }
}
