//! The base image under `fixtures/base`, which the README's first command works on.

use crate::entry::{Entry, dir, file};
use crate::image::{Image, Platform};
use crate::layer::Layer;
use crate::layout::Layout;
use crate::rootfs;
use std::path::Path;

/// The only tag of the layout.
pub const FIXTURE_TAG: &str = "1.0";

/// Writes a small busybox-like image for `linux/amd64` and `linux/arm64/v8` as an OCI layout into `dir`.
///
/// The same bytes on every run. Texts stand in for the programs: nothing in it can be executed.
pub fn write_fixture_base(dir: &Path) -> Layout {
    let layout = Layout::create(dir);
    let index = layout.write_index(&[
        image(Platform::amd64(), "2023-08-01T00:00:00.123456789Z"),
        image(Platform::arm64(), "2023-08-01T00:07:00.987654321Z"),
    ]);
    layout.tag(&index, FIXTURE_TAG);
    layout
}

fn image(platform: Platform, created: &str) -> Image {
    let release = file("etc/arch-release", format!("{platform}\n"));
    Image::new(platform)
        .with_created(created)
        .with_config(&format!(
            r#"{{"Env":["PATH={}"],"Cmd":["sh"],"Labels":{{"org.opencontainers.image.version":"1.0"}}}}"#,
            rootfs::PATH
        ))
        .layer(Layer::new(&rootfs()).with_created_by("ADD busybox.tar.gz / # buildkit"))
        .layer(Layer::new(&[dir("etc"), release]).with_created_by("COPY arch-release /etc/ # buildkit"))
        .empty_layer(r#"CMD ["sh"]"#)
}

fn rootfs() -> Vec<Entry> {
    let mut entries = vec![dir("bin")];
    entries.extend(rootfs::busybox("bin", None));
    entries.extend([
        dir("dev"),
        dir("etc"),
        file("etc/group", rootfs::GROUP_WITH_APP),
        file("etc/os-release", rootfs::OS_RELEASE),
        file("etc/passwd", rootfs::PASSWD_WITH_APP),
        dir("home"),
        dir("home/app").with_mode(0o700).with_owner(1000, 1001),
        dir("root").with_mode(0o700),
        dir("tmp").with_mode(0o1777),
        dir("usr"),
        dir("usr/bin"),
        dir("usr/local"),
        dir("usr/local/bin"),
        dir("usr/sbin"),
        dir("var"),
    ]);
    entries
}
