//! Reading and linting: what happens before anything else does, also in an editor at every key.

use std::collections::BTreeMap;

use criterion::{Criterion, Throughput};
use onlay_dockerfile::{BaseImage, Dockerfile, LintOptions, LintedStages, SourceFile, lint};

/// Longer than anything that people write by hand.
const LINES: usize = 1000;

/// Ten lines of the kinds that there are most of.
const BLOCK: &str = "\
RUN apt-get update \\
    && apt-get install --yes --no-install-recommends ca-certificates curl \\
    && rm -rf /var/lib/apt/lists/*
ARG VERSION_NUMBER=1.2.3
ENV HOME_NUMBER=/opt/app-${VERSION_NUMBER} PATH=\"/opt/app-${VERSION_NUMBER}/bin:$PATH\"
# The application.
COPY --chown=1000:1000 target/app-${VERSION_NUMBER}.tar /opt/$MISSING_NUMBER/
WORKDIR ${HOME_NUMBER:-/srv}/work
EXPOSE 8080/TCP 8443
LABEL org.opencontainers.image.version=\"${VERSION_NUMBER}\" org.opencontainers.image.title=app
";

pub(crate) fn bench(criterion: &mut Criterion) {
    let text = generated();
    let mut group = criterion.benchmark_group("dockerfile");
    group.throughput(Throughput::Elements(LINES as u64));
    group.bench_function("parse", |bencher| bencher.iter(|| parse(&text)));
    group.bench_function("parse and lint", |bencher| {
        bencher.iter(|| {
            let dockerfile = parse(&text);
            let build_arguments = BTreeMap::new();
            let predefined = BTreeMap::from([("TARGETPLATFORM".to_owned(), "linux/amd64".to_owned())]);
            let options = LintOptions {
                build_arguments: &build_arguments,
                predefined: &predefined,
                target: None,
                stages: LintedStages::All,
                bases: &|_| Some(BaseImage::default()),
                ignore: None,
            };
            lint(&dockerfile, &options).unwrap().warnings.len()
        });
    });
    group.finish();
}

/// Stages of a hundred lines, each on the one before.
fn generated() -> String {
    let mut text = String::from("FROM debian:12 AS stage0\n");
    let blocks = LINES / BLOCK.lines().count();
    for block in 0..blocks {
        if block % 10 == 9 {
            text += &format!("FROM stage{} AS stage{}\n", block / 10, block / 10 + 1);
        }
        text += &BLOCK.replace("NUMBER", &block.to_string());
    }
    text
}

fn parse(text: &str) -> Dockerfile {
    Dockerfile::parse(SourceFile::new("Dockerfile", text)).unwrap()
}
