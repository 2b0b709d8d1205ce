//! How commands put names into messages.

/// A name in the quotes that commands put around names.
///
/// Source: gnulib `quotearg.h`, style "shell-escape-always", for names that need no escapes.
pub(crate) fn quoted(name: &[u8]) -> Vec<u8> {
    let quote = if name.contains(&b'\'') { b"\"" } else { b"'" };
    [quote, name, quote].concat()
}

/// A name in the quotes that messages made for translation have: those of the locale.
///
/// Source: gnulib `quote.h`; of all locales an image is sure to have "C" and, since glibc 2.35, "C.UTF-8".
pub(crate) fn quoted_by_locale(name: &[u8], utf8: bool) -> Vec<u8> {
    match utf8 {
        true => ["\u{2018}".as_bytes(), name, "\u{2019}".as_bytes()].concat(),
        false => quoted(name),
    }
}

/// The last name of a path, as `basename` gives it.
pub(crate) fn base_name(path: &[u8]) -> &[u8] {
    let bare = crate::files::without_slashes(path);
    match bare.iter().rposition(|byte| *byte == b'/') {
        Some(slash) if bare.len() > 1 => &bare[slash + 1..],
        _ => bare,
    }
}

/// A name inside of a directory, as commands write it.
pub(crate) fn inside(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let separator: &[u8] = if directory.ends_with(b"/") { b"" } else { b"/" };
    [directory, separator, name].concat()
}
