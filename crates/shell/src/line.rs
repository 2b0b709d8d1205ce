/// A RUN line with all that its meaning depends on, beside the tree.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// What is run.
    pub command: CommandLine<'a>,
    /// The shell of the shell form: SHELL, or `["/bin/sh", "-c"]`. The exec form takes no notice of it.
    pub shell: &'a [String],
    /// The environment as the command sees it, PATH and HOME included.
    pub environment: &'a [(String, String)],
    /// WORKDIR, as an absolute path.
    pub working_directory: &'a [u8],
    /// USER, as written; empty means root.
    pub user: &'a str,
    /// Whose shell and commands give the line its meaning.
    pub tools: Tools,
}

/// The command of a RUN in one of its two forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandLine<'a> {
    /// Shell text; a heredoc's body is one, too.
    Shell(&'a str),
    /// The arguments of a JSON form: no shell is involved.
    Exec(&'a [String]),
}

/// Whose shell and commands give a line its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tools {
    /// The image's own; what it lacks fails as it would when executed.
    Image,
    /// onlay's own, with busybox's behaviour and words: for images without a shell.
    Builtin,
    /// The image's own; onlay's for what it lacks.
    ImageElseBuiltin,
}
