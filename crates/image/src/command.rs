/// How CMD, ENTRYPOINT, RUN and health checks say what to execute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandForm {
    /// One text that the image's shell gets as its last argument.
    Shell(String),
    /// A program and its arguments, with no shell between; an empty list takes away what the base had.
    Exec(Vec<String>),
}
