use std::sync::Arc;

use super::{Rule, Warning};
use crate::directive::CheckOptions;
use crate::location::Located;
use crate::source::{SourceFile, Span};

/// Takes warnings in and drops those that nobody wants.
pub(super) struct Sink {
    pub(super) options: CheckOptions,
    pub(super) warnings: Vec<Warning>,
}

/// What a warning is about.
#[derive(Clone, Copy)]
pub(super) struct Site<'a> {
    pub(super) source: &'a Arc<SourceFile>,
    pub(super) span: Span,
    /// The comments that may choose rules for it.
    pub(super) comments: &'a [String],
}

impl<'a> Site<'a> {
    pub(super) fn of<T>(located: &'a Located<T>) -> Self {
        Self {
            source: &located.source,
            span: located.span,
            comments: &located.comments,
        }
    }

    /// The same place, where the comments above it choose nothing.
    pub(super) fn without_comments(self) -> Self {
        Self {
            comments: &[],
            ..self
        }
    }
}

impl Sink {
    pub(super) fn warn(&mut self, rule: Rule, site: Site<'_>, message: impl Into<String>) {
        if !self.wants(rule, site.comments) {
            return;
        }
        self.warnings.push(Warning {
            rule,
            message: message.into(),
            span: site.span,
            source_file: Arc::clone(site.source),
        });
    }

    /// Of several `check=` comments above one instruction the first counts.
    fn wants(&self, rule: Rule, comments: &[String]) -> bool {
        let local = comments
            .iter()
            .find_map(|comment| CheckOptions::of_comment(comment));
        let local = local.unwrap_or_default();
        let name = rule.name();
        if rule.is_experimental() {
            self.options.experimental.contains(name) || local.experimental.contains(name)
        } else {
            !self.options.skip.contains(name) && !local.skip.contains(name)
        }
    }
}
