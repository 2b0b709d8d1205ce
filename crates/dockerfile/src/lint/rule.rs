use std::fmt;

/// A rule of the lint, by BuildKit's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "`description` says what each rule asks for")]
pub enum Rule {
    ConsistentInstructionCasing,
    CopyIgnoredFile,
    DuplicateStageName,
    ExposeInvalidFormat,
    ExposeProtoCasing,
    FromAsCasing,
    FromPlatformFlagConstDisallowed,
    InvalidBaseImagePlatform,
    InvalidDefaultArgInFrom,
    InvalidDefinitionDescription,
    JsonArgsRecommended,
    LegacyKeyValueFormat,
    MaintainerDeprecated,
    MultipleInstructionsDisallowed,
    NoEmptyContinuation,
    RedundantTargetPlatform,
    ReservedStageName,
    SecretsUsedInArgOrEnv,
    StageNameCasing,
    UndefinedArgInFrom,
    UndefinedVar,
    WorkdirRelativePath,
}

/// Where each rule is explained, its name in kebab case behind it.
const PAGES: &str = "https://docs.docker.com/go/dockerfile/rule/";

impl Rule {
    /// Every rule, by name.
    pub const ALL: [Self; 22] = [
        Self::ConsistentInstructionCasing,
        Self::CopyIgnoredFile,
        Self::DuplicateStageName,
        Self::ExposeInvalidFormat,
        Self::ExposeProtoCasing,
        Self::FromAsCasing,
        Self::FromPlatformFlagConstDisallowed,
        Self::InvalidBaseImagePlatform,
        Self::InvalidDefaultArgInFrom,
        Self::InvalidDefinitionDescription,
        Self::JsonArgsRecommended,
        Self::LegacyKeyValueFormat,
        Self::MaintainerDeprecated,
        Self::MultipleInstructionsDisallowed,
        Self::NoEmptyContinuation,
        Self::RedundantTargetPlatform,
        Self::ReservedStageName,
        Self::SecretsUsedInArgOrEnv,
        Self::StageNameCasing,
        Self::UndefinedArgInFrom,
        Self::UndefinedVar,
        Self::WorkdirRelativePath,
    ];

    /// The name that `check=skip=` takes; case matters there.
    pub fn name(self) -> &'static str {
        self.facts().0
    }

    /// What the rule asks for, in BuildKit's words.
    pub fn description(self) -> &'static str {
        self.facts().2
    }

    /// The page that explains the rule; one rule has none.
    pub fn url(self) -> Option<String> {
        let page = self.facts().1;
        (!page.is_empty()).then(|| format!("{PAGES}{page}/"))
    }

    /// Whether the rule is applied only where `check=experimental=` names it.
    pub fn is_experimental(self) -> bool {
        self == Self::InvalidDefinitionDescription
    }

    /// Name, page and description.
    ///
    /// Source: the rules of BuildKit 73ed6825c4, whose words users and their tools look for.
    #[rustfmt::skip]
    fn facts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::ConsistentInstructionCasing => ("ConsistentInstructionCasing", "consistent-instruction-casing",
                "All commands within the Dockerfile should use the same casing (either upper or lower)"),
            Self::CopyIgnoredFile => ("CopyIgnoredFile", "copy-ignored-file",
                "Attempting to Copy file that is excluded by .dockerignore"),
            Self::DuplicateStageName => ("DuplicateStageName", "duplicate-stage-name",
                "Stage names should be unique"),
            Self::ExposeInvalidFormat => ("ExposeInvalidFormat", "expose-invalid-format",
                "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release"),
            Self::ExposeProtoCasing => ("ExposeProtoCasing", "expose-proto-casing",
                "Protocol in EXPOSE instruction should be lowercase"),
            Self::FromAsCasing => ("FromAsCasing", "from-as-casing",
                "The 'as' keyword should match the case of the 'from' keyword"),
            Self::FromPlatformFlagConstDisallowed => ("FromPlatformFlagConstDisallowed", "from-platform-flag-const-disallowed",
                "FROM --platform flag should not use a constant value"),
            Self::InvalidBaseImagePlatform => ("InvalidBaseImagePlatform", "",
                "Base image platform does not match expected target platform"),
            Self::InvalidDefaultArgInFrom => ("InvalidDefaultArgInFrom", "invalid-default-arg-in-from",
                "Default value for global ARG results in an empty or invalid base image name"),
            Self::InvalidDefinitionDescription => ("InvalidDefinitionDescription", "invalid-definition-description",
                "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment."),
            Self::JsonArgsRecommended => ("JSONArgsRecommended", "json-args-recommended",
                "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals"),
            Self::LegacyKeyValueFormat => ("LegacyKeyValueFormat", "legacy-key-value-format",
                "Legacy key/value format with whitespace separator should not be used"),
            Self::MaintainerDeprecated => ("MaintainerDeprecated", "maintainer-deprecated",
                "The MAINTAINER instruction is deprecated, use a label instead to define an image author"),
            Self::MultipleInstructionsDisallowed => ("MultipleInstructionsDisallowed", "multiple-instructions-disallowed",
                "Multiple instructions of the same type should not be used in the same stage"),
            Self::NoEmptyContinuation => ("NoEmptyContinuation", "no-empty-continuation",
                "Empty continuation lines will become errors in a future release"),
            Self::RedundantTargetPlatform => ("RedundantTargetPlatform", "redundant-target-platform",
                "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior"),
            Self::ReservedStageName => ("ReservedStageName", "reserved-stage-name",
                "Reserved words should not be used as stage names"),
            Self::SecretsUsedInArgOrEnv => ("SecretsUsedInArgOrEnv", "secrets-used-in-arg-or-env",
                "Sensitive data should not be used in the ARG or ENV commands"),
            Self::StageNameCasing => ("StageNameCasing", "stage-name-casing",
                "Stage names should be lowercase"),
            Self::UndefinedArgInFrom => ("UndefinedArgInFrom", "undefined-arg-in-from",
                "FROM command must use declared ARGs"),
            Self::UndefinedVar => ("UndefinedVar", "undefined-var",
                "Variables should be defined before their use"),
            Self::WorkdirRelativePath => ("WorkdirRelativePath", "workdir-relative-path",
                "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes"),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
