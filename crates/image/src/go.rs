//! The two ways of Go's `fmt` package to print a value that show in the history texts of images.

mod duration;
mod quote;

pub(crate) use duration::Nanoseconds;
pub(crate) use quote::quote;

/// Prints a list as `%v` does: `[a b]`.
pub(crate) fn list(items: &[String]) -> String {
    format!("[{}]", items.join(" "))
}

/// Prints a list as `%q` does: `["a" "b"]`.
pub(crate) fn quoted_list(items: &[String]) -> String {
    let quoted: Vec<String> = items.iter().map(|item| quote(item)).collect();
    list(&quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_told_apart_by_brackets_only() {
        let items = ["a b".to_owned(), String::new()];
        assert_eq!(list(&[]), "[]");
        assert_eq!(list(&items), "[a b ]");
        assert_eq!(quoted_list(&[]), "[]");
        assert_eq!(quoted_list(&items), r#"["a b" ""]"#);
    }
}
