use std::io::{Read, Write};
use std::path::Path;

use fs_err as fs;
use onlay_oci::{Descriptor, RawObject};

use crate::layout::{archive_place, persist, temporary_file};
use crate::member::Members;
use crate::verify::VerifyingReader;
use crate::{Layout, StoreError};

/// An OCI layout in a tar, read in place.
#[derive(Debug)]
pub struct OciArchive(Members);

impl OciArchive {
    /// Lists the members of an archive.
    ///
    /// # Errors
    /// The file is missing, or no tar of a layout.
    pub fn open(file: &Path) -> Result<Self, StoreError> {
        let members = Members::open(file)?;
        members.read("oci-layout")?;
        Ok(Self(members))
    }

    /// The images of its index.
    ///
    /// # Errors
    /// The index is missing or malformed.
    pub fn images(&self) -> Result<Vec<Descriptor>, StoreError> {
        let malformed = |source| StoreError::Index {
            path: self.0.file().to_owned(),
            source,
        };
        let index = RawObject::parse(&self.0.read("index.json")?).map_err(malformed)?;
        Ok(index.get("manifests").map_err(malformed)?.unwrap_or_default())
    }

    /// Opens a blob; size and digest are checked when its end is read.
    ///
    /// # Errors
    /// It is not there.
    pub fn open_blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError> {
        let digest = &descriptor.digest;
        let name = format!("blobs/{}/{}", digest.algorithm(), digest.encoded());
        match self.0.member(&name)? {
            Some((reader, _)) => Ok(Box::new(VerifyingReader::new(reader, descriptor))),
            None => Err(StoreError::NoBlob {
                digest: digest.clone(),
                path: self.0.file().to_owned(),
            }),
        }
    }

    /// Writes the images of a layout as an archive, in place of the file that is there.
    ///
    /// Only blobs that an image of the index is made of are written, each verified on the way; the same images give the
    /// same bytes.
    ///
    /// # Errors
    /// A blob is missing or damaged, or the disk failed; the file is then as it was.
    pub fn write(layout: &Layout, file: &Path) -> Result<(), StoreError> {
        let file = &archive_place(file)?;
        let directory = file
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let mut out = temporary_file(directory)?;
        let failed = |source| StoreError::Write {
            path: file.to_owned(),
            source,
        };
        {
            let mut buffered = std::io::BufWriter::new(&mut out);
            let root = layout.directory();
            let documents = ["oci-layout", "index.json"].map(|name| root.join(name));
            for path in documents {
                let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy();
                let content = fs::read(&path)?;
                append(&mut buffered, &name, content.len() as u64, &content[..]).map_err(failed)?;
            }
            for blob in layout.reachable()?.values() {
                let name = format!("blobs/{}/{}", blob.digest.algorithm(), blob.digest.encoded());
                append(&mut buffered, &name, blob.size, layout.open_blob(blob)?).map_err(|source| {
                    StoreError::Blob {
                        digest: blob.digest.clone(),
                        source,
                    }
                })?;
            }
            buffered.write_all(&[0; 1024]).map_err(failed)?;
            buffered.flush().map_err(failed)?;
        }
        persist(out, file)
    }
}

/// Appends a file that says nothing of the machine or the day.
pub(crate) fn append(out: &mut impl Write, name: &str, size: u64, content: impl Read) -> std::io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name)?;
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    out.write_all(header.as_bytes())?;
    let copied = std::io::copy(&mut content.take(size), out)?;
    if copied < size {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let used = (size % 512) as usize;
    if used > 0 {
        out.write_all(&[0; 512][used..])
    } else {
        Ok(())
    }
}
