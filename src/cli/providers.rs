//! `mailfix providers`: what is known of the receivers, ours and the administrator's own.

use clap::{Args, Subcommand};
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use serde_json::{Value, json};

use crate::catalogue::Catalogue;
use crate::cli::ui::Ui;
use crate::cli::{Failure, FailureKind, Session, json};
use crate::dns::{Name, RecordType};
use crate::finding::escape;
use crate::mail_hosts::MailHosts;
use crate::provider::{Demand, Limits, Provider, Rule, Signature, Wanted};
use crate::spelling::near_miss;

/// The width of the list, and of each of its columns before they are squeezed.
const WIDTH: u16 = 80;
const COLUMNS: [(&str, u16); 6] = [
    ("id", 18),
    ("name", 11),
    ("own", 3),
    ("asks", 9),
    ("limits", 8),
    ("MX hosts", 21),
];

/// List the receivers mailfix knows, or tell all about one
#[derive(Debug, Args)]
pub struct Providers {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Print it as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Tell all that is known of one: what it asks, how it refuses, where to turn
    Show {
        /// Its id, a domain, or the name of a mail host; of a domain that it hosts DNS tells
        #[arg(value_name = "ID|DOMAIN|MX-HOST")]
        name: String,
    },
}

impl Providers {
    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        let catalogue = session.catalogue()?;
        match self.verb {
            None if self.json => {
                let all: Vec<Value> = catalogue.providers.iter().map(as_json).collect();
                let object = json::object("providers", &all);
                session.ui.data(&json::text(&object));
            }
            None => list(session, &catalogue.providers),
            Some(Verb::Show { name }) => {
                let (provider, because) = find(session, &catalogue, &name)?;
                if self.json {
                    let mut value = as_json(provider);
                    if let Some(object) = value.as_object_mut() {
                        object.insert("because".to_owned(), json!(because));
                    }
                    let object = json::object("provider", &value);
                    session.ui.data(&json::text(&object));
                } else {
                    show(session, provider, because.as_deref(), &catalogue);
                }
            }
        }
        Ok(0)
    }
}

/// Finds a receiver by its id, a domain or a mail host; says why, where the word itself does not.
fn find<'c>(
    session: &Session,
    catalogue: &'c Catalogue,
    word: &str,
) -> Result<(&'c Provider, Option<String>), Failure> {
    let lower = word.trim_end_matches('.').to_ascii_lowercase();
    if let Some(provider) = catalogue.provider(&lower) {
        return Ok((provider, None));
    }
    let hosts = MailHosts::new(&catalogue.providers);
    let of = |number| catalogue.provider(hosts.id(number));
    if let Some(provider) = hosts.of_domain(lower.as_bytes()).and_then(of) {
        return Ok((provider, Some(format!("`{lower}` is a domain of its own"))));
    }
    if let Some(provider) = hosts.of_host(lower.as_bytes()).and_then(of) {
        let because = format!("`{lower}` is a host of its mail");
        return Ok((provider, Some(because)));
    }
    if !lower.contains('.') {
        let ids = catalogue
            .providers
            .iter()
            .map(|provider| provider.id.as_str());
        let failure = Failure::usage(format!("no receiver `{word}` is known"));
        return Err(match near_miss(&lower, ids) {
            Some(near) => failure.hint(format!("did you mean `{near}`?")),
            None => failure.hint(format!("`{}` lists them", all(session))),
        });
    }
    let name: Name = lower
        .parse()
        .map_err(|error| Failure::usage(format!("`{word}` is no name of DNS: {error}")))?;
    let answer = session.resolver()?.lookup(&name, RecordType::Mx);
    let answer = answer.map_err(|error| {
        Failure::new(FailureKind::Unasked, error.to_string()).hint(format!(
            "`{lower}` is no receiver's own domain, and only its MX say who hosts it; name one of \
             them where DNS cannot be asked"
        ))
    })?;
    let named = answer.exchanges().into_iter();
    let hosts_of_mail = named.filter(|(_, exchange)| !exchange.is_root());
    let mut exchangers: Vec<(u16, String)> = hosts_of_mail
        .map(|(preference, exchange)| (preference, exchange.host()))
        .collect();
    exchangers.sort();
    let known = exchangers.iter().find_map(|(_, host)| {
        let provider = hosts.of_host(host.as_bytes()).and_then(of)?;
        let because = format!("it takes the mail for `{lower}`, whose MX is `{host}`");
        Some((provider, Some(because)))
    });
    known.ok_or_else(|| {
        let failure = match exchangers.as_slice() {
            [] => Failure::failed(format!("`{lower}` has no MX, and no receiver owns it")),
            [(_, host), ..] => Failure::failed(format!(
                "the MX of `{lower}` is `{host}`, and no receiver known has it"
            )),
        };
        failure.hint(format!("`{}` lists those that are known", all(session)))
    })
}

fn all(session: &Session) -> String {
    session.common.command("providers")
}

fn list(session: &mut Session, providers: &[Provider]) {
    let ui = &mut session.ui;
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH)
        .set_header(COLUMNS.map(|(name, _)| name));
    for provider in providers {
        table.add_row([
            escape(&provider.id),
            escape(&provider.name),
            match provider.domains.len() {
                0 => String::new(),
                number => number.to_string(),
            },
            asks(&provider.rules),
            provider.limits.as_ref().map(numbers).unwrap_or_default(),
            hosts(provider),
        ]);
    }
    for (number, (column, (_, width))) in table.column_iter_mut().zip(COLUMNS).enumerate() {
        let gap = if number + 1 == COLUMNS.len() { 0 } else { 2 };
        column.set_padding((0, gap));
        column.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(width + gap)));
    }
    for line in table.to_string().lines() {
        ui.data(&format!("{}\n", line.trim_end()));
    }
    ui.data("\n");
    for text in [
        "own: how many domains are its own; whom it hosts is told by their MX",
        "asks: the most it asks of everybody's signatures and records; *: of those who send it \
         much, more",
        "limits: connections at a time / messages in each, and the pause after each, that it takes \
         without complaint",
    ] {
        ui.point("-", text);
    }
    let command = session.common.command("providers show ID|DOMAIN|MX-HOST");
    session.ui.say(&format!("`{command}` tells all about one"));
}

/// The most that is asked of everybody, in a word.
fn asks(rules: &[Rule]) -> String {
    const MOST_FIRST: [(Wanted, &str); 6] = [
        (Wanted::Dmarc, "DMARC"),
        (Wanted::Dkim, "DKIM"),
        (Wanted::Spf, "SPF"),
        (Wanted::SpfOrDkim, "SPF/DKIM"),
        (Wanted::Ptr, "PTR"),
        (Wanted::Tls, "TLS"),
    ];
    let asked = |wanted| {
        rules
            .iter()
            .any(|rule| rule.what == wanted && rule.bulk.is_none() && rule.family.is_none())
    };
    let word = MOST_FIRST.iter().find(|(wanted, _)| asked(*wanted));
    let word = word.map_or("", |(_, word)| word);
    let more = rules.iter().any(|rule| rule.bulk.is_some());
    format!("{word}{}", if more { "*" } else { "" })
}

/// Limits as short as can be: `5/50 1s`.
fn numbers(limits: &Limits) -> String {
    let number = |number: Option<u32>| number.map(|number| number.to_string());
    let mut text = number(limits.connections).unwrap_or_default();
    if let Some(messages) = number(limits.messages) {
        text.push('/');
        text.push_str(&messages);
    }
    if let Some(delay) = &limits.delay {
        text.push(' ');
        text.push_str(&escape(delay));
    }
    text.trim_start().to_owned()
}

/// The first end of the names of its mail hosts, and how many more there are.
fn hosts(provider: &Provider) -> String {
    let room = COLUMNS.map(|(_, width)| usize::from(width))[5];
    let mut suffixes = provider.mx_suffixes.iter();
    let Some(first) = suffixes.next() else {
        return String::new();
    };
    let mut text = escape(first);
    // Whole labels from the right, where all do not fit.
    let mut rest = first.as_str();
    while text.chars().count() > room {
        let Some((_, shorter)) = rest.split_once('.') else {
            break;
        };
        rest = shorter;
        text = format!("….{}", escape(rest));
    }
    match suffixes.len() + provider.mx_prefixes.len() {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

fn show(session: &mut Session, provider: &Provider, because: Option<&str>, catalogue: &Catalogue) {
    let ui = &mut session.ui;
    ui.heading(&format!(
        "{} ({}): {}",
        provider.name, provider.id, provider.about
    ));
    if let Some(because) = because {
        ui.point("-", because);
    }
    ui.data("\n");
    ui.heading("Known by");
    if !provider.domains.is_empty() {
        let domains = provider.domains.join(" ");
        let domain = if provider.domains.len() == 1 {
            "domain"
        } else {
            "domains"
        };
        ui.point(
            "-",
            &format!("{} {domain} of its own: {domains}", provider.domains.len()),
        );
    }
    if !provider.mx_suffixes.is_empty() {
        let suffixes = provider.mx_suffixes.join(" ");
        ui.point("-", &format!("mail hosts whose names end in: {suffixes}"));
    }
    if !provider.mx_prefixes.is_empty() {
        let prefixes = provider.mx_prefixes.join(" ");
        ui.point(
            "-",
            &format!("mail hosts whose names begin with: {prefixes}"),
        );
    }
    let demands = demands(provider);
    if !provider.rules.is_empty() || !demands.is_empty() {
        ui.data("\n");
        ui.heading("What it asks of senders");
    }
    for (over, demand) in &demands {
        ui.point(
            "-",
            &format!(
                "{over}: {} ({}, {})",
                demand.why, demand.source, demand.date
            ),
        );
    }
    for rule in &provider.rules {
        ui.point("-", &in_words(rule));
    }
    if let Some(limits) = &provider.limits {
        show_limits(ui, provider, limits);
    }
    if !provider.forms.is_empty() {
        ui.data("\n");
        ui.heading("Where to turn to");
    }
    for form in &provider.forms {
        ui.point(
            "-",
            &format!(
                "{}: {} (for {}; {}, {})",
                form.place,
                form.says,
                form.causes.join(", "),
                form.source,
                form.date
            ),
        );
    }
    ui.data("\n");
    if provider.signatures.is_empty() {
        ui.heading("How it refuses is not known");
    } else {
        ui.heading("How it refuses");
    }
    for (code, signatures) in by_cause(provider) {
        let says = catalogue.cause(code).map_or("", |cause| &cause.says);
        ui.point("-", &format!("{code}: {says}"));
        for signature in signatures {
            if let Some(says) = &signature.says {
                ui.point("   ", says);
            }
            if let Some(sample) = signature.samples.first() {
                ui.point("    >", &sample.reply);
                let place = format!("({}, {})", sample.source, sample.date);
                ui.point("     ", &place);
            }
        }
    }
    let explain = session.common.command("explain");
    session.ui.say(&format!(
        "`{explain}` takes a refusal or a cause and says what to do"
    ));
}

/// What plans go by, and over which protocol it is asked.
fn demands(provider: &Provider) -> Vec<(&'static str, &Demand)> {
    let demands = &provider.demands;
    let over = [("ipv6", &demands.ipv6), ("ipv4", &demands.ipv4)];
    over.into_iter()
        .filter_map(|(over, demand)| Some((over, demand.as_ref()?)))
        .collect()
}

fn in_words(rule: &Rule) -> String {
    let over = match rule.family {
        Some(6) => ", over IPv6",
        Some(_) => ", over IPv4",
        None => "",
    };
    let whose = match rule.bulk {
        None => String::new(),
        Some(0) => ", of those who send it much".to_owned(),
        Some(bulk) => format!(", of those who send it {bulk} messages a day"),
    };
    let since = rule
        .since
        .as_ref()
        .map_or_else(String::new, |since| format!("since {since}; "));
    format!(
        "{}{over}{whose}: {} ({since}{}, {})",
        rule.what.word(),
        rule.says,
        rule.source,
        rule.date
    )
}

fn show_limits(ui: &mut Ui, provider: &Provider, limits: &Limits) {
    ui.data("\n");
    ui.heading("What it takes without complaint");
    ui.point("-", &limits_in_words(limits));
    // Plans go by mailfix's own files alone.
    if Provider::by_id(&provider.id).is_some_and(|own| own.pace().is_some()) {
        let key = format!(
            "`pace = \"gentle\"` below `[providers.{}]` in mailfix.toml keeps to the connections and pauses",
            provider.id
        );
        ui.point("-", &key);
    }
}

fn limits_in_words(limits: &Limits) -> String {
    let many = |number: u32, what: &str| {
        let plural = if number == 1 { "" } else { "s" };
        format!("{number} {what}{plural}")
    };
    let parts = [
        limits
            .connections
            .map(|number| format!("{} at a time", many(number, "connection"))),
        limits
            .messages
            .map(|number| format!("{} in each", many(number, "message"))),
        limits
            .delay
            .as_ref()
            .map(|delay| format!("a pause of {delay} after each")),
        limits.says.clone(),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    format!("{} ({}, {})", parts.join("; "), limits.source, limits.date)
}

/// Its signatures, those of one cause together, in the order in which the causes come first.
fn by_cause(provider: &Provider) -> Vec<(&str, Vec<&Signature>)> {
    let mut causes: Vec<(&str, Vec<&Signature>)> = Vec::new();
    for signature in &provider.signatures {
        let code = signature.cause.as_str();
        match causes.iter_mut().find(|(known, _)| *known == code) {
            Some((_, signatures)) => signatures.push(signature),
            None => causes.push((code, vec![signature])),
        }
    }
    causes
}

fn as_json(provider: &Provider) -> Value {
    let demand = |demand: &Demand| {
        json!({
            "ptr": demand.ptr,
            "authentication": demand.authentication,
            "why": demand.why,
            "source": demand.source,
            "date": demand.date,
        })
    };
    let rules: Vec<Value> = provider
        .rules
        .iter()
        .map(|rule| {
            json!({
                "what": rule.what.word(),
                "family": rule.family,
                "bulk": rule.bulk,
                "since": rule.since,
                "says": rule.says,
                "source": rule.source,
                "date": rule.date,
            })
        })
        .collect();
    let limits = provider.limits.as_ref().map(|limits| {
        json!({
            "connections": limits.connections,
            "messages": limits.messages,
            "delay": limits.delay,
            "says": limits.says,
            "source": limits.source,
            "date": limits.date,
        })
    });
    let forms: Vec<Value> = provider
        .forms
        .iter()
        .map(|form| {
            json!({
                "causes": form.causes,
                "place": form.place,
                "says": form.says,
                "source": form.source,
                "date": form.date,
            })
        })
        .collect();
    let refusals: Vec<Value> = provider
        .signatures
        .iter()
        .map(|signature| {
            let samples: Vec<Value> = signature
                .samples
                .iter()
                .map(|sample| {
                    json!({
                        "reply": sample.reply,
                        "family": sample.family,
                        "source": sample.source,
                        "date": sample.date,
                    })
                })
                .collect();
            json!({
                "cause": signature.cause,
                "says": signature.says,
                "steps": signature.steps,
                "not": signature.not,
                "samples": samples,
            })
        })
        .collect();
    json!({
        "id": provider.id,
        "name": provider.name,
        "about": provider.about,
        "domains": provider.domains,
        "mx_suffixes": provider.mx_suffixes,
        "mx_prefixes": provider.mx_prefixes,
        "ipv6": provider.demands.ipv6.as_ref().map(demand),
        "ipv4": provider.demands.ipv4.as_ref().map(demand),
        "rules": rules,
        "limits": limits,
        "forms": forms,
        "refusals": refusals,
    })
}
