/// Why the kernel refuses a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Errno {
    /// `ENOENT`.
    #[error("No such file or directory")]
    NotFound,
    /// `EEXIST`.
    #[error("File exists")]
    Exists,
    /// `ENOTDIR`.
    #[error("Not a directory")]
    NotADirectory,
    /// `EISDIR`.
    #[error("Is a directory")]
    IsADirectory,
    /// `ENOTEMPTY`.
    #[error("Directory not empty")]
    NotEmpty,
    /// `EPERM`.
    #[error("Operation not permitted")]
    NotPermitted,
    /// `EINVAL`.
    #[error("Invalid argument")]
    Invalid,
    /// `ELOOP`.
    #[error("Too many levels of symbolic links")]
    TooManyLinks,
    /// `ENAMETOOLONG`.
    #[error("File name too long")]
    NameTooLong,
    /// `EBUSY`.
    #[error("Device or resource busy")]
    Busy,
}
