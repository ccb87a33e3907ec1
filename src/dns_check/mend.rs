//! What to do about it: the command of mailfix where there is one, else whom to ask.
//!
//! Owns the sentences. Goes by who controls the zone, as the site file says.

use std::net::IpAddr;

use super::Sender;
use super::senders::KnownBy;
use crate::site::Control;

/// How a record in a reverse zone gets right.
pub(super) fn reverse(address: IpAddr, control: Option<Control>) -> String {
    match control {
        Some(Control::Own) => {
            "`mailfix dns show --missing` shows the record, and `mailfix dns push` publishes it where the zone takes updates".to_owned()
        }
        Some(Control::Provider) => {
            "`mailfix dns request` writes the request to the provider of the address".to_owned()
        }
        Some(Control::None) if address.is_ipv6() => {
            "nobody sets it, as mailfix.toml says: `mailfix plan` shows how mail goes over IPv4 to those who demand it".to_owned()
        }
        Some(Control::None) => {
            "nobody sets it, as mailfix.toml says: send through a host that has one (`relayhost`)".to_owned()
        }
        None => format!(
            "ask whoever gave you {address} to set it; with a site file `mailfix dns request` writes the request (`mailfix init` makes one)"
        ),
    }
}

/// How a record of our own zones gets right.
pub(super) fn forward(control: Option<Control>) -> &'static str {
    match control {
        Some(Control::Own) => {
            "`mailfix dns show --missing` shows the records, and `mailfix dns push` publishes them where the zone takes updates"
        }
        Some(Control::Provider | Control::None) => {
            "`mailfix dns request` writes the request to whoever runs the zone"
        }
        None => {
            "name the domain in mailfix.toml (`mailfix init` makes one); then `mailfix dns show --missing` shows the records"
        }
    }
}

/// How a record of a sending domain gets right.
pub(super) fn domain(sender: &Sender) -> String {
    if sender.control.is_none() && sender.known_by == [KnownBy::Myorigin].into() {
        return format!(
            "name `{}` in mailfix.toml (`mailfix init` makes one), or set `myorigin` in main.cf to a domain of yours that has its records",
            sender.name
        );
    }
    forward(sender.control).to_owned()
}
