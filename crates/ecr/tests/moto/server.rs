//! A running `moto_server`.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// moto's server on a loopback port of its own; ends when dropped.
pub(crate) struct Moto {
    process: Child,
    endpoint: String,
    dir: TempDir,
}

/// How long it may take to answer; Python needs a second or two on a busy machine.
const START: Duration = Duration::from_secs(60);

impl Moto {
    pub(crate) fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("the loopback has a free port")
            .port();
        let dir = tempfile::tempdir().unwrap();
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(dir.path().join("log"))
            .unwrap();
        let program = program();
        let process = Command::new(&program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "`{}`: {error}; `pip install 'moto[server]'`, and name it in ONLAY_MOTO_SERVER",
                    program.display()
                )
            });
        let moto = Self {
            process,
            endpoint: format!("http://127.0.0.1:{port}"),
            dir,
        };
        moto.wait(port);
        moto
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// How many requests it has answered, as its log has them. Connections without a request do not count.
    pub(crate) fn requests(&self) -> usize {
        // Refusals have colours between the quote and the method.
        self.log().matches("POST / HTTP/1.1").count()
    }

    /// The repositories in the region of the tests, from the server itself.
    pub(crate) async fn repositories(&self) -> Vec<String> {
        let answer = crate::client(&self.endpoint)
            .describe_repositories()
            .send()
            .await
            .unwrap();
        answer
            .repositories()
            .iter()
            .filter_map(|repository| repository.repository_name().map(str::to_owned))
            .collect()
    }

    fn log(&self) -> String {
        fs_err::read_to_string(self.dir.path().join("log")).unwrap()
    }

    fn wait(&self, port: u16) {
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                start.elapsed() < START,
                "moto_server does not answer; its log:\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // Failing means that it has ended already.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "only the environment knows where the machine has moto"
)]
fn program() -> PathBuf {
    std::env::var_os("ONLAY_MOTO_SERVER").map_or_else(|| PathBuf::from("moto_server"), PathBuf::from)
}
