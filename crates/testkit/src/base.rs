//! The test base: an image with every trap in it that real base images have.

use crate::entry::{DEFAULT_MTIME, Entry, dir, fifo, file, hardlink, opaque, symlink, whiteout};
use crate::image::{Family, Image, Platform};
use crate::layer::{Compression, Layer};
use crate::layout::{Descriptor, Layout};
use crate::rootfs;
use std::path::PathBuf;

/// The image that most tests start from, for `linux/amd64` and `linux/arm64/v8`.
///
/// Its eight layers, each with the trap that it sets:
///
/// 1. a root filesystem with usrmerge links, a 1777 `/tmp`, an absolute link `/var/run`, users without `app`;
/// 2. several gzip members; `/opt/owned`, 0750 and 1000:1001, a link `/data` to it, a setuid file, hard links;
/// 3. a plain tar that leaves all parent directories out, of `opt/owned/x`, of `opt/headless/x`, and of
///    `srv/implied/deep/file`, whose parents are in no layer;
/// 4. whiteouts of a file, of a directory and of one name of a hard-linked file;
/// 5. an opaque whiteout, a file in the place of a directory and a directory in the place of a file;
/// 6. zstd (or gzip); users with `app`, names of over 100 bytes and beyond ASCII, a capability, a named pipe;
/// 7. `/opt/owned` and `/tmp` once more, as engines write ancestors again;
/// 8. nothing: the empty tar of a RUN that changed nothing.
///
/// Platforms differ in the times of all directories, in `usr/lib/arch` and in `created`. The configuration has
/// Docker's own keys, unknown keys, and numbers that a JSON library likes to reformat; no `OnBuild` and no `Shell`.
#[derive(Debug, Clone)]
pub struct TestBase {
    /// The family of media types.
    pub family: Family,
    /// Whether layer 6 is zstd; only in the OCI family. Docker before 23 and umoci before 0.5 cannot read it.
    pub zstd: bool,
    /// Whether each image of the index has an attestation beside it.
    pub attestations: bool,
    /// The static program to put in, which lets the image run; a text stands in for it otherwise.
    ///
    /// It is the same on every platform.
    pub busybox: Option<PathBuf>,
}

impl TestBase {
    /// Every trap, nothing that runs.
    pub const FULL: Self = Self {
        family: Family::Oci,
        zstd: true,
        attestations: true,
        busybox: None,
    };

    /// What tools and engines of 2020 can read.
    pub const READABLE_BY_OLD_TOOLS: Self = Self {
        family: Family::Oci,
        zstd: false,
        attestations: false,
        busybox: None,
    };

    /// How many layers each image has.
    pub const LAYERS: usize = 8;

    /// Paths whose mode and owner depend on the engine.
    ///
    /// Layer 3 adds to this directory without a header of it: the merged tree keeps 0710 and 1000:1001 of
    /// layer 2, Docker's graph drivers make it 0755 and 0:0.
    pub const ENGINE_DEPENDENT: &[&str] = &["opt/headless"];

    /// The images, `linux/amd64` first.
    pub fn images(&self) -> Vec<Image> {
        let amd64 = Variation {
            platform: Platform::amd64(),
            created: "2023-08-01T01:02:03.123456789Z",
            lag: 0,
        };
        let arm64 = Variation {
            platform: Platform::arm64(),
            created: "2023-08-01T04:05:06.98765Z",
            lag: 10_983,
        };
        [amd64, arm64]
            .iter()
            .map(|variation| self.image(variation))
            .collect()
    }

    /// Writes the images and their index into `layout` and tags the index.
    pub fn write(&self, layout: &Layout, tag: &str) -> Descriptor {
        let images = self.images();
        let index = if self.attestations {
            layout.write_index_with_attestations(&images)
        } else {
            layout.write_index(&images)
        };
        layout.tag(&index, tag);
        index
    }

    fn image(&self, variation: &Variation) -> Image {
        let path = format!("ENV PATH={}", rootfs::PATH);
        Image::new(variation.platform.clone())
            .with_family(self.family)
            .with_created(variation.created)
            .with_key("author", r#""testkit <testkit@example.org>""#)
            .with_config(CONFIG)
            .with_key("docker_version", r#""20.10.24""#)
            .with_key(
                "x-onlay-unknown",
                r#"{"n": 1.50, "big": 12345678901234567890123, "e": 1E2}"#,
            )
            .layer(
                variation
                    .layer(self.rootfs(variation))
                    .with_created_by("ADD rootfs.tar.gz / # buildkit"),
            )
            .empty_layer(&path)
            .layer(
                variation
                    .layer(owned())
                    .with_compression(Compression::MultiMemberGzip),
            )
            .layer(variation.layer(headerless()).with_compression(Compression::Plain))
            .layer(
                variation
                    .layer(whiteouts())
                    .with_created_by("RUN /bin/sh -c rm -r /usr/share/doc/pkg # buildkit"),
            )
            .layer(variation.layer(replacements()))
            .layer(variation.layer(odd_names()).with_compression(self.layer_6()))
            .layer(variation.layer(ancestors_again()))
            .layer(Layer::new(&[]).with_created_by("RUN /bin/sh -c true # buildkit"))
            .empty_layer(r#"CMD ["sh"]"#)
    }

    fn layer_6(&self) -> Compression {
        if self.zstd && self.family == Family::Oci {
            Compression::Zstd
        } else {
            Compression::Gzip
        }
    }

    fn rootfs(&self, variation: &Variation) -> Vec<Entry> {
        let mut entries = vec![
            symlink("bin", "usr/bin"),
            dir("dev"),
            dir("etc"),
            file("etc/group", rootfs::GROUP),
            file("etc/motd", "hidden by layer 4\n"),
            file("etc/os-release", rootfs::OS_RELEASE),
            file("etc/passwd", rootfs::PASSWD),
            dir("home"),
            dir("home/app").with_mode(0o700).with_owner(1000, 1001),
            symlink("lib", "usr/lib"),
            dir("proc"),
            dir("root").with_mode(0o700),
            dir("run"),
            symlink("sbin", "usr/sbin"),
            dir("sys"),
            dir("tmp").with_mode(0o1777),
            dir("usr"),
            dir("usr/bin"),
            dir("usr/lib"),
            file("usr/lib/arch", format!("{}\n", variation.platform)),
            dir("usr/local"),
            dir("usr/local/bin"),
            dir("usr/sbin"),
            dir("var"),
            dir("var/cache"),
            dir("var/cache/app"),
            dir("var/cache/app/old"),
            file("var/cache/app/old/file", "hidden by layer 5\n"),
            file("var/cache/app/stale", "hidden by layer 5\n"),
            symlink("var/run", "/run"),
        ];
        entries.extend(rootfs::busybox("usr/bin", self.busybox.as_deref()));
        entries
    }
}

/// What differs between the platforms.
struct Variation {
    platform: Platform,
    created: &'static str,
    /// Seconds by which this platform was built later.
    lag: u64,
}

impl Variation {
    fn layer(&self, entries: Vec<Entry>) -> Layer {
        let mtime = DEFAULT_MTIME + self.lag;
        let entries: Vec<Entry> = entries
            .into_iter()
            .map(|entry| entry.with_directory_mtime(mtime))
            .collect();
        Layer::new(&entries)
    }
}

/// The runtime part, as Docker writes it, with keys that `oci-spec` does not know.
const CONFIG: &str = r#"{
  "Hostname": "", "Domainname": "", "User": "", "AttachStdin": false,
  "ExposedPorts": {"8200/tcp": {}},
  "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "BASE_VERSION=1.0"],
  "Cmd": ["sh"],
  "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 30000000000, "StartPeriod": 1000000000, "Retries": 3},
  "ArgsEscaped": true,
  "Volumes": {"/var/lib/base": {}},
  "WorkingDir": "/",
  "Entrypoint": null,
  "Labels": {"org.example.base": "yes", "org.example.quote": "a \"b\" é"},
  "StopSignal": "SIGINT",
  "x-onlay-unknown": {"n": 1.50}
}"#;

fn owned() -> Vec<Entry> {
    vec![
        symlink("data", "/opt/owned"),
        dir("opt"),
        dir("opt/headless").with_mode(0o710).with_owner(1000, 1001),
        dir("opt/links"),
        file("opt/links/a", "one file, three names\n").with_mode(0o640),
        hardlink("opt/links/b", "opt/links/a").with_mode(0o640),
        hardlink("opt/links/c", "opt/links/a").with_mode(0o640),
        dir("opt/owned").with_mode(0o750).with_owner(1000, 1001),
        file("opt/owned/readme", "owned by app\n")
            .with_mode(0o640)
            .with_owner(1000, 1001),
        dir("opt/to-file"),
        file("opt/to-file/child", "hidden by layer 5\n"),
        file("opt/to-dir", "replaced by layer 5\n"),
        dir("usr"),
        dir("usr/local"),
        dir("usr/local/bin"),
        file("usr/local/bin/setuid", "#!/bin/sh\nid\n").with_mode(0o4755),
        dir("usr/share"),
        dir("usr/share/doc"),
        dir("usr/share/doc/kept"),
        dir("usr/share/doc/pkg"),
        file("usr/share/doc/pkg/copyright", "hidden by layer 4\n"),
    ]
}

fn headerless() -> Vec<Entry> {
    vec![
        file("opt/headless/x", "x\n").with_owner(1000, 1001),
        file("opt/owned/x", "x of layer 3\n").with_owner(1000, 1001),
        file("srv/implied/deep/file", "my parents are in no layer\n"),
    ]
}

fn whiteouts() -> Vec<Entry> {
    vec![
        dir("etc"),
        whiteout("etc/motd"),
        dir("opt"),
        dir("opt/links"),
        whiteout("opt/links/a"),
        dir("usr"),
        dir("usr/share"),
        dir("usr/share/doc"),
        whiteout("usr/share/doc/pkg"),
    ]
}

fn replacements() -> Vec<Entry> {
    vec![
        dir("opt"),
        dir("opt/to-dir"),
        file("opt/to-dir/child", "of layer 5\n"),
        file("opt/to-file", "of layer 5\n"),
        dir("var"),
        dir("var/cache"),
        dir("var/cache/app").with_owner(1000, 1001),
        opaque("var/cache/app"),
        file("var/cache/app/fresh", "of layer 5\n"),
    ]
}

/// `cap_net_bind_service=ep` as the kernel stores it: revision 2, effective; permitted, inheritable, twice.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn odd_names() -> Vec<Entry> {
    let long = "a-name-of-sixty-bytes-for-the-sake-of-the-pax-path-records-00";
    vec![
        dir("etc"),
        file("etc/group", rootfs::GROUP_WITH_APP),
        file("etc/passwd", rootfs::PASSWD_WITH_APP),
        dir("srv"),
        fifo("srv/pipe"),
        file("srv/with space", "space\n"),
        file("srv/über-ñ", "beyond ASCII\n").with_pax("path", "srv/über-ñ"),
        dir(&format!("srv/{long}")),
        file(&format!("srv/{long}/{long}"), "long\n"),
        symlink("srv/long-link", &format!("{long}/{long}")),
        dir("usr"),
        dir("usr/local"),
        dir("usr/local/bin"),
        file("usr/local/bin/listen", "#!/bin/sh\n")
            .with_mode(0o755)
            .with_xattr("security.capability", CAPABILITY),
    ]
}

fn ancestors_again() -> Vec<Entry> {
    vec![
        dir("opt"),
        dir("opt/owned").with_mode(0o750).with_owner(1000, 1001),
        file("opt/owned/x", "x of layer 7\n")
            .with_mode(0o600)
            .with_owner(1000, 1001),
        dir("tmp").with_mode(0o1777),
        file("tmp/kept", "of layer 7\n").with_mode(0o600),
    ]
}
