//! Try the IPv4 addresses of every receiver before its IPv6 ones.
//!
//! Fits Postfix 2.8 and later (`smtp_address_preference`, postconf(5)). One line, for all
//! receivers alike: those with IPv6 only are still reached, those with both over IPv4. What is
//! put off over IPv4 is tried over IPv6 next, where the refusal is as final as before.

use crate::finding::Finding;
use crate::postfix::Version;
use crate::remedy::{Case, Contribution, Fit};
use crate::remedy_sheet::RemedyId;
use crate::target::Setting;

/// The first version that has the parameter.
const SINCE: Version = Version::new(2, 8, 0);

/// The parameter.
const PARAMETER: &str = "smtp_address_preference";

/// The value: IPv4 first.
const VALUE: &str = "ipv4";

/// Gives what the remedy adds, or why it does not fit.
///
/// # Errors
/// Never: it has no template.
pub fn fit(case: &Case<'_>) -> Fit {
    let facts = case.facts;
    if facts.version < SINCE {
        return Ok(Err(format!(
            "Postfix {} has no `{PARAMETER}` (2.8 and later)",
            facts.version
        )));
    }
    if let Some(client) = facts.client()
        && let Some(own) = client.option(PARAMETER)
    {
        let own = facts.parameters.expand(own);
        if own == VALUE {
            return Ok(Ok(done(format!(
                "`-o {PARAMETER}={VALUE}` of the `{}` service does it already",
                client.name
            ))));
        }
        return Ok(Err(format!(
            "the `{}` service has `-o {PARAMETER}={own}`, which wins over main.cf and stays as it is",
            client.name
        )));
    }
    let own = facts.parameters.get(PARAMETER);
    let is_set = facts.explicit.contains(PARAMETER);
    let chosen = case.site.remedies.as_ref();
    let is_chosen = chosen.is_some_and(|ids| ids.contains(&RemedyId::AddressPreference));
    if is_set && own != VALUE && !is_chosen {
        return Ok(Err(format!(
            "main.cf sets `{PARAMETER} = {own}`, which stays as it is unless mailfix.toml chooses this remedy"
        )));
    }
    let mut contribution = if is_set && own == VALUE {
        done(format!("`{PARAMETER} = {VALUE}` is set already"))
    } else {
        Contribution {
            outcome: "IPv4 first, to every receiver that has both".to_owned(),
            ..Contribution::default()
        }
    };
    if is_set && own != VALUE {
        contribution.findings.push(Finding::note(
            "preference-replaced",
            format!("`{PARAMETER} = {own}` of your main.cf gives way to the remedy you chose"),
        ));
    }
    // Also where it is set already: what is wanted is then known to be in place.
    contribution.settings.push(Setting::Is {
        name: PARAMETER.to_owned(),
        value: VALUE.to_owned(),
    });
    contribution.reasons = vec![
        "receivers that have IPv6 only are still reached over IPv6".to_owned(),
        "it holds for all receivers, also those that take mail over IPv6 gladly".to_owned(),
        "when every IPv4 address puts mail off (a rate limit, no answer), IPv6 is tried in the same attempt, and a refusal there is final".to_owned(),
    ];
    Ok(Ok(contribution))
}

fn done(outcome: String) -> Contribution {
    Contribution {
        outcome,
        ..Contribution::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::example;
    use crate::remedy::shown;

    const LINE: &str = "smtp_address_preference = ipv4";

    fn lines(version: &str, main: &str, master: &str, site: &str) -> Result<Vec<String>, String> {
        let facts = example::host(version, main, master).facts;
        shown::fitted_for(fit, &facts, site).map(|fitted| {
            let mut lines = shown::lines(
                &fitted.settings,
                &fitted.services,
                &fitted.tables,
                &fitted.findings,
            );
            lines.insert(0, fitted.outcome);
            lines
        })
    }

    #[track_caller]
    fn check(given: (&str, &str, &str, &str), expected: Result<&[&str], &str>) {
        let (version, main, master, site) = given;
        let expected = expected
            .map(|lines| lines.iter().map(ToString::to_string).collect())
            .map_err(ToOwned::to_owned);
        assert_eq!(lines(version, main, master, site), expected);
    }

    #[test]
    fn it_is_one_line_from_2_8_on() {
        let outcome = "IPv4 first, to every receiver that has both";
        check(("3.7.11", "", "", ""), Ok(&[outcome, LINE]));
        check(("2.8.0", "", "", ""), Ok(&[outcome, LINE]));
        check(
            ("2.7.9", "", "", ""),
            Err("Postfix 2.7.9 has no `smtp_address_preference` (2.8 and later)"),
        );
    }

    #[test]
    fn what_is_set_stays_unless_the_remedy_is_chosen() {
        check(
            ("3.7.11", LINE, "", ""),
            Ok(&["`smtp_address_preference = ipv4` is set already", LINE]),
        );
        let other = "smtp_address_preference = ipv6";
        check(
            ("3.7.11", other, "", ""),
            Err(
                "main.cf sets `smtp_address_preference = ipv6`, which stays as it is unless mailfix.toml chooses this remedy",
            ),
        );
        check(
            (
                "3.7.11",
                other,
                "",
                "[remedies]\nuse = [\"address-preference\"]\n",
            ),
            Ok(&[
                "IPv4 first, to every receiver that has both",
                LINE,
                "preference-replaced: `smtp_address_preference = ipv6` of your main.cf gives way to the remedy you chose",
            ]),
        );
    }

    #[test]
    fn an_option_of_the_service_wins() {
        let smtp = "smtp unix - - n - - smtp -o smtp_address_preference=";
        check(
            ("3.7.11", "", &format!("{smtp}any"), ""),
            Err(
                "the `smtp` service has `-o smtp_address_preference=any`, which wins over main.cf and stays as it is",
            ),
        );
        check(
            ("3.7.11", "", &format!("{smtp}ipv4"), ""),
            Ok(&["`-o smtp_address_preference=ipv4` of the `smtp` service does it already"]),
        );
    }
}
