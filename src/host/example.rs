//! Hosts for tests: a stock configuration with lines of the test behind it.
//!
//! Of settings and services given twice the last one counts, so a line added is a line changed.

use super::{Host, observe_dns, stock};
use crate::dns::FixedResolver;
use crate::postfix::Version;
use crate::profile::Profile;
use crate::system::{File, Kind, Stat};

/// A host of the profile `linux` with these lines added to its files.
pub fn host(version: &str, main: &str, master: &str) -> Host {
    let mut profile = Profile::built_in("linux").unwrap();
    let parsed = Version::parse(version).unwrap();
    let level = match parsed {
        parsed if parsed < Version::new(3, 0, 0) => "0",
        parsed if parsed < Version::new(3, 6, 0) => "2",
        _ => "3.6",
    };
    version.clone_into(&mut profile.stock.version);
    let text = format!(
        "{}compatibility_level = {level}\n{main}\n",
        profile.stock.main_cf
    );
    profile.stock.main_cf = text.leak();
    profile.stock.master_cf = format!("{}{master}\n", profile.stock.master_cf).leak();
    stock(&profile).unwrap()
}

/// The same host after its files were written anew, as a second run finds it.
pub fn again(version: &str, file: impl Fn(&str) -> File) -> Host {
    let mut profile = Profile::built_in("linux").unwrap();
    version.clone_into(&mut profile.stock.version);
    let text = |name: &str| String::from_utf8(file(name).bytes).unwrap().leak();
    profile.stock.main_cf = text("main.cf");
    profile.stock.master_cf = text("master.cf");
    stock(&profile).unwrap()
}

/// A directory as root makes it.
pub fn directory(path: &str) -> Stat {
    Stat {
        kind: Kind::Directory,
        mode: 0o755,
        uid: 0,
        gid: 0,
        real: path.into(),
        modified: 0,
        size: 0,
        inode: 0,
    }
}

/// What a zone says of these addresses and domains.
pub fn dns(zone: &str, addresses: &[&str], domains: &[&str]) -> super::DnsFacts {
    let addresses: Vec<_> = addresses.iter().map(|text| text.parse().unwrap()).collect();
    let domains: Vec<_> = domains.iter().map(ToString::to_string).collect();
    observe_dns(
        &FixedResolver::from_zone(zone).unwrap(),
        &addresses,
        &domains,
    )
}
