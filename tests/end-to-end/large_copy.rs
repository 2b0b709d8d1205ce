//! A copy of two GiB in eight layers: what it takes of memory and disk. The registries are made up here, since real ones
//! would write four GiB.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use onlay_testkit::sha256;
use serde_json::{Value, json};

use crate::memory_group::MemoryGroup;
use crate::onlay::Home;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const LAYERS: u64 = 8;
const LAYER_SIZE: u64 = 256 << 20;
/// What a copy may take, whatever the size of the image: it is killed where it takes more.
const MEMORY: u64 = 64 << 20;

/// An image whose layers are zeros, each of another size, in a registry that makes them up.
struct Source {
    manifest: Vec<u8>,
    config: (String, Vec<u8>),
    layers: Vec<(String, u64)>,
}

impl Source {
    fn new() -> Self {
        let zeros = vec![0; (LAYER_SIZE + LAYERS) as usize];
        let layers: Vec<(String, u64)> = (0..LAYERS)
            .map(|number| LAYER_SIZE + number)
            .map(|size| (sha256(&zeros[..size as usize]), size))
            .collect();
        let diff_ids: Vec<&String> = layers.iter().map(|(digest, _)| digest).collect();
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = config.to_string().into_bytes();
        let described = |media_type: &str, digest: &str, size: u64| -> Value {
            json!({ "mediaType": format!("application/vnd.oci.image.{media_type}"), "digest": digest, "size": size })
        };
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": described("config.v1+json", &sha256(&config), config.len() as u64),
            "layers": layers
                .iter()
                .map(|(digest, size)| described("layer.v1.tar", digest, *size))
                .collect::<Vec<_>>(),
        });
        Self {
            manifest: manifest.to_string().into_bytes(),
            config: (sha256(&config), config),
            layers,
        }
    }

    fn answer(&self, request: &Request, to: &mut TcpStream) -> io::Result<()> {
        let digest = sha256(&self.manifest);
        let headers = format!("Content-Type: {MANIFEST}\r\nDocker-Content-Digest: {digest}\r\n");
        let name = request.path.rsplit('/').next().unwrap_or_default();
        let layer = self.layers.iter().find(|(digest, _)| digest == name);
        match (request.method.as_str(), layer) {
            _ if name == "1" || name == digest => {
                respond(to, 200, &headers, self.manifest.len() as u64)?;
                match request.method.as_str() {
                    "HEAD" => Ok(()),
                    _ => to.write_all(&self.manifest),
                }
            }
            ("GET", _) if name == self.config.0 => {
                respond(to, 200, "", self.config.1.len() as u64)?;
                to.write_all(&self.config.1)
            }
            ("GET", Some((_, size))) => {
                respond(to, 200, "", *size)?;
                io::copy(&mut io::repeat(0).take(*size), to).map(drop)
            }
            _ => respond(to, 404, "", 0),
        }
    }
}

struct Request {
    method: String,
    path: String,
    length: u64,
}

impl Request {
    fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            match header.trim_end().split_once(": ") {
                None => return Ok(Some(Self { method, path, length })),
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().map_err(io::Error::other)?;
                }
                Some(_) => {}
            }
        }
    }
}

fn respond(to: &mut TcpStream, status: u16, headers: &str, length: u64) -> io::Result<()> {
    write!(
        to,
        "HTTP/1.1 {status} Made-Up\r\n{headers}Content-Length: {length}\r\n\r\n"
    )
}

/// Answers every connection until the test ends.
fn serve(
    answer: impl Fn(&Request, &mut BufReader<TcpStream>, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || -> io::Result<()> {
                let mut reader = BufReader::new(connection.try_clone()?);
                while let Some(request) = Request::read(&mut reader)? {
                    answer(&request, &mut reader, &mut connection)?;
                }
                Ok(())
            });
        }
    });
    host
}

#[test]
fn two_gigabytes_go_through_little_memory_and_no_disk() {
    let source = Source::new();
    let digest = sha256(&source.manifest);
    let from = serve(move |request, _, to| source.answer(request, to));
    let received = Arc::new(AtomicU64::new(0));
    let count = received.clone();
    let to = serve(move |request, body, to| {
        let taken = io::copy(&mut body.take(request.length), &mut io::sink())?;
        count.fetch_add(taken, Ordering::Relaxed);
        match request.method.as_str() {
            "POST" => respond(to, 202, "Location: /v2/large/blobs/uploads/1\r\n", 0),
            "PUT" => respond(to, 201, "", 0),
            _ => respond(to, 404, "", 0),
        }
    });
    let home = Home::new();
    let (from, to) = (format!("{from}/large:1"), format!("{to}/large:1"));
    let group = MemoryGroup::new(MEMORY);
    let mut command = group.wrap(&home.command(&["copy", &from, &to]));
    let mut copying = command.stdout(Stdio::piped()).spawn().unwrap();
    let (mut peak, mut written) = (0, 0);
    while copying.try_wait().unwrap().is_none() {
        // The kernel's own high-water marks; the last look misses some milliseconds at most.
        peak = peak.max(counter(copying.id(), "status", "VmHWM:").unwrap_or(0) * 1024);
        written = written.max(counter(copying.id(), "io", "write_bytes:").unwrap_or(0));
        thread::sleep(Duration::from_millis(5));
    }
    let output = copying.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("{to}@{digest}\n")
    );
    assert!(received.load(Ordering::Relaxed) > LAYERS * LAYER_SIZE);
    assert!(peak > 0 && peak < MEMORY, "{peak} bytes of memory");
    assert_eq!(written, 0, "bytes were written to a disk");
}

/// A number that the kernel keeps of a process.
fn counter(process: u32, file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/{file}")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}
