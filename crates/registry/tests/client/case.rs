//! A registry, a front before it, and a client of the front.

use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use onlay_oci::{Compression, Descriptor, Family, MediaType};
use onlay_registry::{
    BlobBody, Client, ClientOptions, Mount, RegistryError, RepositoryClient, UploadSession,
};
use onlay_testkit::{Fault, Front, FrontAuth, LoggedRequest, Misbehaviour, Registry};

pub(crate) struct Case {
    pub(crate) registry: Registry,
    pub(crate) front: Front,
    pub(crate) client: Client,
}

impl Case {
    pub(crate) fn new() -> Self {
        Self::with(FrontAuth::Registry, ClientOptions::default())
    }

    pub(crate) fn with(auth: FrontAuth, options: ClientOptions) -> Self {
        let registry = Registry::start();
        let front = Front::start(registry.host(), auth);
        let client = Client::new(options).unwrap();
        Self {
            registry,
            front,
            client,
        }
    }

    /// A repository behind the front.
    pub(crate) fn repository(&self, name: &str) -> RepositoryClient {
        repository(&self.client, self.front.host(), name)
    }

    /// The same, past the front, by a client of its own: to prepare and to look after.
    pub(crate) fn straight(&self, name: &str) -> RepositoryClient {
        let client = Client::new(ClientOptions::default()).unwrap();
        repository(&client, self.registry.host(), name)
    }

    /// Puts a blob into a repository, past the front.
    pub(crate) async fn store(&self, name: &str, bytes: &Bytes) -> Descriptor {
        let descriptor = layer(bytes);
        let session = self.straight(name).start_upload().await.unwrap();
        let body = BlobBody::from_bytes(bytes.clone());
        session.put(&descriptor, body).await.unwrap();
        descriptor
    }

    pub(crate) fn inject(&self, times: usize, method: &str, path: &str, misbehaviour: Misbehaviour) {
        self.front.inject(Fault::times(times, method, path, misbehaviour));
    }

    pub(crate) fn requests(&self, method: &str, path: &str) -> Vec<LoggedRequest> {
        let mut requests = self.front.requests();
        requests.retain(|request| request.method == method && request.path.contains(path));
        requests
    }

    /// Methods and statuses in order, such as `POST 202`.
    pub(crate) fn exchanges(&self) -> Vec<String> {
        let exchange = |request: LoggedRequest| match request.status {
            Some(status) => format!("{} {status}", request.method),
            None => format!("{} -", request.method),
        };
        self.front.requests().into_iter().map(exchange).collect()
    }
}

pub(crate) fn repository(client: &Client, host: &str, name: &str) -> RepositoryClient {
    client.repository(&host.parse().unwrap(), &name.parse().unwrap())
}

/// A client that does not wait long for bytes.
pub(crate) fn impatient() -> ClientOptions {
    ClientOptions {
        idle_timeout: Duration::from_secs(1),
        ..ClientOptions::default()
    }
}

/// Bytes that do not repeat, so that a wrong offset shows.
pub(crate) fn bytes(size: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ size as u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..size).map(|_| next()).collect()
}

pub(crate) fn layer(bytes: &[u8]) -> Descriptor {
    Descriptor::of(MediaType::Layer(Family::Oci, Compression::Gzip), bytes)
}

pub(crate) async fn read(repository: &RepositoryClient, blob: &Descriptor) -> Result<Bytes, RegistryError> {
    let pieces: Vec<Bytes> = repository.pull_blob(blob).await?.try_collect().await?;
    Ok(pieces.concat().into())
}

pub(crate) fn session(mount: Mount) -> UploadSession {
    match mount {
        Mount::Session(session) => session,
        Mount::Mounted => panic!("the blob was mounted"),
    }
}

/// After how long a client hangs: it is not a measurement, and a busy machine takes many times what an idle one does.
const HANGS: Duration = Duration::from_secs(180);

/// A silence that no test waits out: who waits for its end hangs.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(3600);

/// Fails where a client would hang.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANGS, work)
        .await
        .expect("it ends within three minutes")
}
