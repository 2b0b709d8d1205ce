//! The instructions, one file for each that does more than edit the configuration.

pub(crate) mod add;
pub(crate) mod configure;
pub(crate) mod copy;
pub(crate) mod deliver;
mod execute;
pub(crate) mod owner;
pub(crate) mod run;
pub(crate) mod workdir;

use bstr::ByteSlice;
use onlay_base::{FilesError, ListingsError};
use onlay_dockerfile::{Diagnostic, Diagnostics, Instruction, Located, Span};
use onlay_fetch::FetchError;
use onlay_image::ImageError;
use onlay_layer::{ChangeError, LayerReadError, LayerWriteError};

use crate::execution::ExecutionError;
use crate::inputs::RepositoryError;
use crate::{BuildError, ContextListError};

/// Why a line could not be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// Something is wrong with the line itself, or with what it does to this base.
    #[error(transparent)]
    Lines(Diagnostics),
    /// The line would have to be executed, and this machine is of another architecture.
    #[error(transparent)]
    Foreign(Diagnostics),
    /// The configuration could not be edited.
    #[error("{place}: the image's configuration could not be edited")]
    Image {
        /// The line.
        place: String,
        /// What happened.
        source: ImageError,
    },
    /// A layer of the base could not be listed.
    #[error("the files of the base could not be listed")]
    Listings(#[from] ListingsError),
    /// A file of the base could not be copied up.
    #[error("the files of the base could not be read")]
    Files(#[from] FilesError),
    /// The new layer could not be written.
    #[error("{place}: the new layer could not be written")]
    Layer {
        /// The line.
        place: String,
        /// What happened.
        source: LayerWriteError,
    },
    /// The changes are no layer.
    #[error("{place}: the changes do not make a layer")]
    Changes {
        /// The line.
        place: String,
        /// What is wrong with them.
        source: ChangeError,
    },
    /// The build context could not be listed.
    #[error(transparent)]
    Context(#[from] ContextListError),
    /// A stage or image that the line copies from could not be had.
    #[error(transparent)]
    Source(#[from] Box<BuildError>),
    /// A file could not be downloaded.
    #[error("{place}: the download failed")]
    Download {
        /// The line.
        place: String,
        /// What happened.
        source: Box<FetchError>,
    },
    /// A git repository could not be checked out.
    #[error("{place}: the repository could not be checked out")]
    Repository {
        /// The line.
        place: String,
        /// What happened.
        source: RepositoryError,
    },
    /// An archive could not be unpacked.
    #[error("{place}: `{archive}` cannot be unpacked")]
    Archive {
        /// The line.
        place: String,
        /// The archive, as the line names it.
        archive: String,
        /// What happened.
        source: LayerReadError,
    },
    /// A line could not be executed.
    #[error("{place}: RUN could not be executed")]
    Execution {
        /// The line.
        place: String,
        /// What happened.
        source: Box<ExecutionError>,
    },
    /// A thread that wrote a layer ended without an answer.
    #[error("writing a layer was interrupted")]
    Worker,
}

impl StepError {
    /// Blames a whole line.
    pub(crate) fn at(line: &Located<Instruction>, message: String) -> Self {
        let diagnostic = Diagnostic {
            message,
            span: line.span,
            source_file: line.source.clone(),
            hint: None,
        };
        Self::Lines(diagnostic.into())
    }

    /// Points at the piece of the line that is to blame, if the line has it as it stands, else at all of the line.
    pub(crate) fn blame(line: &Located<Instruction>, piece: &str, message: String) -> Self {
        let text = line
            .source
            .text()
            .get(line.span.start..line.span.end)
            .unwrap_or_default();
        let found = text.find(piece.as_bytes()).filter(|_| !piece.is_empty());
        let span = match found {
            Some(offset) => {
                let start = line.span.start + offset;
                Span::new(start, start + piece.len())
            }
            None => line.span,
        };
        Self::Lines(
            Diagnostic {
                message,
                span,
                source_file: line.source.clone(),
                hint: None,
            }
            .into(),
        )
    }

    /// The same, as a matter of the machine and not of the line.
    pub(crate) fn foreign(self) -> Self {
        match self {
            Self::Lines(diagnostics) => Self::Foreign(diagnostics),
            other => other,
        }
    }

    pub(crate) fn with_hint(self, hint: &str) -> Self {
        match self {
            Self::Lines(mut diagnostics) => {
                diagnostics
                    .0
                    .iter_mut()
                    .for_each(|diagnostic| diagnostic.hint = Some(hint.to_owned()));
                Self::Lines(diagnostics)
            }
            other => other,
        }
    }
}

/// `Dockerfile:3`, where an instruction stands.
pub(crate) fn place(line: &Located<Instruction>) -> String {
    format!("{}:{}", line.source.name(), line.line_column().0)
}
