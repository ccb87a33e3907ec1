//! How mail leaves the host: handed to another one, or from which address of its own.
//!
//! Owns what main.cf and master.cf say of it together. Must not know what the kernel chooses.
//! Follows postconf(5), `relayhost`, `smtp_bind_address`, `inet_interfaces`; master(5), `-o`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Facts;
use crate::postfix::{Service, split_list};

impl Facts {
    /// Says why mail does not leave from here to the receivers themselves, if it does not.
    #[must_use]
    pub fn sent_elsewhere(&self) -> Option<String> {
        let relayhost = self.parameters.get("relayhost");
        if !relayhost.is_empty() {
            return Some(format!(
                "`relayhost = {relayhost}` hands all mail to that host: what receivers see is its address, and the cure belongs there"
            ));
        }
        let default = self.parameters.get("default_transport");
        let (transport, nexthop) = default.split_once(':').unwrap_or((&default, ""));
        if matches!(transport, "error" | "retry" | "discard") {
            return Some(format!(
                "`default_transport = {default}` sends nothing to the outside"
            ));
        }
        if !nexthop.is_empty() {
            return Some(format!(
                "`default_transport = {default}` hands all mail to that host: the cure belongs there"
            ));
        }
        let rest = self.routes.rest.as_ref()?;
        let (transport, nexthop) = rest.value.split_once(':').unwrap_or((&rest.value, ""));
        if !nexthop.is_empty() || matches!(transport, "error" | "retry" | "discard") {
            return Some(format!(
                "`{}` sends all other mail to `{}`: the cure belongs on that host",
                rest.table, rest.value
            ));
        }
        None
    }

    /// A parameter's value as a service uses it, its own options included.
    #[must_use]
    pub fn of_service(&self, service: &Service, name: &str) -> String {
        match service.option(name) {
            // The one parameter that each service has another value of.
            Some(value) if value.contains("service_name") => {
                let own = ["$service_name", "${service_name}", "$(service_name)"];
                let value = own.iter().fold(value.to_owned(), |value, own| {
                    value.replace(own, &service.name)
                });
                self.parameters.expand(&value)
            }
            Some(value) => self.parameters.expand(value),
            None => self.parameters.get(name),
        }
    }

    /// The services that send mail by SMTP.
    pub fn smtp_clients(&self) -> impl Iterator<Item = &Service> {
        self.services
            .iter()
            .filter(|service| service.command == "smtp")
    }

    /// Tells whether a service sends over a protocol.
    #[must_use]
    pub fn sends_over(&self, service: &Service, ipv6: bool) -> bool {
        let protocols: BTreeSet<String> = split_list(&self.of_service(service, "inet_protocols"))
            .into_iter()
            .collect();
        protocols.contains("all") || protocols.contains(if ipv6 { "ipv6" } else { "ipv4" })
    }

    /// The address that a service binds to for a protocol, where one is set.
    #[must_use]
    pub fn bound(&self, service: &Service, ipv6: bool) -> Option<IpAddr> {
        let name = if ipv6 {
            "smtp_bind_address6"
        } else {
            "smtp_bind_address"
        };
        let address = |word: &str| {
            let address = word.trim_matches(['[', ']']).parse::<IpAddr>().ok()?;
            (address.is_ipv6() == ipv6).then_some(address)
        };
        let value = self.of_service(service, name);
        if !value.is_empty() {
            // The wildcard address leaves the choice to the kernel.
            return address(&value).filter(|address| !address.is_unspecified());
        }
        // smtp(8) binds to the only interface of a protocol by itself, unless that is a loopback
        // one (postconf(5), inet_interfaces).
        let interfaces = split_list(&self.of_service(service, "inet_interfaces"));
        let mut interfaces = interfaces.iter().filter_map(|word| address(word));
        match (interfaces.next(), interfaces.next()) {
            (Some(only), None) if !only.is_loopback() => Some(only),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::host::example;

    #[track_caller]
    fn check(main: &str, master: &str, expected: &[(&str, bool, &str)]) {
        let facts = example::host("3.7.11", main, master).facts;
        let found: Vec<(&str, bool, String)> = facts
            .smtp_clients()
            .filter(|service| service.name != "relay")
            .flat_map(|service| [false, true].map(|ipv6| (service, ipv6)))
            .filter(|(service, ipv6)| facts.sends_over(service, *ipv6))
            .map(|(service, ipv6)| {
                let bound = facts.bound(service, ipv6);
                let bound = bound.map_or_else(String::new, |address| address.to_string());
                (service.name.as_str(), ipv6, bound)
            })
            .collect();
        let found: Vec<(&str, bool, &str)> = found
            .iter()
            .map(|(name, ipv6, bound)| (*name, *ipv6, bound.as_str()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn each_service_has_its_own_way_out() {
        let both = "inet_protocols = all";
        check(both, "", &[("smtp", false, ""), ("smtp", true, "")]);
        check("inet_protocols = ipv4", "", &[("smtp", false, "")]);
        check(
            "inet_protocols = all\nsmtp_bind_address = 192.0.2.1\nsmtp_bind_address6 = ::",
            "out unix - - n - - smtp -o smtp_bind_address6=2001:db8::7 -o inet_protocols=ipv6",
            &[
                ("smtp", false, "192.0.2.1"),
                ("smtp", true, ""),
                ("out", true, "2001:db8::7"),
            ],
        );
        check(
            "inet_protocols = all\ninet_interfaces = 127.0.0.1, [2001:db8::9]",
            "",
            &[("smtp", false, ""), ("smtp", true, "2001:db8::9")],
        );
    }
}
