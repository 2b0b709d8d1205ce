use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use crate::diagnostic::{Diagnostics, Report};
use crate::directive::Escape;
use crate::expand::{ExpandError, Scope, expand_heredoc, expand_word, expand_words};
use crate::instruction::{ExpandedInstruction, Instruction};
use crate::location::Located;
use crate::source::{SourceFile, Span, Spanned};

/// The expansion of one instruction: its scope, and what turned out to be wrong.
///
/// Methods that expand give nothing where that fails, so that an instruction can go on and report all of its errors.
pub(crate) struct Evaluation<'a> {
    pub(crate) scope: &'a dyn Scope,
    escape: Escape,
    /// Whether variables are unknown: then only the syntax of the words that have any is checked.
    is_rehearsal: bool,
    /// The variables that words have asked for, word by word.
    pub(crate) lookups: Vec<Lookup>,
    pub(crate) report: Report,
}

/// A variable that a word has asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lookup {
    pub(crate) name: String,
    pub(crate) is_set: bool,
    /// Where the word stands.
    pub(crate) word: Span,
}

impl Located<Instruction> {
    /// Replaces the variables where the instruction allows them, and checks what can only be checked then.
    ///
    /// # Errors
    ///
    /// Everything that is wrong: substitutions, ports, signals, volumes, mounts, sources.
    pub fn expand(&self, scope: &dyn Scope) -> Result<ExpandedInstruction, Diagnostics> {
        let mut evaluation = Evaluation::new(scope, self.escape, &self.source);
        let expanded = self.value.evaluate(&mut evaluation);
        evaluation.report.finish(expanded)
    }

    /// As [`Self::expand`], and says which variables were asked for. EXPOSE's are not told, as in BuildKit.
    pub(crate) fn expand_watched(
        &self,
        scope: &dyn Scope,
    ) -> (Result<ExpandedInstruction, Diagnostics>, Vec<Lookup>) {
        let mut evaluation = Evaluation::new(scope, self.escape, &self.source);
        let expanded = self.value.evaluate(&mut evaluation);
        (evaluation.report.finish(expanded), evaluation.lookups)
    }
}

impl<T> Located<T> {
    /// Finds what is wrong whatever the values of variables, so that it is known before anything is built.
    pub(crate) fn rehearse<U>(
        &self,
        evaluate: impl FnOnce(&T, &mut Evaluation<'_>) -> U,
    ) -> Result<(), Diagnostics> {
        let evaluation = Evaluation::new(&Everything, self.escape, &self.source);
        let mut evaluation = Evaluation {
            is_rehearsal: true,
            ..evaluation
        };
        evaluate(&self.value, &mut evaluation);
        evaluation.report.finish(())
    }
}

impl<'a> Evaluation<'a> {
    pub(crate) fn new(scope: &'a dyn Scope, escape: Escape, source: &Arc<SourceFile>) -> Self {
        Self {
            scope,
            escape,
            is_rehearsal: false,
            lookups: Vec::new(),
            report: Report::new(Arc::clone(source)),
        }
    }

    /// Expands a word; nothing where that fails or the value is not known yet.
    pub(crate) fn word(&mut self, word: &Spanned<String>) -> Option<String> {
        self.word_in(word, self.scope)
    }

    /// As [`Self::word`], with another scope.
    pub(crate) fn word_in(&mut self, word: &Spanned<String>, scope: &dyn Scope) -> Option<String> {
        let watched = Watched::new(scope);
        let expanded = expand_word(&word.value, &watched, self.escape);
        self.lookups.extend(watched.finish(word.span));
        self.known(word, expanded)
    }

    /// As [`Self::word_in`], for a word whose variables are nobody's business.
    pub(crate) fn constant(&mut self, word: &Spanned<String>, scope: &dyn Scope) -> Option<String> {
        let expanded = expand_word(&word.value, scope, self.escape);
        self.known(word, expanded)
    }

    /// Expands and splits a word.
    pub(crate) fn words(&mut self, word: &Spanned<String>) -> Option<Vec<String>> {
        let expanded = expand_words(&word.value, self.scope, self.escape);
        self.known(word, expanded)
    }

    /// Expands the body of a heredoc.
    pub(crate) fn heredoc(&mut self, body: &str, span: Span) -> Option<String> {
        let watched = Watched::new(self.scope);
        let expanded = expand_heredoc(body, &watched);
        self.lookups.extend(watched.finish(span));
        expanded
            .map_err(|error| {
                self.report
                    .error(span, format!("cannot expand the heredoc: {error}"))
            })
            .ok()
    }

    fn known<T>(&mut self, word: &Spanned<String>, expanded: Result<T, ExpandError>) -> Option<T> {
        match expanded {
            Ok(_) if self.is_rehearsal && word.value.contains('$') => None,
            Ok(value) => Some(value),
            Err(error) => {
                self.report
                    .error(word.span, format!("cannot expand `{}`: {error}", word.value));
                None
            }
        }
    }
}

/// A scope that notes what it is asked for.
struct Watched<'a> {
    scope: &'a dyn Scope,
    asked: RefCell<Vec<(String, bool)>>,
}

impl<'a> Watched<'a> {
    fn new(scope: &'a dyn Scope) -> Self {
        let asked = RefCell::default();
        Self { scope, asked }
    }

    fn finish(self, word: Span) -> impl Iterator<Item = Lookup> {
        let lookup = move |(name, is_set)| Lookup { name, is_set, word };
        self.asked.into_inner().into_iter().map(lookup)
    }
}

impl Scope for Watched<'_> {
    fn variable(&self, name: &str) -> Option<Cow<'_, str>> {
        let value = self.scope.variable(name);
        self.asked.borrow_mut().push((name.to_owned(), value.is_some()));
        value
    }
}

/// A scope in which every variable is set, so that only the syntax of a word can be wrong.
struct Everything;

impl Scope for Everything {
    fn variable(&self, _name: &str) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed("x"))
    }
}
