//! What a company puts between its machines and registries: proxies, authorities of its own, client certificates,
//! mirrors.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use onlay_testkit::{
    Credential, Fault, Front, FrontAuth, Misbehaviour, Registry, Strictness, TestBase, upload_layout,
    validate_registry,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::ecr::{HOST as ECR, Moto};
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
    let head = read_head(&mut client)?;
    let text = String::from_utf8_lossy(&head).into_owned();
    log.lock().unwrap().push(text.clone());
    let is_welcome = authorization.is_empty()
        || text
            .to_lowercase()
            .contains(&format!("proxy-authorization: {authorization}").to_lowercase());
    if !is_welcome {
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

/// Reads a request up to its body.
fn read_head(connection: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        connection.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(head)
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
                start.elapsed() < Duration::from_secs(90),
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

/// A server that answers every request with the same text.
fn start_server(text: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    thread::spawn(move || {
        for connection in listener.incoming() {
            let answer = |mut connection: TcpStream| {
                read_head(&mut connection)?;
                connection.write_all(answer.as_bytes())
            };
            // A connection that breaks is seen by its other end.
            _ = connection.and_then(answer);
        }
    });
    address
}

/// The context, and what ADD names in it.
#[test]
fn downloads_through_a_proxy() {
    let home = Home::new();
    let registry = registry_with_base(&home);
    let server = start_server(&format!(
        "FROM {}/base:1\nADD http://{NAME}/file /file\n",
        registry.host()
    ));
    let proxy = Proxy::start(&server, "Basic dXNlcjpodW50ZXIy");
    let home = home.with_variable("http_proxy", &format!("http://user:hunter2@{}", proxy.address));
    let (context, destination) = (
        format!("http://{NAME}/Dockerfile"),
        format!("{}/out:v", registry.host()),
    );
    let run = home.run(&["build", &context, "-t", &destination]).success();
    assert!(!format!("{run:?}").contains("hunter2"), "{run:?}");
    let above = Strictness::LayersAbove(TestBase::LAYERS);
    validate_registry(registry.host(), "out", "v", None, above);
    let wanted = ["Dockerfile", "file"].map(|name| format!("GET http://{NAME}/{name} HTTP/1.1"));
    assert_eq!(proxy.lines(), wanted);
}

#[test]
fn downloads_with_a_private_authority() {
    let home = Home::new();
    let registry = registry_with_base(&home);
    let authority = Authority::new();
    let tls = TlsRegistry::start(&home, &registry.storage(), &authority.sign(NAME), None);
    let proxy = Proxy::start(&tls.host, "");
    let home = home.with_variable("https_proxy", &proxy.address);
    // What registries answer there is a file as good as any.
    let add = format!("ADD https://{NAME}/v2/ /answer");
    let (base, destination) = (
        format!("{}/base:1", registry.host()),
        format!("{}/out:v", registry.host()),
    );
    let arguments = ["apply", &base, &add, "-t", &destination];
    let refused = home.run(&arguments);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("certificate"), "{}", refused.stderr);

    let file = home.write("ca.pem", &authority.certificate);
    home.run(&[&arguments[..], &["--ca-file", &file]].concat())
        .success();
    home.write(
        &format!(".config/containers/certs.d/{NAME}/ca.crt"),
        &authority.certificate,
    );
    home.run(&arguments).success();
    let above = Strictness::LayersAbove(TestBase::LAYERS);
    validate_registry(registry.host(), "out", "v", None, above);
}

/// What is tried again is said, and not for long where nobody listens.
#[test]
fn a_registry_that_is_not_there() {
    let home = Home::new();
    let run = apply(&home, "127.0.0.1:1", &[]);
    assert_eq!(run.code, Some(1));
    let again = "127.0.0.1:1: no answer (connection refused), trying again in ";
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert!(
        lines[0].starts_with(again) && lines[0].ends_with(" s (2 of 2)"),
        "{}",
        run.stderr
    );
    assert_eq!(run.stderr.matches("trying again").count(), 1);
    let shown = |progress: &str| apply(&home, "127.0.0.1:1", &[progress]).stderr;
    let json = shown("--progress=json");
    let event: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(event["event"], "retry");
    assert_eq!(event["host"], "127.0.0.1:1");
    assert_eq!(event["attempt"], 2);
    assert!(event["waitSeconds"].is_number());
    assert!(!shown("--progress=quiet").contains("trying again"));
    // Commands that only look say it too.
    let look = home.run(&["digest", "127.0.0.1:1/base:1"]);
    assert!(look.stderr.starts_with(again), "{}", look.stderr);
}

/// AWS's own services take the same way as registries.
#[test]
fn ecrs_api_through_a_proxy() {
    let home = Home::new();
    let authority = Authority::new();
    let (certificate, key) = authority.sign(NAME);
    let files = [home.write("moto.pem", &certificate), home.write("moto.key", &key)];
    let moto = Moto::start_with(&["-s", "-c", &files[0], "-k", &files[1]]);
    let registry = registry_with_base(&home);
    let proxy = Proxy::start(&format!("127.0.0.1:{}", moto.port), "Basic dXNlcjpodW50ZXIy");
    let home = home
        .with_variable("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .with_variable("AWS_SECRET_ACCESS_KEY", "secret-of-aws")
        .with_variable("AWS_ENDPOINT_URL_ECR", &format!("https://{NAME}"))
        .with_variable("HTTPS_PROXY", &format!("http://user:hunter2@{}", proxy.address));
    let (base, destination) = (format!("{}/base:1", registry.host()), format!("{ECR}/out:v"));
    let (endpoint, file) = (
        format!("{ECR}=http://{}/", registry.host()),
        home.write("ca.pem", &authority.certificate),
    );
    let arguments = [
        "apply",
        &base,
        "ENV A=1",
        "-t",
        &destination,
        "--registry-endpoint",
        &endpoint,
        "--ecr-create-repository",
    ];
    let refused = home.run(&arguments);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("certificate"), "{}", refused.stderr);

    let run = home
        .run(&[&arguments[..], &["--ca-file", &file]].concat())
        .success();
    assert!(!format!("{run:?}").contains("hunter2"), "{run:?}");
    validate(&registry);
    let wanted = format!("CONNECT {NAME}:443 HTTP/1.1");
    assert!(
        proxy.lines().iter().all(|line| *line == wanted),
        "{:?}",
        proxy.lines()
    );
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

/// An upstream with the base, and mirrors of it behind fronts, which log what they are asked.
struct Mirrored {
    home: Home,
    upstream: Registry,
    front: Front,
}

impl Mirrored {
    fn new() -> Self {
        let home = Home::new();
        let upstream = registry_with_base(&home);
        let front = Front::start(upstream.host(), FrontAuth::Registry);
        Self {
            home,
            upstream,
            front,
        }
    }

    /// A registry that has the base as `REPOSITORY:1`.
    fn mirror(&self, repository: &str) -> (Registry, Front) {
        let registry = Registry::start();
        upload_layout(
            &self.home.join("base"),
            "1",
            registry.host(),
            repository,
            "1",
            None,
        );
        let front = Front::start(registry.host(), FrontAuth::Registry);
        (registry, front)
    }

    /// Adds a layer, so that layers are read too, and pushes to the upstream. Nothing is known from an earlier run.
    fn apply(&self, more: &[&str]) -> Run {
        let cache = tempfile::tempdir_in(self.home.path()).unwrap();
        let cache = cache.path().display().to_string();
        let base = format!("{}/base:1", self.front.host());
        let destination = format!("{}/out:v", self.front.host());
        let arguments = [
            "apply",
            &base,
            "RUN mkdir /srv/x",
            "-t",
            &destination,
            "--cache-dir",
            &cache,
        ];
        self.home.run(&[&arguments, more].concat())
    }

    #[track_caller]
    fn succeeds(&self, more: &[&str]) {
        self.apply(more).success();
        let above = Strictness::LayersAbove(TestBase::LAYERS);
        validate_registry(self.upstream.host(), "out", "v", None, above);
    }
}

/// The requests that read the base, as `METHOD PATH` with the digest left out.
fn reads(front: &Front) -> Vec<String> {
    let requests = front.requests().into_iter();
    requests
        .filter(|request| request.method == "GET" && !request.path.contains("/out/"))
        .map(|request| request.path)
        .collect()
}

#[test]
fn a_mirror_that_has_the_image() {
    let case = Mirrored::new();
    let (_registry, mirror) = case.mirror("hub/base");
    let argument = format!("{}={}/hub", case.front.host(), mirror.host());
    case.succeeds(&["--registry-mirror", &argument]);
    assert_eq!(reads(&case.front), [""; 0]);
    let paths = reads(&mirror);
    assert_eq!(paths[0], "/v2/hub/base/manifests/1");
    assert!(
        paths.iter().any(|path| path.starts_with("/v2/hub/base/blobs/")),
        "{paths:?}"
    );
    // Nothing is ever written to a mirror.
    assert!(
        mirror
            .requests()
            .iter()
            .all(|request| ["GET", "HEAD"].contains(&request.method.as_str()))
    );
}

/// A pull-through cache fetches an image when its tag is asked for, and lacks parts of it for a while (containers-roadmap
/// 2837).
#[test]
fn a_cache_that_is_still_fetching_the_image() {
    let case = Mirrored::new();
    let (_registry, cache) = case.mirror("hub/base");
    for path in ["/manifests/1", "/blobs/"] {
        let lacking = Misbehaviour::answer(404, &[]);
        cache.inject(Fault::times(1, "GET", path, lacking));
    }
    cache.inject(Fault::times(
        1,
        "HEAD",
        "/manifests/1",
        Misbehaviour::answer(404, &[]),
    ));
    let argument = format!("{}={}/hub", case.front.host(), cache.host());
    let profile = format!("{}=ecr", cache.host());
    let arguments = ["--registry-mirror", &argument, "--registry-profile", &profile];
    let run = case.apply(&arguments).success();
    assert_eq!(reads(&case.front), [""; 0]);
    let said = run
        .stderr
        .matches("a pull-through cache may be fetching it")
        .count();
    assert_eq!(said, 2, "{}", run.stderr);

    // Elsewhere what is lacking is lacking.
    cache.inject(Fault::times(
        1,
        "GET",
        "/manifests/1",
        Misbehaviour::answer(404, &[]),
    ));
    let run = case.apply(&["--registry-mirror", &argument]).success();
    assert!(run.stderr.contains("was passed over"), "{}", run.stderr);
    assert!(!reads(&case.front).is_empty());
}

#[test]
fn mirrors_that_fail() {
    let case = Mirrored::new();
    let lacks = Registry::start();
    let (_registry, refuses) = case.mirror("base");
    refuses.inject(Fault::always("GET", "/", Misbehaviour::answer(403, &[])));
    let (_other, broken) = case.mirror("base");
    broken.inject(Fault::always("GET", "/", Misbehaviour::answer(500, &[])));
    let (_last, cuts) = case.mirror("base");
    cuts.inject(Fault::always(
        "GET",
        "/blobs/",
        Misbehaviour::CutBody { after: 0 },
    ));
    // Takes connections, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent
        .local_addr()
        .map(|address| (silent, address.to_string()))
        .unwrap();
    for host in [
        &silent.1,
        lacks.host(),
        "127.0.0.1:1",
        refuses.host(),
        broken.host(),
        cuts.host(),
    ] {
        let argument = format!("{}={host}", case.front.host());
        let run = case.apply(&["--registry-mirror", &argument, "--answer-timeout", "1"]);
        let warning = format!("warning: mirror `{host}/base` was passed over: ");
        assert!(run.success().stderr.contains(&warning), "{host}");
        assert!(!reads(&case.front).is_empty(), "{host}");
        case.front.clear_requests();
    }
    assert!(!reads(&broken).is_empty() && !reads(&refuses).is_empty() && !reads(&cuts).is_empty());
}

/// What a mirror gives is verified, and one that lies is named.
#[test]
fn mirrors_that_lie() {
    let case = Mirrored::new();
    for (path, lie) in [
        ("/blobs/", Misbehaviour::CorruptByte { at: 20 }),
        ("/manifests/sha256:", Misbehaviour::ReplaceBody(b"{}".to_vec())),
    ] {
        let (_registry, mirror) = case.mirror("base");
        mirror.inject(Fault::always("GET", path, lie));
        let argument = format!("{}={}", case.front.host(), mirror.host());
        let run = case.apply(&["--registry-mirror", &argument]);
        assert_eq!(run.code, Some(1));
        for word in ["expected sha256:", "found sha256:", mirror.host()] {
            assert!(run.stderr.contains(word), "`{word}` is not in:\n{}", run.stderr);
        }
    }
}

#[test]
fn registries_conf() {
    let case = Mirrored::new();
    let (_registry, mirror) = case.mirror("hub/base");
    let upstream = case.front.host();
    let text = format!(
        "[[registry]]\nprefix = '{upstream}/base'\nlocation = 'nowhere.invalid/base'\n\
         [[registry.mirror]]\nlocation = '{}/hub/base'\n\
         [[registry]]\nlocation = '{upstream}/secret'\nblocked = true\n",
        mirror.host()
    );
    let file = case.home.write("registries.conf", &text);
    case.succeeds(&["--registries-conf", &file]);
    assert_eq!(reads(&case.front), [""; 0]);
    let secret = format!("{upstream}/secret:1");
    let blocked = case
        .home
        .run(&["apply", &secret, "ENV A=1", "--registries-conf", &file]);
    assert!(blocked.stderr.contains("is blocked by"), "{}", blocked.stderr);

    // The user's own place; a file that is named instead of it; and one that is wrong.
    case.home
        .write(".config/containers/registries.conf.d/10-mirror.conf", &text);
    case.succeeds(&[]);
    assert_eq!(reads(&case.front), [""; 0]);
    let empty = case.home.write("empty.conf", "");
    case.succeeds(&["--registries-conf", &empty]);
    assert!(!reads(&case.front).is_empty());
    let wrong = case.home.write(
        "wrong.conf",
        "[[registry]]\nlocation = 'a.example'\nfast = true\n",
    );
    let run = case.apply(&["--registries-conf", &wrong]);
    assert!(
        run.code == Some(2) && run.stderr.contains("`fast`"),
        "{}",
        run.stderr
    );
}

/// Over TLS with an authority that only the host's own file names, under a path that is all there is.
#[test]
fn hosts_toml() {
    let case = Mirrored::new();
    let (registry, mirror) = case.mirror("hub/base");
    let authority = Authority::new();
    let tls = TlsRegistry::start(
        &case.home,
        &registry.storage(),
        &authority.sign("127.0.0.1"),
        None,
    );
    let directory = format!("hosts/{}", case.front.host());
    case.home
        .write(&format!("{directory}/ca.pem"), &authority.certificate);
    let text = format!(
        "[host.'https://{}/v2/hub']\ncapabilities = ['pull']\noverride_path = true\nca = 'ca.pem'\n\
         [host.'http://{}/v2/hub']\ncapabilities = ['resolve', 'pull']\noverride_path = true\n",
        tls.host,
        mirror.host()
    );
    case.home.write(&format!("{directory}/hosts.toml"), &text);
    let hosts = case.home.join("hosts").display().to_string();
    case.succeeds(&["--hosts-dir", &hosts]);
    assert_eq!(reads(&case.front), [""; 0]);
    // Only the second looks tags up; what has a digest comes from the first.
    assert_eq!(
        reads(&mirror),
        [format!(
            "/v2/hub/base/manifests/1?ns={}",
            case.front.host().replace(':', "%3A")
        )]
    );
}

/// Refused before any request, with the place where it belongs, and never shown; not even where a file is malformed.
#[test]
fn a_password_in_a_mirrors_address() {
    let case = Mirrored::new();
    let location = |text: &str| case.home.write("registries.conf", text);
    let conf = location("[[registry]]\nlocation = 'user:hunter2@a.example'\n");
    let refused = |arguments: &[&str], words: &str| {
        let run = case.apply(arguments);
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains(words), "{}", run.stderr);
        assert!(!format!("{run:?}").contains("hunter2"), "{run:?}");
    };
    let belongs =
        "has a password in the address of `a.example`, expected none: it belongs in docker's configuration";
    refused(&["--registries-conf", &conf], belongs);
    let cut = location("[[registry]]\nlocation = 'user:hunter2@a.example\n");
    refused(&["--registries-conf", &cut], "is malformed");
    refused(
        &["--registry-mirror", "docker.io=user:hunter2@a.example"],
        belongs,
    );
    refused(&["--registry-mirror", "user:hunter2@a.example"], "has no `=`");

    let hosts = case.home.join("hosts").display().to_string();
    for address in [
        "https://user:hunter2@a.example",
        "https://:hunter2@a.example",
        "user:hunter2@a.example",
    ] {
        case.home
            .write("hosts/docker.io/hosts.toml", &format!("[host.'{address}']\n"));
        refused(&["--hosts-dir", &hosts], belongs);
    }
    assert!(case.front.requests().is_empty());
}

/// A mirror gets the credentials of its own host, and never those of the registry that it stands in for.
#[test]
fn credentials_of_a_mirror() {
    let case = Mirrored::new();
    let (own, other) = (
        Credential::new("mirror", "hunter2"),
        Credential::new("upstream", "sesame"),
    );
    let registry = Registry::start_with_credential(&own);
    upload_layout(
        &case.home.join("base"),
        "1",
        registry.host(),
        "base",
        "1",
        Some(&own),
    );
    let mirror = Front::start(registry.host(), FrontAuth::Registry);
    let argument = format!("{}={}", case.front.host(), mirror.host());
    let encoded = |credential: &Credential| credential.basic().trim_start_matches("Basic ").to_owned();
    let upstream_only = serde_json::json!({ "auths": { case.front.host(): { "auth": encoded(&other) } } });
    case.home.write(".docker/config.json", &upstream_only.to_string());
    case.succeeds(&["--registry-mirror", &argument]);
    assert!(
        mirror
            .requests()
            .iter()
            .all(|request| request.authorization.is_none())
    );
    assert!(!reads(&case.front).is_empty());

    case.front.clear_requests();
    let both = serde_json::json!({ "auths": {
        case.front.host(): { "auth": encoded(&other) },
        mirror.host(): { "auth": encoded(&own) },
    } });
    case.home.write(".docker/config.json", &both.to_string());
    case.succeeds(&["--registry-mirror", &argument]);
    assert_eq!(reads(&case.front), [""; 0]);
}

/// `insecure` and `skip_verify`: whatever certificate, and for `insecure` no TLS at all where there is none.
#[test]
fn mirrors_that_are_not_verified() {
    let case = Mirrored::new();
    let (registry, mirror) = case.mirror("base");
    let tls = TlsRegistry::start(
        &case.home,
        &registry.storage(),
        &Authority::new().sign("other.test"),
        None,
    );
    let upstream = case.front.host().to_owned();
    let host = format!("[host.'https://{}']\n", tls.host);
    let file = format!("hosts/{upstream}/hosts.toml");
    let hosts = case.home.join("hosts").display().to_string();
    case.home.write(&file, &format!("{host}skip_verify = true\n"));
    case.succeeds(&["--hosts-dir", &hosts]);
    assert_eq!(reads(&case.front), [""; 0]);
    case.home.write(&file, &host);
    case.succeeds(&["--hosts-dir", &hosts]);
    assert!(!reads(&case.front).is_empty());

    let plain = Proxy::start(mirror.host(), "");
    let mut case = case;
    case.home = case.home.with_variable("ALL_PROXY", &plain.address);
    case.front.clear_requests();
    let text = format!(
        "[[registry]]\nlocation = '{upstream}'\n[[registry.mirror]]\nlocation = '{NAME}'\ninsecure = true\n"
    );
    let conf = case.home.write("insecure.conf", &text);
    case.succeeds(&["--registries-conf", &conf]);
    assert_eq!(reads(&case.front), [""; 0]);
    assert!(
        plain.lines().contains(&format!("CONNECT {NAME}:443 HTTP/1.1")),
        "{:?}",
        plain.lines()
    );
    assert!(!reads(&mirror).is_empty());
}
