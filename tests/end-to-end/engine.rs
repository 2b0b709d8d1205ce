//! Docker's engine loads, pulls and runs what was made, and makes the same of the same Dockerfile.
//!
//! The engine is Debian's, whose BuildKit is of 2020: newer syntax is compared elsewhere.

use std::process::Command;

use onlay_testkit::{Platform, Registry, RootFs, Strictness, TestBase, flatten_layout};
use onlay_testkit::{upload_layout, validate_registry};
use serde_json::Value;

use crate::dockerd::Dockerd;
use crate::onlay::Home;

const ABOVE_BASE: Strictness = Strictness::LayersAbove(TestBase::LAYERS);

/// How many entries the base's history has: its layers, ENV and CMD.
const BASE_HISTORY: usize = TestBase::LAYERS + 2;

/// Dockerfiles without their FROM, by name: instructions of every kind, on paths with every trap of the base.
const DOCKERFILES: &[(&str, &str)] = &[
    ("mixed", MIXED),
    ("files", FILES),
    ("directories", DIRECTORIES),
    ("configuration", CONFIGURATION),
    ("resets", RESETS),
    ("transfers", TRANSFERS),
    ("privileges", PRIVILEGES),
    ("replacements", REPLACEMENTS),
];

const MIXED: &str = r#"
ARG WHO=nobody
ENV PLACE=/srv/place GREETING="hello world"
LABEL a=b "c d"=$WHO
RUN mkdir /etc/vault
RUN chmod 777 /etc/vault
RUN mkdir -p $PLACE/deep && touch $PLACE/file && ln -s file $PLACE/link && ln $PLACE/file $PLACE/hard
RUN echo "$GREETING" > /tmp/greeting && chown app:app /tmp/greeting
RUN mkdir /bin/tools && echo x > /opt/owned/new && rm -rf /opt/owned/x
RUN cp -a $PLACE /copy && mv /copy/file /copy/moved
WORKDIR /data/work
WORKDIR below
VOLUME ["/etc/vault"]
EXPOSE 80 443/tcp
USER app
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s CMD true
ENTRYPOINT ["/bin/sh"]
CMD ["-c", "id"]
"#;

/// Links of every kind, files that are copied up, replaced, moved and removed.
///
/// Not compared: a hard link to a file of the base that stays as it is. BuildKit writes both names again, onlay only
/// the new one, as a file of its own.
const FILES: &str = r#"
RUN touch /tmp/made && chmod u=rwx,g=rs,o= /tmp/made && chown 7:8 /tmp/made
RUN rm /tmp/kept && mkdir /tmp/kept && chmod 1770 /tmp/kept
RUN chmod -R go-rwx /usr/share/doc && chown -R app:app /srv/implied
RUN chown app /usr/local/bin/setuid && chgrp app /opt/links/b
RUN echo more >> /opt/links/c
RUN ln /opt/owned/readme /tmp/linked && echo more >> /tmp/linked && chmod 604 /opt/owned/readme
RUN ln -sf nowhere /srv/long-link && ln -sfn /tmp /data
RUN mv /srv/über-ñ "/srv/with space" /opt/to-dir && rm -f /srv/pipe /srv/none
RUN cp /opt/owned/readme /tmp/readme && cp -p /opt/owned/readme /tmp/readme-as-it-was && cp -r /opt/links /tmp/links
RUN rm -r /var/cache/app && mkdir -p /var/cache/app/again
RUN cd /opt && rmdir to-file 2>/dev/null || printf '%s-%s\n' a b > to-file
RUN echo through > /var/run/through && echo root > /root/file
RUN ["mkdir", "-m", "0700", "/sbin/exec form"]
RUN true
"#;

/// Directories made in others: sticky, closed, in no layer, behind links; by WORKDIR, mkdir and users.
const DIRECTORIES: &str = r#"
WORKDIR /tmp/work
RUN mkdir -p a/b && touch a/b/c
WORKDIR /data/../owned/up
WORKDIR /srv/implied/deep/er
WORKDIR /bin
RUN mkdir -p -m 0711 /opt/m/n/o && chmod +t /opt/m && chmod g+s /opt/m/n && mkdir /opt/m/n/set-gid
RUN mv /opt/m /opt/moved && cp -a /opt/owned /opt/owned-too && rm -r /usr/share/doc/kept
USER app
WORKDIR /home/app/mine
WORKDIR /data/mine
USER root
RUN echo x > of-root && cp -a /home/app/mine . && chown -R 7 .
"#;

/// Configuration by every instruction that the other Dockerfiles leave out, in its older and odder forms.
const CONFIGURATION: &str = r#"
MAINTAINER Somebody <somebody@example.org>
ARG FIRST
ARG SECOND=two
ENV OLD form of "ENV"
ENV BASE_VERSION=2.0 PATH=/opt/bin:$PATH EMPTY= JOINED=${SECOND}${FIRST:-none}${EMPTY:+full}
LABEL org.example.base=no org.example.new="a \"b\" <&> é" multi="one \
two"
EXPOSE 53/udp 8000-8002
VOLUME /srv/a /srv/b
SHELL ["/bin/sh", "-e", "-c"]
RUN mkdir /by-shell
ONBUILD RUN mkdir /on-build
ONBUILD COPY . /app
ARG LATE=1
ENV LATE=2 FIRST=env
ARG BASE_VERSION
RUN echo "$FIRST $SECOND $LATE $BASE_VERSION" > /arguments
USER 1000:1001
STOPSIGNAL 9
HEALTHCHECK --timeout=3s --start-period=1m --retries=7 CMD ["true", "a b"]
ENTRYPOINT exec sh
CMD echo "$HOME" && id
"#;

/// What takes back what the base says.
const RESETS: &str = r#"
HEALTHCHECK NONE
ENTRYPOINT ["sh", "-c"]
USER root
WORKDIR relative
STOPSIGNAL SIGRTMIN+3
CMD []
"#;

/// What the kernel takes away, and keeps, when files with special bits and capabilities change.
const PRIVILEGES: &str = r#"
RUN cp -a /usr/local/bin/listen /usr/local/bin/copied && cp /usr/local/bin/setuid /usr/local/bin/copied-too
RUN chmod 700 /usr/local/bin/listen
RUN mv /usr/local/bin/listen /usr/local/bin/moved
RUN chown app /usr/local/bin/moved
RUN mkdir /opt/set-gid && chgrp app /opt/set-gid && chmod 2775 /opt/set-gid
RUN mkdir /opt/set-gid/inherits && touch /opt/set-gid/file && chown app /opt/set-gid
RUN chmod a=rX,u+w,+s /usr/local/bin/setuid && echo x >> /usr/local/bin/setuid
RUN touch /opt/x && chmod 6755 /opt/x && chown app /opt/x && touch /opt/y && chmod 2644 /opt/y && chown app /opt/y
RUN chown -h app /srv/long-link && chmod -R u+rwX,go= /srv
"#;

/// Names that become another kind of file, and trees that go.
const REPLACEMENTS: &str = r#"
RUN rm -rf /opt/links && ln -s owned /opt/links
RUN rm /data && mkdir /data && touch /data/file
RUN rm -r /var/cache && echo file > /var/cache
RUN mv /opt/owned /opt/links-elsewhere && mkdir /opt/owned
RUN : > /etc/os-release && rm /var/run && mkdir /var/run && touch /var/run/x
RUN cp -r /srv /srv-too && rm -rf /srv
RUN cp /etc/passwd /tmp && mv /etc/group /tmp/kept
RUN for name in a b c; do mkdir -p "/made/$name" && echo "$name" > "/made/$name/name"; done
RUN [ -d /made/a ] && chmod -R 0700 /made || exit 1
RUN cat /made/a/name /made/b/name > /made/both; test -s /made/both && rm -r /made/[ab]
"#;

const TRANSFERS: &str = r#"
COPY one /tmp/
COPY --chown=app:app one directory/two /data/new/
COPY --chown=7 directory /bin/from-context
ADD directory/* /opt/to-dir/
COPY one /opt/links/b
USER app
WORKDIR /home/app
COPY . there
"#;

/// What the comparison leaves to the engines: keys of Docker's own that BuildKit drops, and those that name a build.
const COMPARED: &[&str] = &[
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "Healthcheck",
    "OnBuild",
    "Shell",
];

#[test]
fn the_engine_agrees() {
    let home = Home::new();
    let base = TestBase {
        busybox: Some("/bin/busybox".into()),
        ..TestBase::READABLE_BY_OLD_TOOLS
    };
    let layout = home.test_base(&base);
    let registry = Registry::start();
    upload_layout(&home.join("base"), "1", registry.host(), "base", "1", None);
    let engine = Dockerd::start();
    engine.name_the_builder();

    an_archive_is_loaded_and_runs(&home, &engine, &layout);
    a_pull_finds_the_same_digest(&home, &engine, registry.host());
    write_context(&home);
    let differences: Vec<String> = DOCKERFILES
        .iter()
        .flat_map(|dockerfile| differences(&home, &engine, registry.host(), dockerfile))
        .collect();
    assert!(differences.is_empty(), "- onlay, + engine: {differences:#?}");
    what_was_built_runs_as_its_user(&engine, registry.host());
}

fn an_archive_is_loaded_and_runs(home: &Home, engine: &Dockerd, base: &str) {
    let archive = home.join("vault.tar").display().to_string();
    let destination = format!("docker-archive:{archive}:vault:1");
    home.apply_vault(base, &["-t", &destination, "--platform=linux/amd64"]);
    engine.docker(&["load", "--input", &archive]);
    let volumes = engine.docker(&["inspect", "--format", "{{json .Config.Volumes}}", "vault:1"]);
    assert!(volumes.contains(r#""/etc/vault":{}"#), "{volumes}");
    let mode = ["/bin/busybox", "stat", "-c", "%a %u:%g", "/etc/vault"];
    let run = [
        &["run", "--rm", "--network=none", "--entrypoint=", "vault:1"][..],
        &mode,
    ]
    .concat();
    assert_eq!(engine.docker(&run), "777 0:0");
}

fn a_pull_finds_the_same_digest(home: &Home, engine: &Dockerd, host: &str) {
    let name = format!("{host}/vault:1");
    let base = format!("{host}/base:1");
    let applied = home.apply_vault(&base, &["-t", &name, "--platform=linux/amd64"]);
    engine.docker(&["pull", "--quiet", &name]);
    let digests = engine.docker(&["inspect", "--format", "{{json .RepoDigests}}", &name]);
    assert!(digests.contains(&applied.digest()), "{digests}");
    validate_registry(host, "vault", "1", None, ABOVE_BASE);
}

fn write_context(home: &Home) {
    home.write("context/one", "1\n");
    home.write("context/directory/two", "2\n");
    home.write("context/directory/below/three", "3\n");
    home.write("context/.dockerignore", "Dockerfile*\n.dockerignore\n");
}

/// What differs between the images that onlay and the engine make of a Dockerfile.
fn differences(home: &Home, engine: &Dockerd, host: &str, (name, lines): &(&str, &str)) -> Vec<String> {
    let dockerfile = format!("context/Dockerfile.{name}");
    let dockerfile = home.write(&dockerfile, &format!("FROM {host}/base:1\n{lines}"));
    let context = home.join("context").display().to_string();
    let (by_engine, by_onlay) = (format!("engine-{name}"), format!("onlay-{name}"));
    let tag = format!("{host}/{by_engine}:1");
    engine.build(&dockerfile, &tag, &context);
    engine.docker(&["push", "--quiet", &tag]);
    let tag = format!("{host}/{by_onlay}:1");
    home.run(&["build", "-f", &dockerfile, "-t", &tag, &context])
        .success();
    validate_registry(host, &by_onlay, "1", None, ABOVE_BASE);

    let mut differences = files(home, host, &by_onlay).difference(&files(home, host, &by_engine));
    let (found, expected) = (image(host, &by_onlay), image(host, &by_engine));
    differences.extend(changes(&configuration(&found), &configuration(&expected)));
    differences.extend(changes(&history(&found), &history(&expected)));
    differences
        .iter()
        .map(|difference| format!("{name}: {difference}"))
        .collect()
}

/// The lines that only one of two lists has, in the manner of [`RootFs::difference`].
fn changes(found: &[String], expected: &[String]) -> Vec<String> {
    let only_in = |one: &[String], other: &[String], sign| -> Vec<String> {
        let own = one.iter().filter(|line| !other.contains(line));
        own.map(|line| format!("{sign}{line}")).collect()
    };
    [only_in(found, expected, '-'), only_in(expected, found, '+')].concat()
}

fn what_was_built_runs_as_its_user(engine: &Dockerd, host: &str) {
    let output = engine.docker(&["run", "--rm", "--network=none", &format!("{host}/onlay-mixed:1")]);
    assert_eq!(output, "uid=1000(app) gid=1001(app) groups=1001(app)");
}

/// The merged files of a pushed image.
fn files(home: &Home, host: &str, repository: &str) -> RootFs {
    let layout = format!("oci:{}:1", home.join(repository).display());
    let status = Command::new("skopeo")
        .args(["copy", "--quiet", "--src-tls-verify=false"])
        .args([&format!("docker://{host}/{repository}:1"), &layout])
        .status();
    assert!(status.unwrap().success());
    flatten_layout(&home.join(repository), "1", &Platform::amd64()).without(TestBase::ENGINE_DEPENDENT)
}

/// The configuration of a pushed image, its bytes as they are. The engine calls a plain layer of the base gzip when it
/// pushes it again, so its manifest would not be found valid.
fn image(host: &str, repository: &str) -> Value {
    let output = Command::new("skopeo")
        .args(["inspect", "--tls-verify=false", "--config", "--raw"])
        .arg(format!("docker://{host}/{repository}:1"))
        .output()
        .unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A line for each key that is compared and has a value: the engine leaves empty ones of the base out, onlay keeps them.
fn configuration(image: &Value) -> Vec<String> {
    let value = |key: &&str| image["config"].get(*key).filter(|value| !is_empty(value));
    let author = format!("author: {}", image["author"]);
    COMPARED
        .iter()
        .filter_map(|key| Some(format!("{key}: {}", value(key)?)))
        .chain([author])
        .collect()
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value == ""
}

/// A line for each entry of the history that has not come from the base, without its time.
fn history(image: &Value) -> Vec<String> {
    let entries = image["history"].as_array().expect("a history");
    let line = |(number, entry): (usize, &Value)| {
        let text = entry["created_by"].as_str().expect("a text");
        let layer = if entry["empty_layer"] == true {
            "empty"
        } else {
            "layer"
        };
        format!("{number} {layer} {} {}", entry["comment"], comparable(text))
    };
    entries.iter().enumerate().skip(BASE_HISTORY).map(line).collect()
}

/// What the texts of 2020 and of today have in common: ports were printed as a map, healthchecks by other rules, and
/// flags of COPY and ADD not at all.
fn comparable(text: &str) -> String {
    let (keyword, rest) = text.split_once(' ').expect("a keyword");
    match keyword {
        "EXPOSE" => text.replace("map[", "[").replace(":{}", ""),
        "HEALTHCHECK" => keyword.to_owned(),
        "COPY" | "ADD" => {
            let words = rest.split(' ').filter(|word| !word.starts_with("--"));
            [keyword].into_iter().chain(words).collect::<Vec<_>>().join(" ")
        }
        _ => text.to_owned(),
    }
}
