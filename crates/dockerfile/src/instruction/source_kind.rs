/// Where a source of COPY or ADD lies, as far as its text tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// A path in the build context or in another stage.
    Path,
    /// A file to download.
    Http,
    /// A git repository.
    Git,
}

impl SourceKind {
    /// Tells a source's kind: `http(s)://` is a download, or git where its path ends in `.git`; `git://`, `ssh://` and
    /// `user@host:path` are git; the rest is a path, `github.com/user/repository` included.
    pub fn of(source: &str) -> Self {
        if let Some((scheme @ ("http" | "https"), rest)) = source.split_once("://") {
            let path = rest.split(['#', '?']).next().unwrap_or_default();
            return if !scheme.is_empty() && path.ends_with(".git") {
                Self::Git
            } else {
                Self::Http
            };
        }
        if source.starts_with("git://") || source.starts_with("ssh://") || is_scp_like(source) {
            return Self::Git;
        }
        Self::Path
    }
}

/// `user@host:path`
fn is_scp_like(source: &str) -> bool {
    let is_word = |text: &str, also: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || also.contains(c))
    };
    source.split_once('@').is_some_and(|(user, rest)| {
        is_word(user, "_") && rest.split_once(':').is_some_and(|(host, _)| is_word(host, "."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let check = |source: &str, kind| assert_eq!(SourceKind::of(source), kind, "{source}");
        check("a", SourceKind::Path);
        check("./a@b:c", SourceKind::Path);
        check("github.com/a/b", SourceKind::Path);
        check("https://example.com/a.tar", SourceKind::Http);
        check("https://example.com/a.git", SourceKind::Git);
        check("http://example.com/a.git?ref=v1#main:dir", SourceKind::Git);
        check("https://example.com/a?x=.git", SourceKind::Http);
        check("git@github.com:a/b.git", SourceKind::Git);
        check("git://example.com/a", SourceKind::Git);
        check("ssh://git@example.com/a", SourceKind::Git);
    }
}
