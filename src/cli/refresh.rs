//! `mailfix refresh`: makes the list of domains that providers host anew, and nothing else.

use clap::Args;
use serde_json::Value;

use crate::cli::apply::{Carried, carry_out};
use crate::cli::plan::refused;
use crate::cli::{Failure, FailureKind, Session, json, show};
use crate::draft::{Draft, Extent, Wish};
use crate::host::{MailHosts, Origin};
use crate::postfix::ServiceType;
use crate::target::table_path;

/// Make the list of domains that Google hosts anew; change nothing else
///
/// Looks at the domains mail goes to (the mail log, tables that forward mail, `hosted_domains`
/// in mailfix.toml), asks DNS who takes their mail, and brings the transport table up to date.
/// What DNS cannot say changes nothing. Needed below Postfix 3.0, or wherever the DNS reply
/// filter is not in use.
#[derive(Debug, Args)]
pub struct Refresh {
    /// Print what was done as JSON; needs `--yes`
    #[arg(long)]
    pub json: bool,
    /// Say nothing where there is nothing to do
    #[arg(long)]
    quiet: bool,
    /// End with status 2 if there was something to do
    #[arg(long)]
    detailed_exitcode: bool,
}

impl Refresh {
    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        if self.json && !session.common.yes {
            return Err(Failure::usage(
                "`--json` shows no changes to agree to, so it needs `--yes`",
            ));
        }
        let wished = session.wished()?;
        let wish = Wish {
            extent: Extent::HostedDomains,
            ..wished.wish()
        };
        let draft = session.draft(&wish)?;
        if draft.host.facts.origin == Origin::Stock {
            return Err(
                Failure::failed("there is no Postfix here to apply anything to")
                    .hint("`mailfix init` writes the files for a server elsewhere"),
            );
        }
        let unfinished = session.is_unfinished(wish.profile)?;
        let silent = self.quiet && draft.plan.is_empty() && !unfinished;
        if !draft.target.lists_hosted_domains() {
            if !silent {
                session
                    .ui
                    .say("nothing to refresh: no list of hosted domains is in use here");
                say_left(session, &draft);
            }
            if self.json {
                print(session, &draft, &Carried::Nothing);
            }
            return Ok(0);
        }
        in_use(session, &draft)?;
        asked(&draft)?;
        if silent {
            return Ok(0);
        }
        if !self.json {
            show::part(&mut session.ui, &draft, "the list is as it should be");
            session.ui.remarks(&draft.findings);
        }
        say_left(session, &draft);
        if !draft.refusals.is_empty() {
            return Err(refused(&draft.refusals));
        }
        let carried = carry_out(session, &wish, &draft, false)?;
        if self.json {
            print(session, &draft, &carried);
        }
        Ok(carried.status(self.detailed_exitcode))
    }
}

/// Names what is pending beside the list.
fn say_left(session: &mut Session, draft: &Draft) {
    let apply = session.common.alike("apply");
    for title in &draft.left {
        session
            .ui
            .say(&format!("left to do: {title}; `{apply}` does it"));
    }
}

/// Refuses to name domains in a table that Postfix does not read, or for a service it lacks.
fn in_use(session: &Session, draft: &Draft) -> Result<(), Failure> {
    let facts = &draft.host.facts;
    let lists = facts.parameters.list("transport_maps");
    let missing = draft.target.tables.iter().find_map(|table| {
        let path = table_path(facts, table);
        if !lists.iter().any(|item| item.ends_with(&format!(":{path}"))) {
            return Some(format!("`transport_maps` does not name `{path}`"));
        }
        let service = table.samples.iter().find_map(|(_, value)| {
            let name = value.strip_suffix(':')?;
            let is_there = facts.service(name, &ServiceType::Unix).is_some();
            (!is_there).then_some(name)
        })?;
        Some(format!("master.cf has no service `{service}`"))
    });
    match missing {
        None => Ok(()),
        Some(missing) => Err(Failure::failed(format!(
            "the list of hosted domains is not in use: {missing}"
        ))
        .hint(format!(
            "`{}` puts it in use",
            session.common.alike("apply")
        ))),
    }
}

/// Ends where DNS said nothing at all.
fn asked(draft: &Draft) -> Result<(), Failure> {
    let destinations = draft.host.facts.destinations.as_ref();
    let Some(destinations) = destinations.filter(|all| all.are_all_unknown()) else {
        return Ok(());
    };
    let why = destinations
        .domains
        .values()
        .find_map(|one| match &one.hosts {
            MailHosts::Unknown(why) => Some(why.as_str()),
            MailHosts::Known(_) => None,
        });
    Err(Failure::new(
        FailureKind::Unasked,
        format!(
            "DNS could not be asked, so the list stays as it is: {}",
            why.unwrap_or_default()
        ),
    )
    .hint("`/etc/resolv.conf` names the servers that are asked"))
}

fn print(session: &mut Session, draft: &Draft, carried: &Carried) {
    let mut object = json::draft(draft);
    if let Value::Object(fields) = &mut object {
        let receipt = match carried {
            Carried::Done(Some(id)) => Value::from(id.as_str()),
            _ => Value::Null,
        };
        fields.insert("applied".to_owned(), receipt);
        fields.insert("left".to_owned(), Value::from(draft.left.clone()));
    }
    session.ui.data(&json::text(&object));
}
