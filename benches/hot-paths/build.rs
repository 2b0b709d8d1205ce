//! Whole builds, but for the publishing: planning alone, and one COPY onto a large base.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use criterion::Criterion;
use onlay_base::{Bases, Listings};
use onlay_build::{BuildContext, BuildOptions, Builder, Built, Contexts, Events, Platforms, Recipe};
use onlay_context::Ignore;
use onlay_dockerfile::{Dockerfile, SourceFile};
use onlay_layer::CompressionOptions;
use onlay_oci::Platform;
use onlay_registry::{Client, ClientOptions};
use onlay_shell::Tools;
use onlay_store::Cache;
use onlay_testkit::{LargeBase, Layout};
use tokio::runtime::{Builder as RuntimeBuilder, Runtime};

const MEGABYTES: usize = 200;

/// Lines of the Dockerfile that is parsed, planned and carried out on nothing.
const LINES: usize = 1000;

pub(crate) fn bench(criterion: &mut Criterion) {
    let runtime = RuntimeBuilder::new_multi_thread().build().unwrap();
    let mut group = criterion.benchmark_group("build");
    let directory = tempfile::tempdir().unwrap();

    let configuration = configuration_lines();
    group.bench_function("parse, plan and carry out 1,000 configuration lines", |bencher| {
        bencher.iter(|| build(&runtime, directory.path(), &configuration));
    });

    LargeBase {
        megabytes: MEGABYTES,
        busybox: None,
    }
    .write(&Layout::create(directory.path().join("base")), "1");
    fs_err::create_dir(directory.path().join("context")).unwrap();
    fs_err::write(directory.path().join("context/file"), "content").unwrap();
    let copy = "FROM base\nCOPY file /app/\n";
    // The first one streams the base, and fills the cache.
    build(&runtime, directory.path(), copy);
    group.bench_function("COPY onto 200 MiB, listing cached", |bencher| {
        bencher.iter(|| build(&runtime, directory.path(), copy));
    });
    group.finish();
}

fn configuration_lines() -> String {
    let mut text = "FROM scratch\n".to_owned();
    for number in 0..LINES / 4 {
        text += &format!(
            "ARG A{number}=x\nENV B{number}=${{A{number}}}/y\nLABEL c{number}=\"$B{number}\"\nUSER u{number}\n"
        );
    }
    text
}

fn build(runtime: &Runtime, directory: &Path, text: &str) -> Built {
    let location = format!("oci:{}:1", directory.join("base").display());
    let recipe = Recipe::Dockerfile {
        dockerfile: Dockerfile::parse(SourceFile::new("Dockerfile", text)).unwrap(),
        target: None,
        named_images: BTreeMap::from([("base".to_owned(), location.parse().unwrap())]),
    };
    let context = BuildContext::Directory {
        root: directory.join("context"),
        ignore: Ignore::none(),
    };
    let cache = Cache::in_directory(directory.join("cache"));
    let builder = Builder {
        bases: Bases::new(Client::new(ClientOptions::default()).unwrap()),
        listings: Listings::new(Arc::new(cache)),
        contexts: Contexts::none().with_main("context", context),
        fetch: onlay_fetch::FetchOptions::default(),
        events: Events::none(),
    };
    runtime.block_on(builder.build(&recipe, &options())).unwrap()
}

fn options() -> BuildOptions {
    BuildOptions {
        platforms: Platforms::Host(Platform::new("linux", "amd64")),
        build_arguments: BTreeMap::new(),
        labels: Vec::new(),
        manifest_annotations: BTreeMap::new(),
        index_annotations: BTreeMap::new(),
        time: None,
        tools: Tools::Image,
        run: onlay_build::RunMode::default(),
        compression: CompressionOptions::gzip(1),
        build_platform: Platform::new("linux", "amd64"),
        temporary_directory: None,
        lent: Default::default(),
        network: Default::default(),
        exceptions: Default::default(),
    }
}
