use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::address::is_forbidden_address;

/// Resolves names, but not to forbidden addresses: a name that a server leads to may stand for one of them. It is the
/// look-up that the connection uses, so that the answer cannot change in between.
pub(crate) struct GuardedResolver;

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| !is_forbidden_address(address.ip()))
                .collect();
            if allowed.is_empty() {
                let name = name.as_str().to_owned();
                return Err(ForbiddenName { name }.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// A name that stands for forbidden addresses only.
#[derive(Debug, thiserror::Error)]
#[error("`{name}` has no address that may be asked")]
pub(crate) struct ForbiddenName {
    pub(crate) name: String,
}
