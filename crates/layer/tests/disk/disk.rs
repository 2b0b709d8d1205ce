use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use fs_err as fs;
use onlay_layer::ImagePath;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};
use tempfile::TempDir;

use crate::stack::Stack;

/// A directory of the disk that holds the files of a stack of layers.
///
/// It is changed as an overlay file system changes them: a file of the base is copied before it is written into, so
/// that its other names stay as they were.
pub(crate) struct Disk {
    root: PathBuf,
    /// Holds on to every file of the base, so that their numbers are not used again.
    kept: PathBuf,
    base: HashSet<u64>,
    _directory: TempDir,
}

impl Disk {
    /// Unpacks a stack into a new directory.
    pub(crate) fn over(stack: &Stack) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (root, kept) = (directory.path().join("root"), directory.path().join("kept"));
        fs::create_dir(&root).unwrap();
        fs::create_dir(&kept).unwrap();
        stack.unpack(&root);
        let mut disk = Self {
            root,
            kept,
            base: HashSet::new(),
            _directory: directory,
        };
        disk.keep(&disk.root.clone());
        disk
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Tells whether a path is a file of the base, perhaps under another name than there.
    pub(crate) fn is_of_base(&self, path: &[u8]) -> bool {
        let path = self.root.join(OsStr::from_bytes(path));
        self.base.contains(&fs::symlink_metadata(path).unwrap().ino())
    }

    pub(crate) fn make_directory(&mut self, path: &ImagePath, mode: u32) {
        let path = self.place(path);
        remove(&path);
        fs::create_dir(&path).unwrap();
        set_mode(&path, mode);
    }

    pub(crate) fn write(&mut self, path: &ImagePath, text: &str, mode: u32, seconds: i64) {
        let path = self.place(path);
        let before = fs::symlink_metadata(&path)
            .ok()
            .filter(|metadata| metadata.is_file());
        match &before {
            Some(_) => self.copy_up(&path),
            None => remove(&path),
        }
        fs::write(&path, text).unwrap();
        // Writing may have taken the set-id bits, where root does not write.
        set_mode(&path, before.map_or(mode, |before| before.mode() & 0o7777));
        set_seconds(&path, seconds);
    }

    pub(crate) fn symlink(&mut self, path: &ImagePath, target: &str, seconds: i64) {
        let path = self.place(path);
        remove(&path);
        make_symlink(OsStr::new(target), &path, seconds);
    }

    pub(crate) fn link(&mut self, existing: &ImagePath, new: &ImagePath) {
        let (existing, new) = (self.place(existing), self.place(new));
        self.copy_up(&existing);
        remove(&new);
        fs::hard_link(existing, new).unwrap();
    }

    pub(crate) fn rename(&mut self, from: &ImagePath, to: &ImagePath) {
        let (from, to) = (self.place(from), self.place(to));
        remove(&to);
        fs::rename(from, to).unwrap();
    }

    pub(crate) fn remove(&mut self, path: &ImagePath) {
        remove(&self.place(path));
    }

    pub(crate) fn set_mode(&mut self, path: &ImagePath, mode: u32) {
        let path = self.place(path);
        self.copy_up(&path);
        set_mode(&path, mode);
    }

    pub(crate) fn set_seconds(&mut self, path: &ImagePath, seconds: i64) {
        let path = self.place(path);
        self.copy_up(&path);
        set_seconds(&path, seconds);
    }

    fn place(&self, path: &ImagePath) -> PathBuf {
        self.root.join(OsStr::from_bytes(path.as_bytes()))
    }

    fn keep(&mut self, directory: &Path) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                self.keep(&path);
            } else if self.base.insert(metadata.ino()) {
                fs::hard_link(&path, self.kept.join(metadata.ino().to_string())).unwrap();
            }
        }
    }

    /// Gives a name of the base a file of its own.
    fn copy_up(&self, path: &Path) {
        let metadata = fs::symlink_metadata(path).unwrap();
        if metadata.is_dir() || !self.base.contains(&metadata.ino()) {
            return;
        }
        let copy = self.kept.join("copy");
        if metadata.is_symlink() {
            make_symlink(fs::read_link(path).unwrap().as_os_str(), &copy, metadata.mtime());
        } else {
            fs::write(&copy, fs::read(path).unwrap()).unwrap();
            set_mode(&copy, metadata.mode() & 0o7777);
            set_seconds(&copy, metadata.mtime());
        }
        fs::rename(copy, path).unwrap();
    }
}

/// Removes whatever is there, if anything.
pub(crate) fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

pub(crate) fn set_seconds(path: &Path, seconds: i64) {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

pub(crate) fn make_symlink(target: &OsStr, path: &Path, seconds: i64) {
    fs::os::unix::fs::symlink(target, path).unwrap();
    set_seconds(path, seconds);
}
