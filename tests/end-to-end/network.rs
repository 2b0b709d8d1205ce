//! What a company puts between its machines and registries: proxies, authorities of its own, client certificates,
//! mirrors.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use onlay_testkit::{Registry, Strictness, TestBase, upload_layout, validate_registry};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::onlay::{Home, Run};

/// A name that only a proxy knows.
const NAME: &str = "registry.test";

/// A proxy before one address, whatever name is asked for.
struct Proxy {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Passes on what has this `Proxy-Authorization`.
    fn start(upstream: &str, authorization: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let (log, upstream) = (heads.clone(), upstream.to_owned());
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (log, upstream) = (log.clone(), upstream.clone());
                // A connection that breaks is seen by its other end.
                thread::spawn(move || serve(connection?, &upstream, authorization, &log));
            }
        });
        Self { address, heads }
    }

    /// The first lines of what came, one for each connection.
    fn lines(&self) -> Vec<String> {
        let heads = self.heads.lock().unwrap();
        heads
            .iter()
            .filter_map(|head| Some(head.lines().next()?.to_owned()))
            .collect()
    }
}

fn serve(
    mut client: TcpStream,
    upstream: &str,
    authorization: &str,
    log: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    log.lock().unwrap().push(text.clone());
    if !text
        .to_lowercase()
        .contains(&format!("proxy-authorization: {authorization}").to_lowercase())
    {
        return client.write_all(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n");
    }
    let mut server = TcpStream::connect(upstream)?;
    if text.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    } else {
        // Go's servers take the form of address that proxies are given.
        server.write_all(&head)?;
    }
    let (mut up, mut down) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || io::copy(&mut up, &mut down).and_then(|_| down.shutdown(Shutdown::Write)));
    io::copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Both)
}

/// A private authority, and what it signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(parameters, key),
            certificate,
        }
    }

    /// A certificate and its key.
    fn sign(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

/// A registry over TLS, with the same storage as another.
struct TlsRegistry {
    process: Child,
    host: String,
}

impl TlsRegistry {
    fn start(home: &Home, storage: &Path, server: &(String, String), clients: Option<&Authority>) -> Self {
        let host = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .to_string();
        let certificate = home.write("tls/server.pem", &server.0);
        let key = home.write("tls/server.key", &server.1);
        let clients = clients.map(|authority| home.write("tls/clients.pem", &authority.certificate));
        let clients = clients.map_or(String::new(), |file| format!("    clientcas:\n      - {file}\n"));
        let configuration = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {host}\n  secret: test\n  \
             tls:\n    certificate: {certificate}\n    key: {key}\n{clients}",
            storage.display(),
        );
        let process = Command::new("docker-registry")
            .args(["serve", &home.write("tls/registry.yml", &configuration)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry, Debian's package of that name");
        let start = Instant::now();
        while TcpStream::connect(&host).is_err() {
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "the registry does not come up"
            );
            thread::sleep(Duration::from_millis(10));
        }
        Self { process, host }
    }
}

impl Drop for TlsRegistry {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// A registry that has `base:1`.
fn registry_with_base(home: &Home) -> Registry {
    let registry = Registry::start();
    home.test_base(&TestBase::FULL);
    upload_layout(&home.join("base"), "1", registry.host(), "base", "1", None);
    registry
}

/// Edits `HOST/base:1` into `HOST/out:v`.
fn apply(home: &Home, host: &str, more: &[&str]) -> Run {
    let (base, destination) = (format!("{host}/base:1"), format!("{host}/out:v"));
    let arguments = ["apply", &base, "ENV A=1", "-t", &destination];
    home.run(&[&arguments, more].concat())
}

#[track_caller]
fn validate(registry: &Registry) {
    validate_registry(registry.host(), "out", "v", None, Strictness::NoLayer);
}

#[test]
fn plain_http_through_a_proxy() {
    let home = Home::new();
    let registry = registry_with_base(&home);
    let proxy = Proxy::start(registry.host(), "Basic dXNlcjpodW50ZXIy");
    let address = format!("http://user:hunter2@{}", proxy.address);
    let insecure = ["--insecure-registry", NAME];

    let home = home.with_variable("http_proxy", &address);
    let run = apply(&home, NAME, &insecure).success();
    validate(&registry);
    assert!(!format!("{run:?}").contains("hunter2"), "{run:?}");
    let wanted = format!("GET http://{NAME}/v2/base/manifests/1 HTTP/1.1");
    assert!(proxy.lines().contains(&wanted), "{:?}", proxy.lines());

    // Loopback addresses are spoken to straight, unless that is taken back.
    let before = proxy.lines().len();
    apply(&home, registry.host(), &[]).success();
    assert_eq!(proxy.lines().len(), before);
    let home = home.with_variable("no_proxy", "<-loopback>");
    apply(&home, registry.host(), &[]).success();
    assert!(proxy.lines().len() > before);
    let network = "<-loopback>, 127.0.0.0/8";
    let before = proxy.lines().len();
    let home = home.with_variable("no_proxy", network);
    apply(&home, registry.host(), &[]).success();
    assert_eq!(proxy.lines().len(), before);
}

/// A proxy that wants a password, given none, or another: nothing of it is shown.
#[test]
fn a_proxy_that_refuses() {
    let home = Home::new();
    let registry = registry_with_base(&home);
    let proxy = Proxy::start(registry.host(), "Basic dXNlcjpodW50ZXIy");
    let home = home.with_variable("ALL_PROXY", &format!("user:sesame@{}", proxy.address));
    let run = apply(&home, NAME, &["--insecure-registry", NAME]);
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr.contains("407") && !run.stderr.contains("sesame"),
        "{}",
        run.stderr
    );

    let home = home.with_variable("ALL_PROXY", &format!("socks5://user:sesame@{}", proxy.address));
    let run = apply(&home, NAME, &[]);
    assert_eq!(run.code, Some(2));
    assert!(
        run.stderr.contains("`socks5`") && !run.stderr.contains("sesame"),
        "{}",
        run.stderr
    );
}

/// Under CGI anybody may set `HTTP_PROXY`, by a header of that name.
#[test]
fn a_proxy_that_a_stranger_names() {
    let home = Home::new();
    let registry = registry_with_base(&home);
    let proxy = Proxy::start(registry.host(), "");
    let home = home
        .with_variable("HTTP_PROXY", &proxy.address)
        .with_variable("NO_PROXY", "<-loopback>")
        .with_variable("REQUEST_METHOD", "GET");
    apply(&home, registry.host(), &[]).success();
    assert!(proxy.lines().is_empty(), "{:?}", proxy.lines());
}

#[test]
fn tls_through_a_proxy() {
    let home = Home::new();
    let registry = registry_with_base(&home);
    let authority = Authority::new();
    let tls = TlsRegistry::start(&home, &registry.storage(), &authority.sign(NAME), None);
    let proxy = Proxy::start(&tls.host, "Basic dXNlcjpodW50ZXIy");
    let home = home.with_variable("HTTPS_PROXY", &format!("http://user:hunter2@{}", proxy.address));
    let file = home.write("ca.pem", &authority.certificate);
    let run = apply(&home, NAME, &["--ca-file", &file]).success();
    assert!(!format!("{run:?}").contains("hunter2"), "{run:?}");
    validate(&registry);
    let wanted = format!("CONNECT {NAME}:443 HTTP/1.1");
    assert!(
        proxy.lines().iter().all(|line| *line == wanted),
        "{:?}",
        proxy.lines()
    );
}

#[test]
fn a_private_authority() {
    let home = Home::new();
    let registry = registry_with_base(&home);
    let authority = Authority::new();
    let tls = TlsRegistry::start(&home, &registry.storage(), &authority.sign("127.0.0.1"), None);
    let (host, at) = (tls.host.as_str(), ["--tls", tls.host.as_str()]);
    let other = home.write("other/ca.pem", &Authority::new().certificate);
    let refused = apply(&home, host, &[&at[..], &["--ca-file", &other]].concat());
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("certificate"), "{}", refused.stderr);

    let file = home.write("trusted/ca.pem", &authority.certificate);
    apply(
        &home,
        host,
        &[&at[..], &["--ca-file", &other, "--ca-file", &file]].concat(),
    )
    .success();
    validate(&registry);
    apply(&Home::new().with_variable("SSL_CERT_FILE", &file), host, &at).success();
    let directories = format!("/nosuch:{}", home.join("trusted").display());
    apply(
        &Home::new().with_variable("SSL_CERT_DIR", &directories),
        host,
        &at,
    )
    .success();
    home.write(
        &format!(".config/containers/certs.d/{host}/ca.crt"),
        &authority.certificate,
    );
    apply(&home, host, &at).success();

    let empty = home.write("empty.pem", "nothing");
    let wrong = apply(&home, host, &["--ca-file", &empty]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("has no certificate"), "{}", wrong.stderr);
}

#[test]
fn a_registry_that_asks_for_a_certificate() {
    let home = Home::new();
    let registry = registry_with_base(&home);
    let authority = Authority::new();
    let server = authority.sign("127.0.0.1");
    let tls = TlsRegistry::start(&home, &registry.storage(), &server, Some(&authority));
    let (host, at) = (tls.host.as_str(), ["--tls", tls.host.as_str()]);
    let directory = PathBuf::from(format!(".config/containers/certs.d/{host}"));
    let place = |name: &str| directory.join(name).display().to_string();
    home.write(&place("ca.crt"), &authority.certificate);
    assert_eq!(apply(&home, host, &at).code, Some(1));

    let (certificate, key) = authority.sign("client");
    home.write(&place("client.cert"), &certificate);
    home.write(&place("client.key"), &key);
    apply(&home, host, &at).success();
    validate(&registry);

    // A certificate with the key of another is said before anything is sent.
    home.write(&place("client.key"), &server.1);
    let wrong = apply(&home, host, &at);
    assert!(
        wrong.stderr.contains(host) && !wrong.stderr.contains("PRIVATE"),
        "{}",
        wrong.stderr
    );
    assert_ne!(wrong.code, Some(0));
}
