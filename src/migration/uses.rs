//! Which tables a configuration uses, whatever way it names them.
//!
//! Owns the look through `$name`, defaults and the `-o` of services: a table counts by what
//! Postfix opens in the end. Must not change anything and must not look at files.

use camino::{Utf8Path, Utf8PathBuf};

use crate::host::Parameters;
use crate::postfix::parameter::{self, ValueKind};
use crate::postfix::{MainCf, MasterCf, Service, table_names};

/// The types that are Berkeley DB; both keep their index in `NAME.db`.
pub(super) const BERKELEY: [&str; 2] = ["hash", "btree"];

/// Lists of tables that other parameters name: what stands there is an echo.
const ECHOES: [&str; 2] = ["proxy_read_maps", "proxy_write_maps"];

/// A table in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Use {
    /// The parameter that names it.
    pub parameter: String,
    /// Its type.
    pub kind: String,
    /// Its name, a path as a rule.
    pub path: Utf8PathBuf,
    /// Whether nobody wrote it: it is Postfix's default.
    pub implicit: bool,
}

impl Use {
    /// Whether it is of Berkeley DB.
    pub fn is_berkeley(&self) -> bool {
        BERKELEY.contains(&self.kind.as_str())
    }

    /// Whether daemons keep it themselves.
    pub fn is_cache(&self) -> bool {
        parameter::is_cache(&self.parameter)
    }

    /// Whether it is a table of aliases(5).
    pub fn is_aliases(&self) -> bool {
        matches!(self.parameter.as_str(), "alias_maps" | "alias_database")
    }

    /// The table as `postmap` takes it.
    pub fn spelled(&self) -> String {
        format!("{}:{}", self.kind, self.path)
    }
}

/// The parameters with what a `main.cf` sets laid over them.
fn overlaid(parameters: &Parameters, main: &MainCf) -> Parameters {
    let mut parameters = parameters.clone();
    for setting in main.settings().filter(|setting| !setting.overridden) {
        parameters.set(setting.name, &setting.value);
    }
    parameters
}

/// What parameters mean in main.cf, then what they mean to each service that has options.
pub(super) fn readings(
    main: &MainCf,
    master: &MasterCf,
    parameters: &Parameters,
) -> Vec<Parameters> {
    let all = overlaid(parameters, main);
    let mut services = master.services().collect::<Vec<_>>();
    services.retain(|service| !service.overridden && service.overrides().next().is_some());
    let own: Vec<_> = services
        .into_iter()
        .map(|service| of_service(service, &all))
        .collect();
    [all].into_iter().chain(own).collect()
}

/// Whether tables can stand in the value of a parameter.
pub(super) fn takes_tables(name: &str, parameters: &Parameters) -> bool {
    match parameter::lookup(name) {
        Some(known) => matches!(
            known.kind,
            ValueKind::Table | ValueKind::Tables | ValueKind::List
        ),
        None => parameters
            .list("smtpd_restriction_classes")
            .iter()
            .any(|class| class == name),
    }
}

/// Lists the tables in use, each once for every parameter that names it.
pub(super) fn uses(main: &MainCf, master: &MasterCf, parameters: &Parameters) -> Vec<Use> {
    let all = overlaid(parameters, main);
    let mut found = Vec::new();
    for name in all.names() {
        let implicit = main.get_bytes(name).is_none();
        read(name, &all, implicit, &mut found);
    }
    for service in master.services().filter(|service| !service.overridden) {
        let own = of_service(service, &all);
        // A variable that the service sets may stand in what main.cf sets.
        let names = main
            .names()
            .chain(service.overrides().map(|(name, _)| name));
        if service.overrides().next().is_some() {
            names.for_each(|name| read(name, &own, false, &mut found));
        }
    }
    found
}

fn of_service(service: &Service, all: &Parameters) -> Parameters {
    let mut own = all.clone();
    for (name, value) in service.overrides() {
        own.set(name, value);
    }
    own
}

fn read(name: &str, parameters: &Parameters, implicit: bool, found: &mut Vec<Use>) {
    if ECHOES.contains(&name) || !takes_tables(name, parameters) {
        return;
    }
    let value = parameters.get(name);
    for table in table_names(value.as_bytes()) {
        let text = |range| value.get(range).unwrap_or_default();
        let table = Use {
            parameter: name.to_owned(),
            kind: text(table.kind).to_owned(),
            path: Utf8Path::new(text(table.name)).to_owned(),
            implicit,
        };
        if !found.contains(&table) {
            found.push(table);
        }
    }
}
