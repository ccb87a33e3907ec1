//! The target: what should hold on the host.
//!
//! Owns the decision per provider, made of the site file, the profile, the
//! provider's demands and the facts, and the words that explain it.
//! Must not know files, the machine or the resolver: the same facts always give
//! the same target, so a second run changes nothing.

use std::collections::BTreeSet;
use std::net::IpAddr;

use camino::Utf8PathBuf;
use serde::Serialize;

use crate::address::Scope;
use crate::finding::Finding;
use crate::host::{Facts, Origin};
use crate::postfix::ServiceType;
use crate::postfix::table::index_suffixes;
use crate::profile::Profile;
use crate::provider::Provider;
use crate::remedy::{self, Case, Contribution};
use crate::site::{Control, Ipv6Wish, Site};
use crate::template::TemplateError;

/// What should hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Parameters of main.cf.
    pub settings: Vec<Setting>,
    /// Services of master.cf.
    pub services: Vec<ServiceWanted>,
    /// Tables of our own.
    pub tables: Vec<TableWanted>,
    /// What was decided, for whom and why.
    pub decisions: Vec<Decision>,
    /// What was noticed and left alone.
    pub findings: Vec<Finding>,
}

/// One parameter of main.cf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// It has just this value.
    Is {
        /// The parameter.
        name: String,
        /// The value.
        value: String,
    },
    /// The list it holds has this item.
    Has {
        /// The parameter.
        name: String,
        /// The item.
        item: String,
    },
    /// It is not set.
    Unset {
        /// The parameter.
        name: String,
    },
}

/// One service of master.cf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceWanted {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: ServiceType,
    /// What shall hold of it.
    pub ensure: Ensure,
}

/// What shall hold of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ensure {
    /// It is there as this text in the syntax of master.cf says.
    Whole(String),
    /// It is the administrator's, and only these of its words change.
    Words {
        /// The chroot letter.
        chroot: Option<char>,
        /// Options (`-o name=value`).
        options: Vec<(String, String)>,
    },
}

/// One table below our own folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableWanted {
    /// Its file, relative to our folder.
    pub file: String,
    /// Its type.
    pub kind: String,
    /// Its source.
    pub text: String,
    /// Keys to ask of it, with what they give.
    pub samples: Vec<(String, String)>,
}

impl TableWanted {
    /// Tells whether postmap(1) makes a database of its source.
    #[must_use]
    pub fn is_indexed(&self) -> bool {
        !index_suffixes(&self.kind).is_empty()
    }
}

/// What was decided about mail to one provider, or about all mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// The provider's name, `all mail`, or the name of a remedy.
    pub about: String,
    /// The outcome in a phrase.
    pub outcome: String,
    /// Why, a sentence each.
    pub why: Vec<String>,
}

/// Decides what should hold.
///
/// # Errors
/// When a template of ours cannot be rendered.
pub fn decide(
    site: &Site,
    profile: &Profile,
    providers: &[Provider],
    facts: &Facts,
) -> Result<Target, TemplateError> {
    let mut target = wanted(site, profile, providers, facts)?;
    // What is not wanted any more stays until it is taken back: a table of ours in main.cf
    // still sends mail its way, past a relay host too.
    let left: Vec<&str> = CONTRIBUTED
        .into_iter()
        .filter(|parameter| is_in_place(facts, parameter) && !target.names(parameter))
        .collect();
    if !left.is_empty() {
        let why = format!(
            "`{}` still names a table of an earlier apply, which works as before; `mailfix undo` takes it away",
            left.join("` and `")
        );
        target.decide("what mailfix set up", "left as it is", vec![why]);
    }
    Ok(target)
}

fn wanted(
    site: &Site,
    profile: &Profile,
    providers: &[Provider],
    facts: &Facts,
) -> Result<Target, TemplateError> {
    let mut target = Target::default();
    target.findings.extend(other_instances(facts));
    if let Some(why) = sent_elsewhere(facts) {
        target.decide("all mail", "nothing to change here", vec![why]);
        return Ok(target);
    }
    let strict: Vec<&Provider> = providers
        .iter()
        .filter(|provider| provider.demands.ipv6.is_some())
        .collect();
    let sources = match ipv6_sources(site, facts) {
        Ok(sources) => sources,
        Err(why) => {
            target.decide("all mail", "nothing to change", vec![why]);
            return Ok(target);
        }
    };
    let cured: Vec<&Provider> = strict
        .into_iter()
        .filter(|provider| needs_cure(site, provider, &sources, facts, &mut target))
        .collect();
    if cured.is_empty() {
        return Ok(target);
    }
    if !has_ipv4(site, facts) {
        target.findings.push(
            Finding::error("no-ipv4", "there is no IPv4 to send over instead")
                .because("`inet_protocols` leaves IPv4 out, or no IPv4 address is known")
                .mend("give the IPv6 addresses a PTR record that is confirmed forwards, and cover them in SPF"),
        );
        return Ok(target);
    }
    let case = Case {
        providers: &cured,
        site,
        profile,
        facts,
    };
    let filter = remedy::dns_filter::fit(&case)?;
    let filtered = filter.is_ok();
    let hosted = |provider: &Provider| {
        if filtered {
            Vec::new()
        } else {
            site.wish(&provider.id).hosted_domains
        }
    };
    let transport = remedy::ipv4_transport::fit(&case, hosted)?;
    let nothing_left = transport.is_err() && !filtered;
    target.findings.extend(unanswered(facts));
    for (name, outcome) in [("IPv4 transport", transport), ("DNS reply filter", filter)] {
        match outcome {
            Ok(contribution) => target.take(name, contribution),
            Err(why) => target.decide(name, "left out", vec![why]),
        }
    }
    if nothing_left {
        target.findings.push(
            Finding::error("no-cure", "none of the cures fits this configuration")
                .mend("give the IPv6 addresses a PTR record that is confirmed forwards, and cover them in SPF"),
        );
    }
    Ok(target)
}

impl Target {
    fn decide(&mut self, about: &str, outcome: &str, why: Vec<String>) {
        self.decisions.push(Decision {
            about: about.to_owned(),
            outcome: outcome.to_owned(),
            why,
        });
    }

    fn take(&mut self, name: &str, contribution: Contribution) {
        self.settings.extend(contribution.settings);
        self.services.extend(contribution.services);
        self.tables.extend(contribution.tables);
        self.findings.extend(contribution.findings);
        self.decide(name, &contribution.outcome, contribution.reasons);
    }

    /// Tells whether a table of ours is wanted there.
    fn names(&self, parameter: &str) -> bool {
        self.settings
            .iter()
            .any(|setting| matches!(setting, Setting::Has { name, .. } if name == parameter))
    }

    /// Tells whether nothing has to hold that mailfix would bring.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty() && self.services.is_empty() && self.tables.is_empty()
    }
}

/// Names the other instances: mail that leaves through one of them is not looked at here.
fn other_instances(facts: &Facts) -> Option<Finding> {
    let others: Vec<String> = facts
        .instances
        .iter()
        .filter(|instance| **instance != facts.config)
        .map(|instance| format!("`{instance}`"))
        .collect();
    (!others.is_empty()).then(|| {
        Finding::note(
            "other-instances",
            format!("Postfix has more instances: {}", others.join(", ")),
        )
        .because(format!(
            "all this is about `{}` alone; mail that leaves through another instance leaves as it did",
            facts.config
        ))
        .mend("run mailfix with a profile of your own for each instance that sends to the outside")
    })
}

/// Says why mail does not leave from here to the receivers themselves, if it does not.
fn sent_elsewhere(facts: &Facts) -> Option<String> {
    let relayhost = facts.parameters.get("relayhost");
    if !relayhost.is_empty() {
        return Some(format!(
            "`relayhost = {relayhost}` hands all mail to that host: what receivers see is its address, and the cure belongs there"
        ));
    }
    let default = facts.parameters.get("default_transport");
    let (transport, nexthop) = default.split_once(':').unwrap_or((&default, ""));
    if transport == "error" || transport == "retry" || transport == "discard" {
        return Some(format!(
            "`default_transport = {default}` sends nothing to the outside"
        ));
    }
    if !nexthop.is_empty() {
        return Some(format!(
            "`default_transport = {default}` hands all mail to that host: the cure belongs there"
        ));
    }
    let rest = facts.routes.rest.as_ref()?;
    let (transport, nexthop) = rest.value.split_once(':').unwrap_or((&rest.value, ""));
    if !nexthop.is_empty() || matches!(transport, "error" | "retry" | "discard") {
        return Some(format!(
            "`{}` sends all other mail to `{}`: the cure belongs on that host",
            rest.table, rest.value
        ));
    }
    None
}

/// Tables of the administrator's that say where mail goes and gave no answer.
fn unanswered(facts: &Facts) -> Vec<Finding> {
    let unanswered = &facts.routes.unanswered;
    let finding = |(table, said): &(String, String)| {
        Finding::warning(
            "table-unanswered",
            format!("`{table}` could not be asked: {said}"),
        )
        .because("where it has an entry for one of these domains, that entry wins over ours")
    };
    unanswered.iter().map(finding).collect()
}

/// The parameters that name tables of ours.
const CONTRIBUTED: [&str; 2] = ["transport_maps", "smtp_dns_reply_filter"];

/// Tells whether main.cf names a table of ours there.
fn is_in_place(facts: &Facts, parameter: &str) -> bool {
    let own = format!(":{}/", facts.own_folder());
    facts.parameters.get(parameter).contains(&own)
}

/// The IPv6 addresses mail can leave from, or why it cannot leave over IPv6.
///
/// # Errors
/// With the reason, when IPv6 is out of use.
pub fn ipv6_sources(site: &Site, facts: &Facts) -> Result<BTreeSet<IpAddr>, String> {
    // An option of the service wins over main.cf, in both directions (master(5)).
    let own = facts.of_client("inet_protocols");
    if !protocols(&own).contains("ipv6") {
        let has_option = facts
            .client()
            .is_some_and(|client| client.option("inet_protocols").is_some());
        return Err(if has_option {
            format!(
                "the `{}` service has `-o inet_protocols={own}`: mail goes over IPv4 only",
                facts.default_transport()
            )
        } else {
            "`inet_protocols` leaves IPv6 out: mail goes over IPv4 only".to_owned()
        });
    }
    let bound = facts.of_client("smtp_bind_address6");
    if let Ok(address) = bound.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok(BTreeSet::from([address]));
    }
    let listed = site.server.ipv6.iter().map(|&address| IpAddr::V6(address));
    let found = facts.addresses.iter().copied().filter(|address| {
        address.is_ipv6() && (site.allow_non_global || Scope::of(*address).is_global())
    });
    let sources: BTreeSet<IpAddr> = listed.chain(found).collect();
    if sources.is_empty() {
        return Err("this host has no IPv6 address: mail goes over IPv4 only".to_owned());
    }
    Ok(sources)
}

fn protocols(value: &str) -> BTreeSet<&str> {
    let mut protocols: BTreeSet<&str> = value
        .split([',', ' ', '\t'])
        .filter(|word| !word.is_empty())
        .collect();
    if protocols.contains("all") {
        protocols.extend(["ipv4", "ipv6"]);
    }
    protocols
}

fn has_ipv4(site: &Site, facts: &Facts) -> bool {
    let name = "inet_protocols";
    let usable = [facts.parameters.get(name), facts.of_client(name)]
        .iter()
        .any(|value| protocols(value).contains("ipv4"));
    usable && (!site.server.ipv4.is_empty() || facts.addresses.iter().any(IpAddr::is_ipv4))
}

fn needs_cure(
    site: &Site,
    provider: &Provider,
    sources: &BTreeSet<IpAddr>,
    facts: &Facts,
    target: &mut Target,
) -> bool {
    let Some(demand) = &provider.demands.ipv6 else {
        return false;
    };
    match site.wish(&provider.id).ipv6 {
        Ipv6Wish::Keep => {
            let why = format!("mailfix.toml says `ipv6 = \"keep\"` for {}", provider.id);
            target.decide(&provider.name, "keep IPv6", vec![why]);
            return false;
        }
        Ipv6Wish::Avoid => {
            let why = format!("mailfix.toml says `ipv6 = \"avoid\"` for {}", provider.id);
            target.decide(&provider.name, "send over IPv4 only", vec![why]);
            return true;
        }
        Ipv6Wish::Auto => {}
    }
    let mut why = Vec::new();
    let mut doubtful = BTreeSet::new();
    for &address in sources {
        let objections = facts
            .dns
            .objections(address, demand.ptr, demand.authentication);
        if !objections.is_empty() {
            doubtful.insert(address);
        }
        why.extend(objections);
    }
    if doubtful.is_empty() {
        let list: Vec<String> = sources.iter().map(ToString::to_string).collect();
        let why = format!(
            "PTR and SPF are right for every IPv6 address mail leaves from: {}",
            list.join(", ")
        );
        target.decide(&provider.name, "keep IPv6", vec![why]);
        return false;
    }
    why.push(demand.why.clone());
    why.push(outlook(site, &doubtful, facts));
    target.decide(
        &provider.name,
        "send over IPv4 only, keep IPv6 for all others",
        why,
    );
    true
}

/// Says what would make the cure unnecessary, or that nothing will.
fn outlook(site: &Site, addresses: &BTreeSet<IpAddr>, facts: &Facts) -> String {
    let without_ptr = addresses
        .iter()
        .filter(|&&address| !facts.dns.objections(address, true, false).is_empty());
    let controls: Vec<Control> = without_ptr
        .map(|&address| site.reverse_control(address))
        .collect();
    let again = match facts.origin {
        Origin::Stock => "",
        Origin::Machine | Origin::Tree => "; then run `mailfix plan` again",
    };
    if controls.contains(&Control::None) {
        "nobody here can set that PTR record (`reverse6 = \"none\"`), so IPv4 is the way to stay"
            .to_owned()
    } else if controls.contains(&Control::Provider) {
        format!(
            "ask the provider of the address for the PTR record that `mailfix dns show` prints{again}"
        )
    } else {
        format!("publish the records that `mailfix dns show` prints{again}")
    }
}

/// The path of a table's source.
#[must_use]
pub fn table_path(facts: &Facts, table: &TableWanted) -> Utf8PathBuf {
    facts.own_folder().join(&table.file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::example;
    use crate::remedy::shown;
    use camino::Utf8Path;

    /// All is right with `::25`; `::26` has no PTR, `::27` an unconfirmed one, `::28` fails.
    const ZONE: &str = "\
5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 60 IN PTR mail.example.org.
7.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 60 IN PTR mail.example.org.
$SERVFAIL 8.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.
mail.example.org. 60 IN AAAA 2001:db8::25
example.org. 60 IN TXT \"v=spf1 ip6:2001:db8::/64 -all\"
narrow.example. 60 IN TXT \"v=spf1 ip6:2001:db8::26 -all\"
twice.example. 60 IN TXT \"v=spf1 -all\"
twice.example. 60 IN TXT \"v=spf1 mx -all\"
none.example. 60 IN TXT \"hello\"
";

    /// What differs from a stock host with one IPv6 address that is all right.
    #[derive(Clone, Copy)]
    struct Given {
        version: &'static str,
        main: &'static str,
        master: &'static str,
        ipv4: &'static [&'static str],
        ipv6: &'static [&'static str],
        /// What the interfaces have beyond that.
        found: &'static [&'static str],
        domains: &'static [&'static str],
        /// More of the site file.
        site: &'static str,
        /// What `*` gives in a table of the administrator's.
        rest: &'static str,
    }

    const RIGHT: Given = Given {
        version: "3.7.11",
        main: "",
        master: "",
        ipv4: &["192.0.2.25"],
        ipv6: &["2001:db8::25"],
        found: &[],
        domains: &["example.org"],
        site: "",
        rest: "",
    };

    /// The same with an address that has no PTR.
    const NO_PTR: Given = Given {
        ipv6: &["2001:db8::26"],
        ..RIGHT
    };

    const KEPT: &str = "Google: keep IPv6";
    const CURED: &str = "Google: send over IPv4 only, keep IPv6 for all others";

    fn site(given: &Given) -> Site {
        let domains: Vec<String> = given
            .domains
            .iter()
            .map(|name| format!("[[domain]]\nname = \"{name}\"\n"))
            .collect();
        let domains = domains.concat();
        let text = format!(
            "allow_non_global = true\n[server]\nhostname = \"mail.example.org\"\nipv4 = {:?}\nipv6 = {:?}\n{domains}{}",
            given.ipv4, given.ipv6, given.site
        );
        Site::parse(text, Utf8Path::new("mailfix.toml")).unwrap()
    }

    fn facts(given: &Given) -> Facts {
        let mut facts = example::host(given.version, given.main, given.master).facts;
        let addresses = [given.ipv6, given.found].concat();
        facts.dns = example::dns(ZONE, &addresses, given.domains);
        facts.addresses = given
            .found
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        if !given.rest.is_empty() {
            facts.routes.rest = Some(crate::host::Route {
                table: "hash:/etc/postfix/transport".to_owned(),
                key: "*".to_owned(),
                value: given.rest.to_owned(),
            });
        }
        facts
    }

    fn decided(given: &Given) -> Target {
        let profile = Profile::built_in("linux").unwrap();
        decide(&site(given), &profile, &Provider::all(), &facts(given)).unwrap()
    }

    /// The first decision, and the reasons for it that are the test's business.
    #[track_caller]
    fn check(given: Given, outcome: &str, why: &[&str]) {
        let target = decided(&given);
        let first = &target.decisions[0];
        assert_eq!(format!("{}: {}", first.about, first.outcome), outcome);
        for (given, expected) in first.why.iter().zip(why) {
            assert_eq!(given, expected);
        }
        assert!(first.why.len() >= why.len(), "{:?}", first.why);
        // Only a decision for IPv4 brings anything.
        let cured = outcome.contains("send over IPv4 only");
        assert_eq!(target.is_empty(), !cured, "{target:?}");
    }

    #[test]
    fn mail_sent_elsewhere_is_none_of_our_business() {
        let check = |main, rest, why: &str| {
            let given = Given {
                main,
                rest,
                ..NO_PTR
            };
            check(given, "all mail: nothing to change here", &[why]);
        };
        check(
            "relayhost = [smart.example]",
            "",
            "`relayhost = [smart.example]` hands all mail to that host: what receivers see is its address, and the cure belongs there",
        );
        for (main, shown) in [
            ("default_transport = error:no", "error:no"),
            ("default_transport = retry", "retry"),
            ("default_transport = discard:", "discard:"),
        ] {
            check(
                main,
                "",
                &format!("`default_transport = {shown}` sends nothing to the outside"),
            );
        }
        check(
            "default_transport = smtp:[smart.example]",
            "",
            "`default_transport = smtp:[smart.example]` hands all mail to that host: the cure belongs there",
        );
        for rest in [
            "smtp:[smart.example]",
            ":[smart.example]",
            "error:no",
            "discard:",
        ] {
            check(
                "",
                rest,
                &format!(
                    "`hash:/etc/postfix/transport` sends all other mail to `{rest}`: the cure belongs on that host"
                ),
            );
        }
    }

    #[test]
    fn a_cure_that_is_not_wanted_any_more_is_named() {
        let ours = "transport_maps = hash:/etc/postfix/mailfix/transport";
        let left = |main: &str| {
            let given = NO_PTR;
            let mut facts = facts(&given);
            for line in main.lines().chain([ours]) {
                let (name, value) = line.split_once(" = ").unwrap();
                facts.parameters.set(name, value);
            }
            let profile = Profile::built_in("linux").unwrap();
            let target = decide(&site(&given), &profile, &Provider::all(), &facts).unwrap();
            let last = target.decisions.last().unwrap().clone();
            last.about == "what mailfix set up" && last.why[0].contains("`transport_maps` still")
        };
        assert!(!left(""));
        assert!(left("relayhost = [smart.example]"));
        assert!(left("inet_protocols = ipv4"));
        assert!(left("content_filter = scan:[127.0.0.1]:10024"));
    }

    #[test]
    fn ways_that_lead_to_the_receivers_are_looked_at() {
        for (main, rest) in [
            ("relayhost =", ""),
            ("default_transport = smtp:", ""),
            ("", ":"),
            ("", "smtp:"),
            ("", "smtp"),
        ] {
            let given = Given {
                main,
                rest,
                ..NO_PTR
            };
            check(given, CURED, &["2001:db8::26 has no PTR record"]);
        }
    }

    #[test]
    fn without_ipv6_there_is_nothing_to_change() {
        let check = |main, master, why: &str| {
            let given = Given {
                main,
                master,
                ..NO_PTR
            };
            check(given, "all mail: nothing to change", &[why]);
        };
        let left_out = "`inet_protocols` leaves IPv6 out: mail goes over IPv4 only";
        check("inet_protocols = ipv4", "", left_out);
        check("own = ipv4\ninet_protocols = $own", "", left_out);
        let option = "the `smtp` service has `-o inet_protocols=ipv4`: mail goes over IPv4 only";
        let master = "smtp unix - - n - - smtp\n -o inet_protocols=ipv4";
        check("", master, option);
        check("inet_protocols = all", master, option);
        let master = "smtp unix - - n - - smtp\n -o inet_protocols=$own";
        check("own = ipv4", master, option);
        let none = Given { ipv6: &[], ..RIGHT };
        self::check(
            none,
            "all mail: nothing to change",
            &["this host has no IPv6 address: mail goes over IPv4 only"],
        );
    }

    #[test]
    fn with_ipv6_there_may_be() {
        for (main, master) in [
            ("inet_protocols = all", ""),
            ("inet_protocols = ipv6, ipv4", ""),
            ("inet_protocols = ipv4 ipv6", ""),
            // The option wins over main.cf.
            (
                "inet_protocols = all",
                "smtp unix - - n - - smtp\n -o inet_protocols=ipv6",
            ),
        ] {
            let given = Given {
                main,
                master,
                ..NO_PTR
            };
            check(given, CURED, &["2001:db8::26 has no PTR record"]);
        }
        let option = Given {
            main: "inet_protocols = ipv4",
            master: "smtp unix - - n - - smtp\n -o inet_protocols=all",
            ..NO_PTR
        };
        assert_eq!(
            ipv6_sources(&site(&option), &facts(&option)).unwrap().len(),
            1
        );
    }

    #[test]
    fn without_ipv4_there_is_no_cure() {
        for given in [
            Given {
                main: "inet_protocols = ipv6",
                ..NO_PTR
            },
            Given {
                ipv4: &[],
                ..NO_PTR
            },
        ] {
            let target = decided(&given);
            assert!(target.is_empty());
            assert_eq!(target.findings[0].code, "no-ipv4");
        }
        let option = Given {
            main: "inet_protocols = ipv6",
            master: "smtp unix - - n - - smtp\n -o inet_protocols=all",
            ..NO_PTR
        };
        assert!(!decided(&option).is_empty());
        let found = Given {
            ipv4: &[],
            found: &["192.0.2.25"],
            ..NO_PTR
        };
        assert!(!decided(&found).is_empty());
    }

    #[test]
    fn an_address_bound_to_is_the_only_source() {
        let check_sources = |main, master, expected: &[&str]| {
            let given = Given {
                main,
                master,
                found: &["2001:db8::27", "192.0.2.25"],
                ..RIGHT
            };
            let sources = ipv6_sources(&site(&given), &facts(&given)).unwrap();
            let sources: Vec<String> = sources.iter().map(ToString::to_string).collect();
            assert_eq!(sources, expected);
        };
        check_sources("", "", &["2001:db8::25", "2001:db8::27"]);
        check_sources(
            "smtp_bind_address6 =",
            "",
            &["2001:db8::25", "2001:db8::27"],
        );
        check_sources("smtp_bind_address6 = 2001:db8::9", "", &["2001:db8::9"]);
        check_sources("smtp_bind_address6 = [2001:db8::9]", "", &["2001:db8::9"]);
        let master = "smtp unix - - n - - smtp\n -o smtp_bind_address6=[2001:db8::8]";
        check_sources("", master, &["2001:db8::8"]);
        check_sources("smtp_bind_address6 = 2001:db8::9", master, &["2001:db8::8"]);
    }

    #[test]
    fn only_addresses_that_the_world_can_reach_count() {
        let given = Given {
            found: &["fe80::1", "fd00::1", "::1", "2a00:1450::1", "2001:db8::27"],
            ..RIGHT
        };
        let mut strict = site(&given);
        strict.allow_non_global = false;
        let sources = ipv6_sources(&strict, &facts(&given)).unwrap();
        let sources: Vec<String> = sources.iter().map(ToString::to_string).collect();
        assert_eq!(sources, ["2001:db8::25", "2a00:1450::1"]);
    }

    #[test]
    fn wishes_decide_whatever_dns_says() {
        let wish = |given: Given, site| Given { site, ..given };
        let keep = "[providers.google]\nipv6 = \"keep\"";
        let avoid = "[providers.google]\nipv6 = \"avoid\"";
        let auto = "[providers.google]\nipv6 = \"auto\"";
        for given in [RIGHT, NO_PTR] {
            check(
                wish(given, keep),
                KEPT,
                &["mailfix.toml says `ipv6 = \"keep\"` for google"],
            );
            check(
                wish(given, avoid),
                "Google: send over IPv4 only",
                &["mailfix.toml says `ipv6 = \"avoid\"` for google"],
            );
        }
        check(wish(RIGHT, auto), KEPT, &[]);
        check(wish(NO_PTR, auto), CURED, &[]);
    }

    #[test]
    fn every_address_must_be_right_for_every_domain() {
        let check = |ipv6, domains, why: &[&str]| {
            let given = Given {
                ipv6,
                domains,
                ..RIGHT
            };
            check(given, if why.is_empty() { KEPT } else { CURED }, why);
        };
        let org: &[&str] = &["example.org"];
        check(&["2001:db8::25"], org, &[]);
        check(&["2001:db8::26"], org, &["2001:db8::26 has no PTR record"]);
        check(
            &["2001:db8::27"],
            org,
            &[
                "2001:db8::27 has the PTR `mail.example.org`, but `mail.example.org` does not have that address",
            ],
        );
        check(
            &["2001:db8::28"],
            org,
            &[
                "the PTR of 2001:db8::28 could not be confirmed: the zone text failed (SERVFAIL) on PTR of `8.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa`",
            ],
        );
        // One of several is wrong.
        check(
            &["2001:db8::25", "2001:db8::26"],
            org,
            &["2001:db8::26 has no PTR record"],
        );
        let spf = |domain: &str, problem: &str| {
            format!("SPF of `{domain}` could not be confirmed for 2001:db8::25: {problem}")
        };
        for (domains, why) in [
            (
                &["none.example"][..],
                spf("none.example", "it has no SPF record"),
            ),
            (
                &["absent.example"],
                spf("absent.example", "the domain does not exist in DNS"),
            ),
            (
                &["twice.example"],
                spf("twice.example", "it has 2 SPF records, and only one may be"),
            ),
            (
                &["example.org", "narrow.example"],
                "SPF of `narrow.example` does not cover 2001:db8::25".to_owned(),
            ),
        ] {
            check(&["2001:db8::25"], domains, &[&why]);
        }
    }

    #[test]
    fn the_outlook_goes_by_who_controls_the_reverse_zone() {
        let check_outlook = |ipv6, domains, site, expected: &str| {
            let given = Given {
                ipv6,
                domains,
                site,
                ..RIGHT
            };
            let target = decided(&given);
            assert_eq!(target.decisions[0].why.last().unwrap(), expected);
        };
        let org: &[&str] = &["example.org"];
        let wrong: &[&str] = &["2001:db8::26"];
        let ask =
            "ask the provider of the address for the PTR record that `mailfix dns show` prints";
        let publish = "publish the records that `mailfix dns show` prints";
        check_outlook(wrong, org, "", ask);
        check_outlook(wrong, org, "[dns]\nreverse6 = \"self\"", publish);
        check_outlook(
            wrong,
            org,
            "[dns]\nreverse6 = \"none\"",
            "nobody here can set that PTR record (`reverse6 = \"none\"`), so IPv4 is the way to stay",
        );
        // The PTR is right, SPF is not.
        let spf: &[&str] = &["none.example"];
        check_outlook(
            &["2001:db8::25"],
            spf,
            "[dns]\nreverse6 = \"none\"",
            publish,
        );
    }

    #[test]
    fn an_old_postfix_goes_without_the_filter_and_says_so() {
        let given = Given {
            version: "2.10.1",
            site: "[providers.google]\nhosted_domains = [\"hosted.example\"]",
            ..NO_PTR
        };
        let target = decided(&given);
        let left = &target.decisions[2];
        assert_eq!(
            (left.about.as_str(), left.outcome.as_str()),
            ("DNS reply filter", "left out")
        );
        assert!(left.why[0].starts_with("Postfix 2.10.1 has no `smtp_dns_reply_filter`"));
        let lines = shown::lines(&[], &[], &target.tables, &[]);
        assert_eq!(
            lines,
            [
                "hash:transport: gmail.com smtp-ipv4:, googlemail.com smtp-ipv4:, hosted.example smtp-ipv4:"
            ]
        );
        // With the filter they need not be listed.
        let given = Given {
            version: "3.7.11",
            ..given
        };
        assert!(!decided(&given).tables[0].text.contains("hosted.example"));
    }

    #[test]
    fn where_no_cure_fits_it_is_an_error() {
        let given = Given {
            main: "content_filter = scan:\nsmtp_dns_support_level = disabled",
            ..NO_PTR
        };
        let target = decided(&given);
        assert!(target.is_empty());
        assert_eq!(target.findings[0].code, "no-cure");
    }

    #[test]
    fn a_cure_that_is_no_longer_needed_is_named() {
        let given = Given {
            main: "transport_maps = hash:/etc/postfix/mailfix/transport",
            ..RIGHT
        };
        let target = decided(&given);
        assert!(target.is_empty());
        assert_eq!(target.decisions[1].about, "what mailfix set up");
        assert_eq!(decided(&RIGHT).decisions.len(), 1);
    }

    #[test]
    fn other_instances_are_named() {
        let mut facts = facts(&RIGHT);
        assert!(other_instances(&facts).is_none());
        facts.instances = vec!["/etc/postfix".into(), "/etc/postfix-out".into()];
        assert_eq!(
            other_instances(&facts).unwrap().title,
            "Postfix has more instances: `/etc/postfix-out`"
        );
    }

    #[test]
    fn a_second_run_decides_the_same_and_changes_nothing() {
        use crate::plan::build::build;
        for (version, main, master) in [
            ("3.7.11", "", ""),
            ("2.10.1", "transport_maps = hash:/etc/postfix/transport", ""),
            (
                "3.7.11",
                "inet_interfaces = 192.0.2.25, 2001:db8::26\nsmtp_destination_rate_delay = 1s",
                "smtp-ipv4 unix - - n - - smtp\nsmtp unix - - y - - smtp\n -o { smtp_header_checks = a, b }",
            ),
        ] {
            let given = Given {
                version,
                main,
                master,
                ..NO_PTR
            };
            let (site, profile) = (site(&given), Profile::built_in("linux").unwrap());
            let decide = |facts: &Facts| decide(&site, &profile, &Provider::all(), facts).unwrap();
            let first = example::host(version, main, master);
            let mut facts = first.facts.clone();
            facts.dns = self::facts(&given).dns;
            let target = decide(&facts);
            let plan = build(&target, &facts, &first.files).unwrap();
            assert!(!plan.is_empty());

            let after = |path: &Utf8Path| {
                let change = plan.changes().find(|change| change.path == path);
                change.map_or_else(
                    || first.files.get(path).unwrap().clone(),
                    |change| change.after.clone().unwrap(),
                )
            };
            let mut second = example::again(version, |name| {
                after(&Utf8Path::new("/etc/postfix").join(name))
            });
            second.facts.dns = facts.dns.clone();
            for table in &target.tables {
                let path = table_path(&facts, table);
                second.files.insert(path.clone(), Some(after(&path)));
            }
            let again = decide(&second.facts);
            assert_eq!(again.settings, target.settings);
            assert_eq!(again.tables, target.tables);
            assert!(again.services.is_empty());
            assert!(
                build(&again, &second.facts, &second.files)
                    .unwrap()
                    .is_empty()
            );
        }
    }
}
