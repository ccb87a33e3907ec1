//! Send the recipient domains of a provider through an smtp(8) client without IPv6.
//!
//! Fits every version of Postfix. It goes by recipient domain: the provider's own ones
//! and those the site file lists as hosted there. What the administrator has routed
//! already stays as it is, and what is half done by hand is completed.

use crate::provider::Provider;
use crate::remedy::own_transport::{self, Wanted};
use crate::remedy::{Case, Fit};

/// Gives what the remedy adds, or why it does not fit.
///
/// `hosted` names the recipient domains a provider hosts that shall be listed too.
///
/// # Errors
/// When a template cannot be rendered.
pub fn fit(case: &Case<'_>, hosted: impl Fn(&Provider) -> Vec<String>) -> Fit {
    let providers = case.providers.iter();
    let wanted = providers.map(|provider| Wanted::of(provider, hosted(provider), true, case));
    own_transport::fit(case, wanted.collect(), &[])
}
