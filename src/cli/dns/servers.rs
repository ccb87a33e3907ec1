//! Which DNS servers are asked: the options of every command that asks about records.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;

use crate::cli::{Failure, Session};
use crate::dns::{CachedResolver, RealResolver, Resolver, server_address};

/// How long one question may take.
const EACH: Duration = Duration::from_secs(5);

/// Whom to ask.
#[derive(Clone, Debug, Default, Args)]
pub struct Asking {
    /// Ask this DNS server instead of those in `/etc/resolv.conf`
    #[arg(long, value_name = "IP[:PORT]", value_parser = server, conflicts_with = "offline")]
    server: Option<SocketAddr>,
}

impl Asking {
    /// Makes the session ask the servers wanted from here on, each question once.
    pub fn begin(&self, session: &mut Session) -> Result<(), Failure> {
        if session.common.offline || (session.resolver.is_some() && self.server.is_none()) {
            return Ok(());
        }
        let resolver = match self.server {
            Some(server) => RealResolver::new(vec![server], Instant::now()),
            None => RealResolver::from_resolv_conf(&session.resolv_conf()?, Instant::now()),
        };
        let resolver = CachedResolver::new(resolver.allowing_each(EACH));
        session.resolver = Some(Arc::new(resolver) as Arc<dyn Resolver>);
        Ok(())
    }
}

/// Reads the address of a server as a word of the command line.
fn server(word: &str) -> Result<SocketAddr, String> {
    server_address(word).ok_or_else(|| {
        "a server is given by its address: `192.0.2.53`, `192.0.2.53:5353`, `2001:db8::53` or \
         `[2001:db8::53]:5353`"
            .to_owned()
    })
}
