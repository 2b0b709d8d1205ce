use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::Reach;

/// Resolves names, but not to addresses out of reach: a name that a server leads to may stand for one of them. It is the
/// look-up that the connection uses, so that the answer cannot change in between.
pub(crate) struct GuardedResolver {
    pub(crate) lookup: Lookup,
    pub(crate) reach: Reach,
}

/// How a name is looked up.
pub(crate) type Lookup = Arc<dyn Fn(String) -> Found + Send + Sync>;

/// The addresses of a name, when they are known.
pub(crate) type Found = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// The system's way.
pub(crate) fn system() -> Lookup {
    Arc::new(|name| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.collect())
        })
    })
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.reach;
        let found = (self.lookup)(name.as_str().to_owned());
        Box::pin(async move {
            let found = found.await.map_err(|source| UnknownName {
                name: name.as_str().to_owned(),
                source,
            })?;
            let allowed: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| reach.allows_address(address.ip()))
                .collect();
            if allowed.is_empty() {
                let name = name.as_str().to_owned();
                return Err(ForbiddenName { name, reach }.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// A name that stands for addresses out of reach only.
#[derive(Debug, thiserror::Error)]
#[error("`{name}` has no {}address that may be asked", match reach {
    Reach::Anywhere => "",
    Reach::Public => "public ",
})]
pub(crate) struct ForbiddenName {
    pub(crate) name: String,
    pub(crate) reach: Reach,
}

/// A name that could not be looked up.
#[derive(Debug, thiserror::Error)]
#[error("`{name}` could not be looked up")]
pub(crate) struct UnknownName {
    pub(crate) name: String,
    pub(crate) source: io::Error,
}
