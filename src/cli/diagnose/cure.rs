//! Which changes of the site file mend what a log shows.
//!
//! Owns, for each [`Cure`] that a cause names, whether it fits this host and what it comes to, and
//! whether a plan drawn with it does what it is for. Must not know how a site file is edited, nor
//! how a plan is shown.

use camino::Utf8Path;

use crate::address::Scope;
use crate::cause::Cure;
use crate::diagnose::Knowledge;
use crate::diagnose::log::Group;
use crate::draft::Draft;
use crate::host::State;
use crate::plan::FileChange;
use crate::profile::Profile;
use crate::provider::Provider;
use crate::site::{Ipv6Wish, SignerWish, Site, Srs, domain_name};
use crate::target::Ensure;
use crate::wizard::SiteChange;

/// What a cure comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    /// The plan sees to it by what the site file says already.
    Seen,
    /// The site file has to say all of this.
    Changes(Vec<SiteChange>),
}

impl From<SiteChange> for Fit {
    fn from(change: SiteChange) -> Self {
        Self::Changes(vec![change])
    }
}

/// What a cure is judged by.
pub struct Ground<'a> {
    /// What the site file says.
    pub site: &'a Site,
    /// The kind of host.
    pub profile: &'a Profile,
    /// Whether the profile was named on the command line, which the site file cannot overrule.
    pub is_profile_fixed: bool,
    /// The plan by the site file as it is.
    pub draft: &'a Draft,
    /// The names of the providers that this plan takes for needing a cure.
    pub ill: &'a [String],
    /// What is known of causes and receivers.
    pub knowledge: &'a Knowledge,
}

impl Ground<'_> {
    /// What mends a group here; nothing where no plan does.
    pub fn fit(&self, group: &Group) -> Option<Fit> {
        let cures = group.cures(self.knowledge);
        cures.into_iter().find_map(|cure| match cure {
            Cure::AvoidIpv6 => Some(self.avoid_ipv6(group)),
            Cure::GentlePace => self.gentle_pace(group),
            Cure::ListDomains => self.list_domains(group),
            Cure::NameAddress => self.name_address(group),
            Cure::Sign => self.sign(),
            Cure::RewriteSenders => self.rewrite_senders(group),
            Cure::PublishDmarc => {
                let is_left = self.site.dmarc.policy.is_none();
                is_left.then_some(SiteChange::PublishDmarc.into())
            }
            Cure::FillJail => self.fill_jail(),
            Cure::Restore => self.restores(group).then_some(Fit::Seen),
        })
    }

    fn is_avoided(&self, group: &Group) -> bool {
        match self.site.wish(&group.provider).ipv6 {
            Ipv6Wish::Keep => false,
            Ipv6Wish::Avoid => true,
            Ipv6Wish::Auto => {
                let receiver = group.receiver(self.knowledge);
                self.ill.iter().any(|name| name == receiver)
            }
        }
    }

    fn avoid_ipv6(&self, group: &Group) -> Fit {
        if self.is_avoided(group) {
            return Fit::Seen;
        }
        SiteChange::AvoidIpv6(group.provider.clone()).into()
    }

    /// No faster than the receiver takes it, where it has a client of its own or may get one.
    fn gentle_pace(&self, group: &Group) -> Option<Fit> {
        let target = &self.draft.target;
        if self.draft.host.facts.sent_elsewhere().is_some() {
            return None;
        }
        let is_wished = self.site.is_gentle_to(&group.provider);
        let wish = (!is_wished).then(|| SiteChange::GentlePace(group.provider.clone()));
        // It goes by recipient domain, and of the receiver's own ones alone the plan knows.
        let changes: Vec<SiteChange> = wish.into_iter().chain(self.unlisted(group)).collect();
        if !changes.is_empty() {
            return Some(Fit::Changes(changes));
        }
        // Where it keeps to that pace already, the plan brings nothing.
        let is_new = |name: &str| {
            let mut services = target.services.iter();
            services.any(|one| one.name == name && matches!(one.ensure, Ensure::Whole(_)))
        };
        let mut services = services_of(&group.provider, self.draft);
        services.any(is_new).then_some(Fit::Seen)
    }

    /// Domains that went to the receiver's hosts, and that the list of those lacks.
    fn list_domains(&self, group: &Group) -> Option<Fit> {
        if !self.draft.target.lists_hosted_domains() || !self.is_avoided(group) {
            return None;
        }
        self.unlisted(group).map(Fit::from)
    }

    /// Those that went to the receiver's hosts, and that no table of ours sends on.
    fn unlisted(&self, group: &Group) -> Option<SiteChange> {
        let provider = self.knowledge.provider(&group.provider)?;
        let is_missing = |name: &&String| {
            !provider.domains.contains(name)
                && !is_listed(self.draft, name)
                && domain_name(name).is_ok()
        };
        let names = group.domains.iter().map(|(name, _)| name);
        let missing: Vec<String> = names.filter(is_missing).cloned().collect();
        (!missing.is_empty()).then(|| SiteChange::ListDomains(group.provider.clone(), missing))
    }

    /// An address of ours that no record is made for.
    fn name_address(&self, group: &Group) -> Option<Fit> {
        let address = group.address()?;
        if self.site.sending_addresses().any(|known| known == address) {
            return None;
        }
        let own = &self.draft.host.facts.addresses;
        let mut alike = own
            .iter()
            .filter(|one| one.is_ipv6() == address.is_ipv6())
            .map(|one| Scope::of(*one));
        // Behind a NAT the one that receivers see is on no interface.
        let is_hidden = !alike.any(Scope::is_global)
            && (Scope::of(address).is_global() || self.site.allow_non_global);
        let is_ours = own.contains(&address) || is_hidden;
        is_ours.then(|| SiteChange::NameAddress(address).into())
    }

    /// The one signer that is installed, where there is a key and nobody is said to sign with it.
    fn sign(&self) -> Option<Fit> {
        let dkim = self.site.dkim.as_ref()?;
        match &dkim.signer {
            Some(SignerWish::Other) => None,
            Some(SignerWish::SetUp(_)) => {
                let signing = self.draft.target.signing.as_ref()?;
                (!signing.in_use).then_some(Fit::Seen)
            }
            None => {
                let signing = self.draft.host.facts.signing.as_ref()?;
                signing.keys.get(&dkim.key)?.as_ref().ok()?;
                let mut installed = signing.signers.iter().filter(|seen| seen.installed);
                match (installed.next(), installed.next()) {
                    (Some(only), None) => Some(SiteChange::Sign(only.signer.id.clone()).into()),
                    _ => None,
                }
            }
        }
    }

    /// Whether any of the mail is forwarded with the sender it came with.
    fn rewrite_senders(&self, group: &Group) -> Option<Fit> {
        let forwarding = self.draft.host.facts.forwarding.as_ref()?;
        let mut ways = forwarding.ways.iter().filter(|way| way.keeps_sender);
        let is_for = |domain: &str| {
            let mut names = group.domains.iter().map(|(name, _)| name);
            names.any(|name| name.eq_ignore_ascii_case(domain)) || group.further > 0
        };
        if !ways.any(|way| is_for(&way.domain)) {
            return None;
        }
        match self.site.srs {
            None => Some(SiteChange::RewriteSenders.into()),
            Some(Srs::Postsrsd) => {
                let is_planned = self.draft.target.rewriter.is_some()
                    && self.brings(|change| adds(change, "sender_canonical_maps"));
                is_planned.then_some(Fit::Seen)
            }
            Some(Srs::None) => None,
        }
    }

    /// The jail that the client is locked into lacks what a copy brings.
    fn fill_jail(&self) -> Option<Fit> {
        let copies = &self.draft.target.copies;
        if copies
            .iter()
            .any(|copy| self.brings(|change| change.path == copy.path))
        {
            return Some(Fit::Seen);
        }
        let facts = &self.draft.host.facts;
        let client = facts.client().filter(|client| facts.is_chrooted(client))?;
        let lacks = |state: &State| matches!(state, State::Lacks { copy: Some(_), .. });
        let is_empty = facts.needs(client).iter().any(|(_, state)| lacks(state));
        let names_own = |name: &String| Profile::is_path(name);
        if !is_empty
            || self.profile.chroot
            || self.is_profile_fixed
            || self.site.profile.as_ref().is_some_and(names_own)
        {
            return None;
        }
        let paths = &self.profile.paths;
        let locked_in = Profile::all().find(|other| {
            other.chroot && other.paths.config == paths.config && other.paths.queue == paths.queue
        })?;
        Some(SiteChange::Profile(locked_in.name).into())
    }

    /// Whether the plan brings back the service or the file that the log misses.
    fn restores(&self, group: &Group) -> bool {
        let told = format!("{} {}", group.line, group.words);
        let facts = &self.draft.host.facts;
        let is_missed =
            |name: &str| !told.contains("private/") || told.contains(&format!("private/{name}:"));
        let mut services = self.draft.target.services.iter();
        let brings_service = services.any(|service| {
            matches!(service.ensure, Ensure::Whole(_))
                && facts.service(&service.name, &service.kind).is_none()
                && is_missed(&service.name)
        });
        let names = |path: &Utf8Path| {
            let bare = path.with_extension("");
            told.contains(path.as_str()) || told.contains(bare.as_str())
        };
        brings_service || self.brings(|change| change.after.is_some() && names(&change.path))
    }

    fn brings(&self, is_it: impl Fn(&FileChange) -> bool) -> bool {
        self.draft.plan.changes().any(is_it)
    }
}

/// Tells whether a plan with a change does what the change is for; takes out of it what comes to
/// nothing.
pub fn holds(change: &mut SiteChange, draft: &Draft) -> bool {
    match change {
        SiteChange::Sign(_) => draft.target.signing.is_some(),
        SiteChange::Profile(_) => !draft.target.copies.is_empty() && draft.refusals.is_empty(),
        SiteChange::ListDomains(_, domains) => {
            domains.retain(|name| is_listed(draft, name));
            !domains.is_empty()
        }
        SiteChange::GentlePace(id) => services_of(id, draft).next().is_some(),
        SiteChange::AvoidIpv6(_)
        | SiteChange::NameAddress(_)
        | SiteChange::RewriteSenders
        | SiteChange::PublishDmarc => true,
    }
}

/// What is left to do once the site file has a change: what a plan of files does not.
pub fn afterwards(change: &SiteChange) -> Option<&'static str> {
    match change {
        SiteChange::NameAddress(_) | SiteChange::PublishDmarc => Some(
            "then put the records into DNS: `mailfix dns show --missing` shows them, `mailfix dns push` writes those of your own zones",
        ),
        SiteChange::Sign(_) => Some("`mailfix dns check` tells whether DNS has the key's record"),
        SiteChange::AvoidIpv6(_)
        | SiteChange::GentlePace(_)
        | SiteChange::ListDomains(..)
        | SiteChange::RewriteSenders
        | SiteChange::Profile(_) => None,
    }
}

/// The services that a provider's mail goes through by the transport table of a plan.
fn services_of<'d>(id: &str, draft: &'d Draft) -> impl Iterator<Item = &'d str> {
    let name = Provider::by_id(id).map(|provider| &provider.name);
    let routes = draft.target.routes.iter();
    routes
        .filter(move |route| Some(&route.whose) == name)
        .map(|route| route.service.as_str())
}

/// Tells whether a change only eases what it is for, and the steps of the cause are to be taken
/// all the same.
pub fn only_eases(change: &SiteChange) -> bool {
    matches!(change, SiteChange::GentlePace(_))
}

/// Tells whether a table of the plan names a domain.
fn is_listed(draft: &Draft, domain: &str) -> bool {
    let mut lines = draft
        .target
        .tables
        .iter()
        .flat_map(|table| table.text.lines());
    lines.any(|line| line.split_ascii_whitespace().next() == Some(domain))
}

/// Tells whether a change writes a name that was not in the file.
fn adds(change: &FileChange, name: &str) -> bool {
    let holds = |bytes: &[u8]| memchr::memmem::find(bytes, name.as_bytes()).is_some();
    let of =
        |file: &Option<crate::system::File>| file.as_ref().is_some_and(|file| holds(&file.bytes));
    of(&change.after) && !of(&change.before)
}
