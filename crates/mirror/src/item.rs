//! One image of one tag: what it is taken from, what is added, where it goes.

use std::collections::BTreeMap;

use onlay_dockerfile::{Instruction, Located, SourceFile, parse_instructions};
use onlay_oci::{Digest, PlatformSelection, Reference, Registry, Repository, Tag};

use crate::config::{CannotRun, Config, ConfigError, Defaults, ImageRule, Line, PreviousTag, Source};
use crate::naming;
use crate::select::{Literal, Pattern, TagRule, needs_list, select};

/// An image of the configuration, with the tags still to be chosen.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The image, without a tag.
    pub(crate) source: Reference,
    /// As the configuration has it.
    pub(crate) name: String,
    pub(crate) target: (Registry, Repository),
    tags: Vec<TagRule>,
    exclude: Vec<Pattern>,
    settings: Settings,
    lines: Vec<Line>,
    tag_lines: BTreeMap<String, Vec<Line>>,
    pattern_lines: Vec<(Pattern, Vec<Line>)>,
}

#[derive(Clone, Debug)]
struct Settings {
    platforms: PlatformSelection,
    referrers: bool,
    priority: i64,
    cannot_run: CannotRun,
    fall_back: bool,
    previous: Option<PreviousTag>,
    keep: Option<usize>,
}

/// One image to keep in sync.
#[derive(Clone, Debug)]
pub struct Item {
    /// Where it comes from, with its tag.
    pub source: Reference,
    /// The digest that it must have there.
    pub pinned: Option<Digest>,
    /// Where it is kept.
    pub target: Reference,
    /// What is added.
    pub lines: Vec<Located<Instruction>>,
    /// Which platforms are kept.
    pub platforms: PlatformSelection,
    /// Whether what refers to it comes along.
    pub referrers: bool,
    /// Higher comes first.
    pub priority: i64,
    /// What becomes of platforms that lines cannot be executed for.
    pub cannot_run: CannotRun,
    /// Whether it may come from ECR Public.
    pub fall_back: bool,
    /// The tag that what it replaces is to have.
    pub previous: Option<Tag>,
}

/// The images of a configuration, in its order.
///
/// # Errors
/// There is no registry to keep them in, names do not fit, or two images would have one place.
pub fn entries(config: &Config, registry: Option<&Registry>, name: &str) -> Result<Vec<Entry>, ConfigError> {
    let wrong = |message: String| ConfigError {
        name: name.to_owned(),
        message,
    };
    let registry = registry
        .cloned()
        .or_else(|| config.registry.as_ref().map(|host| host.0.clone()));
    let registry = registry.ok_or_else(|| {
        wrong("it does not say where images are kept: `registry: HOST`, or `--registry HOST`".to_owned())
    })?;
    let mut entries = Vec::new();
    for rule in &config.images {
        entries.push(entry(config, &registry, rule).map_err(wrong)?);
    }
    for (source, tags) in &config.containers {
        let rule = module_rule(config, source, tags);
        entries.push(entry(config, &registry, &rule).map_err(wrong)?);
    }
    let known = |image: &str| {
        let is_named = |entry: &Entry| {
            let names_tag = |rule: &TagRule| matches!(rule, TagRule::Literal(literal) if image == format!("{}:{}", entry.name, literal.tag));
            entry.tags.iter().any(names_tag)
        };
        entries.iter().any(is_named)
    };
    // The module loses such lines in silence (aws.md 4.3).
    if let Some(image) = config.build_commands.keys().find(|image| !known(image)) {
        return Err(wrong(format!(
            "`build_commands` has lines for `{image}`, which is not among the images; expected IMAGE:TAG as in `containers`"
        )));
    }
    Ok(entries)
}

/// The two maps of the module, as a rule.
fn module_rule(config: &Config, source: &Source, tags: &[TagRule]) -> ImageRule {
    let prefix = format!("{source}:");
    let of_image = config.build_commands.iter().filter_map(|(image, lines)| {
        let tag = image.strip_prefix(&prefix)?;
        Some((tag.to_owned(), lines.clone()))
    });
    ImageRule {
        source: source.clone(),
        tags: tags.to_vec(),
        exclude: Vec::new(),
        target: None,
        platforms: None,
        referrers: None,
        priority: None,
        cannot_run: None,
        fall_back: None,
        previous: None,
        keep: None,
        lines: Vec::new(),
        tag_lines: of_image.collect(),
    }
}

fn entry(config: &Config, registry: &Registry, rule: &ImageRule) -> Result<Entry, String> {
    let source = rule
        .source
        .reference()
        .ok_or_else(|| format!("`{}` is no image", rule.source))?;
    let repository = match &rule.target {
        Some(template) => naming::fill(template, &source, &config.namespace),
        None => config.naming.name(&source, &config.namespace),
    };
    let repository: Repository = repository
        .parse()
        .map_err(|error| format!("`{}` cannot be kept as `{repository}`: {error}", rule.source))?;
    let Defaults {
        platforms,
        referrers,
        priority,
        cannot_run,
        fall_back,
        previous,
        keep,
    } = &config.defaults;
    let platforms = rule.platforms.as_ref().or(platforms.as_ref());
    Ok(Entry {
        source,
        name: rule.source.to_string(),
        target: (registry.clone(), repository),
        tags: rule.tags.clone(),
        exclude: rule.exclude.clone(),
        settings: Settings {
            platforms: platforms.map_or(PlatformSelection::All, |platforms| platforms.0.clone()),
            referrers: rule.referrers.or(*referrers).unwrap_or(true),
            priority: rule.priority.or(*priority).unwrap_or_default(),
            cannot_run: rule.cannot_run.or(*cannot_run).unwrap_or_default(),
            fall_back: rule.fall_back.or(*fall_back).unwrap_or(true),
            previous: rule.previous.as_ref().or(previous.as_ref()).cloned(),
            keep: rule.keep.or(*keep),
        },
        lines: rule.lines.clone(),
        tag_lines: rule.tag_lines.clone(),
        pattern_lines: config
            .lines
            .iter()
            .map(|rule| (rule.pattern.clone(), rule.lines.clone()))
            .collect(),
    })
}

impl Entry {
    /// The image, without a tag.
    pub fn source(&self) -> &Reference {
        &self.source
    }

    /// Where it is kept.
    pub fn target(&self) -> (&Registry, &Repository) {
        (&self.target.0, &self.target.1)
    }

    /// How many replaced images are kept, if that is said.
    pub(crate) fn keep(&self) -> Option<usize> {
        self.settings.keep
    }

    /// Whether the tags that there are upstream must be known.
    pub(crate) fn needs_list(&self) -> bool {
        needs_list(&self.tags)
    }

    /// The images that it stands for, of the tags that there are.
    ///
    /// # Errors
    /// The added lines are not understood.
    pub(crate) fn items(&self, there: &[Tag]) -> Vec<Result<Item, (Reference, String)>> {
        let chosen = select(&self.tags, &self.exclude, there);
        chosen.iter().map(|literal| self.item(literal)).collect()
    }

    fn item(&self, literal: &Literal) -> Result<Item, (Reference, String)> {
        let (registry, repository) = (self.source.registry().clone(), self.source.repository().clone());
        let source = Reference::new(registry, repository, Some(literal.tag.clone()), None);
        let (registry, repository) = self.target.clone();
        let lines = self
            .lines_for(&source, &literal.tag)
            .map_err(|message| (source.clone(), message))?;
        Ok(Item {
            target: Reference::new(registry, repository, Some(literal.tag.clone()), None),
            source,
            pinned: literal.digest.clone(),
            lines,
            platforms: self.settings.platforms.clone(),
            referrers: self.settings.referrers,
            priority: self.settings.priority,
            cannot_run: self.settings.cannot_run,
            fall_back: self.settings.fall_back,
            previous: self
                .settings
                .previous
                .as_ref()
                .and_then(|previous| previous.of(&literal.tag)),
        })
    }

    /// Of patterns first, then the image's, then the tag's.
    fn lines_for(&self, source: &Reference, tag: &Tag) -> Result<Vec<Located<Instruction>>, String> {
        let full = source.to_string();
        let of_patterns = self
            .pattern_lines
            .iter()
            .filter(|(pattern, _)| pattern.matches(&full));
        let of_patterns = of_patterns.flat_map(|(_, lines)| lines);
        let of_tag = self.tag_lines.get(tag.as_str()).into_iter().flatten();
        let texts = of_patterns.chain(&self.lines).chain(of_tag);
        let mut lines = Vec::new();
        for (index, text) in texts.enumerate() {
            let name = format!("line {} added to {}:{tag}", index + 1, self.name);
            let parsed = parse_instructions(SourceFile::new(name, text.as_str()));
            lines.extend(parsed.map_err(|error| error.to_string())?);
        }
        Ok(lines)
    }
}
