//! SSH agents: a socket in the root filesystem, each of whose connections is passed on to the agent outside.

use std::io;
use std::path::PathBuf;

use onlay_layer::ImagePath;
use onlay_sandbox::{Root, RootError};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// An agent that a command may ask.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    /// Where the command finds it.
    pub(crate) place: ImagePath,
    /// Where it is.
    pub(crate) socket: PathBuf,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Connections are passed on until it is dropped.
pub(crate) struct RunningAgent(JoinHandle<()>);

impl Agent {
    /// Puts the socket in its place. Within the runtime that is to serve it.
    pub(crate) fn start(&self, root: &mut Root) -> Result<io::Result<RunningAgent>, RootError> {
        root.discard(&self.place)?;
        let listener = root.listen(&self.place, self.mode, self.uid, self.gid)?;
        Ok(self.serve(listener))
    }

    fn serve(&self, listener: std::os::unix::net::UnixListener) -> io::Result<RunningAgent> {
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        let agent = self.socket.clone();
        let serving = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(pass_on(client, agent.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(RunningAgent(serving))
    }
}

/// What fails, the command sees as a connection that ends.
async fn pass_on(mut client: UnixStream, agent: PathBuf) {
    if let Ok(mut agent) = UnixStream::connect(agent).await {
        _ = tokio::io::copy_bidirectional(&mut client, &mut agent).await;
    }
}

impl Drop for RunningAgent {
    fn drop(&mut self) {
        self.0.abort();
    }
}
