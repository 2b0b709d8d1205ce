//! Copies as tables: a source, an image, what is copied where, and what the image has then.

use onlay_context::Ignore;
use onlay_layer::{Content, Edit, ImagePath, Metadata, ModificationTime, Node, NodeKind, Tree};

use super::{Destination, Fault, FileMode, Selection, Transfer, Treatment, select};

const SOURCE: &str = "
    f 640 3:4 file one
    l link -> file
    l deep -> dir/sub
    l broken -> nowhere
    d 2750 5:6 dir
    f 600 5:6 dir/a two
    l dir/l -> a
    d 1777 7:8 dir/sub
    f 755 7:8 dir/sub/b three
    f 644 0:0 x.txt 1
    f 644 0:0 y.txt 2
";

const IMAGE: &str = "
    l bin -> usr/bin
    d 755 0:0 usr
    d 755 0:0 usr/bin
    d 1777 0:0 tmp
    d 750 1000:1001 opt
    f 644 0:0 etc 1
    l to -> /made/later
    l loop -> loop
";

fn path(text: &str) -> ImagePath {
    ImagePath::clamped(text.as_bytes()).unwrap()
}

fn tree(lines: &str) -> Tree {
    let mut edit = Edit::new(&Tree::scratch());
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split(' ').collect();
        let (place, node) = match words[..] {
            ["l", place, "->", target] => (
                place,
                Node::symlink(target.as_bytes(), 0, 0, ModificationTime::Seconds(9)),
            ),
            ["d", mode, owner, place] => (
                place,
                Node::directory(metadata(mode, owner), ModificationTime::Seconds(9)),
            ),
            ["f", mode, owner, place, content] => {
                let content = Content::Bytes(content.as_bytes().into());
                (
                    place,
                    Node::file(metadata(mode, owner), ModificationTime::Seconds(9), content),
                )
            }
            _ => panic!("{line}"),
        };
        edit.put(&path(place), node).unwrap();
    }
    edit.finish()
}

fn metadata(mode: &str, owner: &str) -> Metadata {
    let (uid, gid) = owner.split_once(':').unwrap();
    Metadata::owned(
        u32::from_str_radix(mode, 8).unwrap(),
        uid.parse().unwrap(),
        gid.parse().unwrap(),
    )
}

/// What `after` has below the places that matter, a line each.
fn print(tree: &Tree, directory: &ImagePath, lines: &mut Vec<String>) {
    for (name, node) in tree.children(directory).unwrap() {
        let place = directory.join(&name).unwrap();
        let Metadata { mode, uid, gid, .. } = &node.metadata;
        lines.push(match &node.kind {
            NodeKind::Directory(_) => format!("d {mode:o} {uid}:{gid} {place}"),
            NodeKind::Symlink(target) => format!("l {place} -> {target}"),
            _ => format!("f {mode:o} {uid}:{gid} {place}"),
        });
        if node.is_directory() {
            print(tree, &place, lines);
        }
    }
}

fn treatment() -> Treatment {
    Treatment {
        owner: None,
        mode: None,
        exclude: Ignore::none(),
        latest: None,
    }
}

/// Copies `sources` and lists what is new.
fn copied_as(treatment: &Treatment, sources: &[&str], destination: &str) -> Result<Vec<String>, Fault> {
    let (source, image) = (tree(SOURCE), tree(IMAGE));
    let destination = Destination::new(destination, "/tmp").unwrap();
    let mut transfer = Transfer::new(&image, treatment);
    for text in sources {
        match select(&source, text.as_bytes())? {
            Selection::Path(path) => transfer.copy(&source, &path, &destination)?,
            Selection::Matches(paths) => {
                for path in &paths {
                    transfer.copy(&source, path, &destination)?;
                }
            }
        }
    }
    Ok(new_lines(&image, &transfer.finish()))
}

fn new_lines(before: &Tree, after: &Tree) -> Vec<String> {
    let (mut old, mut new) = (Vec::new(), Vec::new());
    print(before, &ImagePath::root(), &mut old);
    print(after, &ImagePath::root(), &mut new);
    new.retain(|line| !old.contains(line));
    new
}

fn copied(sources: &[&str], destination: &str) -> Vec<String> {
    copied_as(&treatment(), sources, destination).unwrap()
}

#[test]
fn a_file_goes_under_a_name_or_into_a_directory() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("file", "/new", &["f 640 3:4 /new"]),
        ("file", "/tmp", &["f 640 3:4 /tmp/file"]),
        ("file", "x", &["f 640 3:4 /tmp/x"]),
        ("file", ".", &["f 640 3:4 /tmp/file"]),
        (
            "file",
            "/a/b/",
            &["d 755 0:0 /a", "d 755 0:0 /a/b", "f 640 3:4 /a/b/file"],
        ),
        ("file", "/a/.", &["d 755 0:0 /a", "f 640 3:4 /a/file"]),
        ("../../file/", "/new", &["f 640 3:4 /new"]),
        // A link is followed, and its own name kept.
        ("link", "/tmp/", &["f 640 3:4 /tmp/link"]),
        // Links of the image lead on, even to where nothing is yet.
        ("file", "/bin/tool", &["f 640 3:4 /usr/bin/tool"]),
        ("file", "/to", &["d 755 0:0 /made", "f 640 3:4 /made/later"]),
        ("file", "/opt/../../tmp/x", &["f 640 3:4 /tmp/x"]),
    ];
    for (source, destination, expected) in cases {
        assert_eq!(
            copied(&[source], destination),
            *expected,
            "{source} {destination}"
        );
    }
}

#[test]
fn a_directory_gives_its_content_and_not_its_own_metadata() {
    let content = |below: &str| {
        [
            format!("f 600 5:6 {below}/a"),
            format!("l {below}/l -> a"),
            format!("d 1777 7:8 {below}/sub"),
            format!("f 755 7:8 {below}/sub/b"),
        ]
    };
    assert_eq!(copied(&["dir"], "/opt"), content("/opt"));
    let new = [vec!["d 755 0:0 /new".to_owned()], content("/new").to_vec()].concat();
    assert_eq!(copied(&["dir"], "/new"), new);
    assert_eq!(copied(&["deep"], "/opt"), ["f 755 7:8 /opt/b"]);
    assert_eq!(copied(&["d*"], "/opt/").len(), 5, "both match, and are merged");
}

#[test]
fn wildcards_match_within_names() {
    assert_eq!(
        copied(&["*.txt"], "/tmp/"),
        ["f 644 0:0 /tmp/x.txt", "f 644 0:0 /tmp/y.txt"]
    );
    assert_eq!(
        copied(&["d*/?"], "/opt/"),
        ["f 600 5:6 /opt/a", "f 600 5:6 /opt/l"]
    );
    assert_eq!(
        copied(&["deep/[b]"], "/opt/"),
        ["f 755 7:8 /opt/b"],
        "links in front are followed"
    );
    assert!(copied(&["no*", "no/*"], "/opt/").is_empty());
    assert_eq!(
        copied(&["x.txt", "y.txt"], "/one"),
        ["f 644 0:0 /one"],
        "the last one wins"
    );
}

#[test]
fn owners_and_modes_are_for_what_is_made_on_the_way_too() {
    let with = |owner, mode: Option<&str>| Treatment {
        owner,
        mode: mode.map(|mode| FileMode::parse(mode).unwrap()),
        ..treatment()
    };
    let owned = copied_as(&with(Some((1, 2)), None), &["dir/sub"], "/opt/n/m").unwrap();
    assert_eq!(
        owned,
        ["d 755 1:2 /opt/n", "d 755 1:2 /opt/n/m", "f 755 1:2 /opt/n/m/b"]
    );
    let octal = copied_as(&with(None, Some("4640")), &["dir/a"], "/opt/n/").unwrap();
    assert_eq!(octal, ["d 640 0:0 /opt/n", "f 4640 5:6 /opt/n/a"]);
    let symbolic = copied_as(&with(None, Some("go=rX")), &["dir"], "/opt/n/").unwrap();
    let expected = [
        "d 755 0:0 /opt/n",
        "f 644 5:6 /opt/n/a",
        "l /opt/n/l -> a",
        "d 1755 7:8 /opt/n/sub",
        "f 755 7:8 /opt/n/sub/b",
    ];
    assert_eq!(symbolic, expected);
}

#[test]
fn what_is_excluded_stays_out() {
    let without = |patterns: &[&str]| Treatment {
        exclude: Ignore::from_patterns(patterns).unwrap(),
        ..treatment()
    };
    let exclude = |patterns: &[&str]| copied_as(&without(patterns), &["dir"], "/opt").unwrap();
    assert_eq!(exclude(&["sub"]), ["f 600 5:6 /opt/a", "l /opt/l -> a"]);
    assert_eq!(
        exclude(&["*", "!sub/b"]),
        ["d 1777 7:8 /opt/sub", "f 755 7:8 /opt/sub/b"]
    );
    assert!(exclude(&["*"]).is_empty());
}

#[test]
fn parents_keep_the_path_behind_the_pivot() {
    let parents = |text: &str| {
        let (source, image, treatment) = (tree(SOURCE), tree(IMAGE), treatment());
        let destination = Destination::new("/opt/", "/").unwrap();
        let mut transfer = Transfer::new(&image, &treatment);
        let found = transfer.copy_with_parents(&source, text.as_bytes(), &destination)?;
        Ok::<_, Fault>((found, new_lines(&image, &transfer.finish())))
    };
    let dir = "d 2750 5:6 /opt/dir".to_owned();
    let sub = "d 1777 7:8 /opt/dir/sub".to_owned();
    let b = "f 755 7:8 /opt/dir/sub/b".to_owned();
    assert_eq!(
        parents("dir/sub/b"),
        Ok((true, vec![dir.clone(), sub.clone(), b.clone()]))
    );
    assert_eq!(parents("**/b"), Ok((true, vec![dir, sub, b])));
    let pivoted = vec![
        "d 1777 7:8 /opt/sub".to_owned(),
        "f 755 7:8 /opt/sub/b".to_owned(),
    ];
    assert_eq!(parents("dir/./sub/b"), Ok((true, pivoted)));
    assert_eq!(parents("no/*"), Ok((false, vec![])));
    assert_eq!(parents("no/thing"), Err(Fault::NotFound(path("no/thing"))));
    assert_eq!(parents("."), Err(Fault::NotFound(ImagePath::root())));
}

#[test]
fn what_cannot_be_copied_is_an_error() {
    let missing = |name: &str| Fault::NotFound(path(name));
    for name in ["nothing", "broken", "file/x"] {
        assert_eq!(copied_as(&treatment(), &[name], "/opt/"), Err(missing(name)));
    }
    for (source, destination, expected) in [
        (
            "dir",
            "/etc",
            "cannot copy a directory to `/etc`, which is none in the image",
        ),
        ("file", "/etc/x", "`/etc` in the image is not a directory"),
        ("file", "/loop/x", "too many symbolic links on the way to `/loop`"),
        ("dir", "/bin/../../bin", ""),
    ] {
        match copied_as(&treatment(), &[source], destination) {
            Err(Fault::Message(message)) => assert_eq!(message, expected),
            other => assert!(expected.is_empty(), "{other:?}"),
        }
    }
}

#[test]
fn nothing_is_later_than_the_build() {
    let treatment = Treatment {
        latest: Some(5),
        ..treatment()
    };
    let (source, image) = (tree(SOURCE), tree(IMAGE));
    let mut transfer = Transfer::new(&image, &treatment);
    let destination = Destination::new("/tmp/", "/").unwrap();
    transfer.copy(&source, &path("file"), &destination).unwrap();
    let after = transfer.finish();
    let onlay_layer::Lookup::Found(node) = after.lookup(&path("tmp/file")) else {
        panic!("no file");
    };
    assert_eq!(node.mtime, ModificationTime::Seconds(5));
}
