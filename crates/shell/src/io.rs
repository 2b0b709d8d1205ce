//! Where commands read from and write to.

use onlay_layer::{Content, ImagePath};

use crate::files::Files;
use crate::halt::{Halt, Settle};
use crate::outcome::Reason;

/// How much a line may print or send through pipes, in bytes.
const MAX_OUTPUT: usize = 1 << 24;

/// The three descriptors of a command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Streams {
    pub(crate) input: Source,
    pub(crate) output: Sink,
    pub(crate) error: Sink,
}

/// What a command reads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    /// Nothing: standard input of a RUN.
    Empty,
    /// What was opened under this number; whoever reads first has it.
    Opened(usize),
}

/// What a command writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sink {
    /// The output of the RUN.
    Log,
    /// `/dev/null`
    Nowhere,
    /// A pipe.
    Pipe(usize),
    /// An open file.
    File(usize),
}

impl Streams {
    pub(crate) const OF_A_RUN: Self = Self {
        input: Source::Empty,
        output: Sink::Log,
        error: Sink::Log,
    };
}

/// All that was opened, under numbers that are never given twice.
#[derive(Debug, Default)]
pub(crate) struct Io {
    pub(crate) log: Vec<u8>,
    sources: Vec<Content>,
    pipes: Vec<Content>,
    files: Vec<OpenFile>,
}

#[derive(Debug)]
struct OpenFile {
    path: ImagePath,
    /// Where the next byte goes; none for one that always appends.
    offset: Option<u64>,
}

impl Io {
    pub(crate) fn open_source(&mut self, content: Content) -> Source {
        self.sources.push(content);
        Source::Opened(self.sources.len() - 1)
    }

    /// Reads to the end.
    pub(crate) fn read(&mut self, source: Source) -> Content {
        match source {
            Source::Empty => Content::empty(),
            Source::Opened(number) => self
                .sources
                .get_mut(number)
                .map_or_else(Content::empty, |content| {
                    std::mem::replace(content, Content::empty())
                }),
        }
    }

    pub(crate) fn open_pipe(&mut self) -> Sink {
        self.pipes.push(Content::empty());
        Sink::Pipe(self.pipes.len() - 1)
    }

    /// What was written into a pipe, as something to read.
    pub(crate) fn reading_end(&mut self, pipe: Sink) -> Source {
        let content = match pipe {
            Sink::Pipe(number) => self.pipes.get(number).cloned(),
            _ => None,
        };
        self.open_source(content.unwrap_or_else(Content::empty))
    }

    /// Takes up a file that was opened, truncated or to be appended to.
    pub(crate) fn open_file(&mut self, path: ImagePath, appends: bool) -> Sink {
        self.files.push(OpenFile {
            path,
            offset: if appends { None } else { Some(0) },
        });
        Sink::File(self.files.len() - 1)
    }

    /// Writes literal bytes.
    pub(crate) fn write(&mut self, files: &mut Files, sink: Sink, bytes: &[u8]) -> Result<(), Halt> {
        match sink {
            Sink::Log if self.log.len() + bytes.len() > MAX_OUTPUT => Err(too_much()),
            Sink::Log => {
                self.log.extend_from_slice(bytes);
                Ok(())
            }
            _ => self.write_content(files, sink, Content::Bytes(bytes.into())),
        }
    }

    /// Writes the content of a file, by reference if it goes into a file.
    pub(crate) fn write_content(
        &mut self,
        files: &mut Files,
        sink: Sink,
        content: Content,
    ) -> Result<(), Halt> {
        match sink {
            Sink::Nowhere => Ok(()),
            Sink::Log => match content {
                Content::Bytes(bytes) => self.write(files, sink, &bytes),
                _ => Err(Halt::refused("cat", Reason::Contents)),
            },
            Sink::Pipe(number) => {
                let Some(pipe) = self.pipes.get_mut(number) else {
                    return Ok(());
                };
                *pipe = pipe.followed_by(content);
                if pipe.size() > MAX_OUTPUT as u64 {
                    Err(too_much())
                } else {
                    Ok(())
                }
            }
            Sink::File(number) => self.write_file(files, number, content),
        }
    }

    fn write_file(&mut self, files: &mut Files, number: usize, content: Content) -> Result<(), Halt> {
        let Some(file) = self.files.get_mut(number) else {
            return Ok(());
        };
        if content.size() == 0 {
            return Ok(());
        }
        let before = match files.content(&file.path).settle()? {
            Ok(before) if file.offset.is_none_or(|offset| offset == before.size()) => before,
            // Somebody else wrote, moved or removed it meanwhile.
            _ => {
                return Err(Halt::refused(
                    file.path.to_string(),
                    Reason::Syntax("writing here at once is"),
                ));
            }
        };
        if before.size() + content.size() > MAX_OUTPUT as u64 && matches!(before, Content::Bytes(_)) {
            return Err(too_much());
        }
        let after = before.followed_by(content);
        file.offset = file.offset.map(|_| after.size());
        match files.write(&file.path, after).settle()? {
            Ok(()) => Ok(()),
            Err(_) => Err(Halt::refused(
                file.path.to_string(),
                Reason::Syntax("writing here is"),
            )),
        }
    }
}

fn too_much() -> Halt {
    Halt::refused(
        ">",
        Reason::Limit {
            limit: MAX_OUTPUT,
            of: "bytes of output",
        },
    )
}
