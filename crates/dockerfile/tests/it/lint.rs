//! The lint: for every rule a file that breaks it and one that just does not, and what chooses the rules.

use std::collections::BTreeMap;
use std::path::Path;

use onlay_dockerfile::{
    BaseImage, Dockerfile, IgnoreList, LintError, LintOptions, LintReport, LintedStages, Rule, SourceFile,
    lint, outline, targets,
};

/// A build for linux/amd64 in which every base is known.
pub(crate) struct Build {
    pub(crate) arguments: BTreeMap<String, String>,
    pub(crate) target: Option<&'static str>,
    pub(crate) stages: LintedStages,
    pub(crate) bases: fn(&Dockerfile, usize) -> Option<BaseImage>,
    pub(crate) ignore: &'static [&'static str],
}

impl Build {
    pub(crate) fn new() -> Self {
        Self {
            arguments: BTreeMap::new(),
            target: None,
            stages: LintedStages::All,
            bases: known,
            ignore: &["ignored"],
        }
    }

    fn with(arguments: &[(&str, &str)]) -> Self {
        Self {
            arguments: owned(arguments),
            ..Self::new()
        }
    }

    pub(crate) fn use_options<T>(
        &self,
        dockerfile: &Dockerfile,
        then: impl FnOnce(&LintOptions<'_>) -> T,
    ) -> T {
        let predefined = owned(&[
            ("BUILDPLATFORM", "linux/amd64"),
            ("TARGETPLATFORM", "linux/amd64"),
            ("TARGETOS", "linux"),
            ("TARGETARCH", "amd64"),
            ("TARGETSTAGE", "default"),
        ]);
        let patterns: Vec<String> = self.ignore.iter().map(|pattern| (*pattern).to_owned()).collect();
        let matches = |path: &str| {
            let is_below = |pattern: &&str| Path::new(path).starts_with(pattern) || pattern.starts_with('*');
            self.ignore.iter().any(is_below)
        };
        let bases = |number| (self.bases)(dockerfile, number);
        let ignore = Some(IgnoreList {
            patterns: &patterns,
            matches: &matches,
        });
        then(&LintOptions {
            build_arguments: &self.arguments,
            predefined: &predefined,
            target: self.target,
            stages: self.stages,
            bases: &bases,
            ignore,
        })
    }

    fn report(&self, text: &str) -> LintReport {
        let dockerfile = parse(text);
        self.use_options(&dockerfile, |options| lint(&dockerfile, options))
            .unwrap()
    }
}

fn owned(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn known(dockerfile: &Dockerfile, number: usize) -> Option<BaseImage> {
    let platforms = (dockerfile.stages[number].from.value.image.value == "wrong-platform")
        .then(|| ("linux/amd64".parse().unwrap(), "linux/arm64".parse().unwrap()));
    let environment = vec![("JAVA_HOME".to_owned(), "/java".to_owned())];
    Some(BaseImage {
        environment,
        platforms,
        ..BaseImage::default()
    })
}

fn parse(text: &str) -> Dockerfile {
    Dockerfile::parse(SourceFile::new("Dockerfile", text)).unwrap_or_else(|error| panic!("{error}"))
}

fn summaries(report: &LintReport) -> String {
    report
        .warnings
        .iter()
        .map(|warning| warning.summary() + "\n")
        .collect()
}

/// Lints for the expected rules, each with its line.
fn check(text: &str, expected: &[(Rule, usize)]) {
    check_build(&Build::new(), text, expected);
}

fn check_build(build: &Build, text: &str, expected: &[(Rule, usize)]) {
    let report = build.report(text);
    let found: Vec<_> = report
        .warnings
        .iter()
        .map(|warning| (warning.rule, *warning.lines().start()))
        .collect();
    assert_eq!(found, expected, "{text}\n{}", summaries(&report));
}

#[test]
fn each_rule_has_a_file_that_breaks_it_and_one_that_does_not() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/lint");
    for rule in Rule::ALL {
        let read = |name: &str| fs_err::read_to_string(directory.join(rule.name()).join(name)).unwrap();
        let fires = Build::new().report(&read("fires.Dockerfile"));
        let of_rule = fires.warnings.iter().filter(|warning| warning.rule == rule);
        let found: String = of_rule.map(|warning| warning.summary() + "\n").collect();
        assert_eq!(found, read("expected"), "{rule}");
        let quiet = Build::new().report(&read("quiet.Dockerfile"));
        assert!(
            quiet.warnings.iter().all(|warning| warning.rule != rule),
            "{rule}: {}",
            summaries(&quiet)
        );
        assert_eq!(quiet.error, None, "{rule}");
    }
}

#[test]
fn every_rule_has_its_page() {
    for rule in Rule::ALL {
        let kebab =
            rule.name()
                .replace("JSONArgs", "JsonArgs")
                .chars()
                .fold(String::new(), |name, character| {
                    let dash = if character.is_uppercase() && !name.is_empty() {
                        "-"
                    } else {
                        ""
                    };
                    name + dash + &character.to_lowercase().to_string()
                });
        let expected = format!("https://docs.docker.com/go/dockerfile/rule/{kebab}/");
        let expected = (rule != Rule::InvalidBaseImagePlatform).then_some(expected);
        assert_eq!(rule.url(), expected);
    }
}

#[test]
fn the_directive_chooses_the_rules() {
    let text = "FROM scratch as base\ncopy a .\n";
    let both = [(Rule::FromAsCasing, 1), (Rule::ConsistentInstructionCasing, 2)];
    check(text, &both);
    let moved = both.map(|(rule, line)| (rule, line + 1));
    check(&format!("# check=skip=all\n{text}"), &[]);
    check(
        &format!("# check=skip=FromAsCasing,ConsistentInstructionCasing\n{text}"),
        &[],
    );
    check(
        &format!("# check=skip=FromAsCasing // for a reason\n{text}"),
        &moved[1..],
    );
    check(&format!("# check=skip=fromascasing\n{text}"), &moved);
    let given = Build::with(&[("BUILDKIT_DOCKERFILE_CHECK", "skip=FromAsCasing")]);
    check_build(&given, &format!("# check=skip=all\n{text}"), &moved[1..]);
}

#[test]
fn a_comment_chooses_the_rules_of_one_instruction() {
    check("FROM scratch\n# check=skip=JSONArgsRecommended\nCMD a\n", &[]);
    check(
        "FROM scratch\n# check=skip=JSONArgsRecommended // why\n\n# words\nCMD a\n",
        &[],
    );
    check("FROM scratch\n# Check = skip=all\nCMD a\n", &[]);
    check(
        "FROM scratch\n# check=skip=JSONArgsRecommended\n#\nCMD a\n",
        &[(Rule::JsonArgsRecommended, 4)],
    );
    check(
        "FROM scratch\n  # check=skip=JSONArgsRecommended\nCMD a\n",
        &[(Rule::JsonArgsRecommended, 3)],
    );
    check(
        "FROM scratch\n# check=skip=a;nonsense\nCMD a\n",
        &[(Rule::JsonArgsRecommended, 3)],
    );
    check(
        "FROM scratch\n# check=skip=all\nENV password=a\nENV password=a\n",
        &[(Rule::SecretsUsedInArgOrEnv, 4)],
    );
    check(
        "# check=experimental=all\n# words\n# check=skip=all\nfrom scratch\nRUN a\nRUN b\n",
        &[(Rule::ConsistentInstructionCasing, 4)],
    );
    check(
        "FROM scratch\n# check=experimental=InvalidDefinitionDescription\nARG a\n# other\nARG b\n",
        &[(Rule::InvalidDefinitionDescription, 3)],
    );
}

#[test]
fn error_makes_warnings_a_failure() {
    let check = |text: &str, expected: Option<&str>| {
        let found = Build::new()
            .report(text)
            .verify()
            .err()
            .map(|violation| violation.to_string());
        assert_eq!(found.as_deref(), expected, "{text}");
    };
    let text = "FROM scratch AS A\nMAINTAINER a\nMAINTAINER b\n";
    check(text, None);
    check(
        &format!("# check=error=true\n{text}"),
        Some("lint violation found for rules: MaintainerDeprecated, StageNameCasing"),
    );
    check(&format!("# check=skip=all;error=true\n{text}"), None);
    check("# check=error=true\nFROM scratch\n", None);
}

#[test]
fn variables_are_those_of_the_stage_and_its_base() {
    let undefined = |line| [(Rule::UndefinedVar, line)];
    check("FROM java\nWORKDIR $JAVA_HOME\n", &[]);
    check("FROM scratch\nWORKDIR /$JAVA_HOME\n", &undefined(2));
    check("FROM java AS a\nARG b=c\nFROM a\nCOPY $b $JAVA_HOME/\n", &[]);
    check("FROM java AS a\nARG b=c\nFROM java\nCOPY $b /\n", &undefined(4));
    check("ARG b=c\nFROM java\nCOPY $b /\n", &undefined(3));
    check("FROM java\nARG a b=$a\nARG c=$d d\n", &undefined(3));
    check(
        "FROM java\nARG BUILDKIT_SBOM_SCAN_STAGE=true\nLABEL a=$BUILDKIT_SBOM_SCAN_STAGE\n",
        &[],
    );
    check(
        "FROM java\nLABEL a=${b:-$c}\n",
        &[(Rule::UndefinedVar, 2), (Rule::UndefinedVar, 2)],
    );
    check("FROM java\nRUN --mount=type=cache,target=$a b\n", &undefined(2));
    check("FROM java\nCOPY <<a <<'b' /\n$c\na\n$c\nb\n", &undefined(2));
    check("FROM java\nEXPOSE 80$a\nRUN $a\nENTRYPOINT [\"$a\"]\n", &[]);
}

#[test]
fn of_an_unknown_base_nothing_is_said() {
    let build = Build {
        bases: |_, _| None,
        ..Build::new()
    };
    check_build(
        &build,
        "FROM a\nWORKDIR $A\nCOPY $B /\nLABEL a=${C:?}\nMAINTAINER me\n",
        &[(Rule::MaintainerDeprecated, 5)],
    );
    check_build(&build, "FROM a AS a\nFROM a\nLABEL a=$A\n", &[]);
    check_build(&build, "FROM a\nWORKDIR a\n", &[(Rule::WorkdirRelativePath, 2)]);
    check_build(&build, "FROM scratch\nLABEL a=$A\n", &[(Rule::UndefinedVar, 2)]);
}

#[test]
fn triggers_of_the_base_are_told_at_the_from() {
    let triggers = |_: &Dockerfile, _| {
        let triggers = vec![
            "COPY $a /".to_owned(),
            "ENV b=c".to_owned(),
            "SHELL [\"s\"]".to_owned(),
        ];
        Some(BaseImage {
            triggers,
            ..BaseImage::default()
        })
    };
    let build = Build {
        bases: triggers,
        ..Build::new()
    };
    check_build(
        &build,
        "# check=skip=a\nFROM a\nLABEL b=$b\nCMD a\n",
        &[(Rule::UndefinedVar, 2)],
    );
    check(
        "FROM java AS a\nONBUILD LABEL a=$a\nFROM a\n",
        &[(Rule::UndefinedVar, 3)],
    );
}

#[test]
fn only_the_wanted_stages_are_gone_through() {
    let text = "FROM scratch AS Alpha\nLABEL a=$a\nFROM scratch AS b\nLABEL b=$b\nFROM scratch AS c\nCOPY --from=b / /\n";
    let name = (Rule::StageNameCasing, 1);
    let (alpha, beta) = ((Rule::UndefinedVar, 2), (Rule::UndefinedVar, 4));
    let needed = |target| Build {
        target,
        stages: LintedStages::Needed,
        ..Build::new()
    };
    check(text, &[name, alpha, beta]);
    check_build(&needed(None), text, &[name, beta]);
    check_build(&needed(Some("ALPHA")), text, &[name, alpha]);
    check_build(&needed(Some("1")), text, &[name, beta]);
    let dockerfile = parse(text);
    let unknown = needed(Some("alpa")).use_options(&dockerfile, |options| lint(&dockerfile, options));
    let suggestion = Some("alpha".to_owned());
    assert_eq!(
        unknown,
        Err(LintError::Target {
            target: "alpa".to_owned(),
            suggestion
        })
    );
}

#[test]
fn the_context_is_ignored_only_as_a_whole() {
    let of = |ignore| Build {
        ignore,
        ..Build::new()
    };
    let copied = [(Rule::CopyIgnoredFile, 2)];
    check_build(&of(&["*"]), "FROM a\nCOPY . /\n", &copied);
    check_build(&of(&[".*"]), "FROM a\nCOPY . /\n", &[]);
    check_build(&of(&["a"]), "FROM a\nCOPY ./b/../a /\n", &copied);
    check_build(&of(&["a", "!a/b"]), "FROM a\nCOPY a /\n", &[]);
}

#[test]
fn a_build_that_is_impossible_ends_the_lint() {
    let report =
        Build::new().report("FROM scratch AS A\nLABEL a=$a b=${c:?missing}\nMAINTAINER m\nLABEL a=$a\n");
    let rules: Vec<Rule> = report.warnings.iter().map(|warning| warning.rule).collect();
    assert_eq!(rules[..2], [Rule::StageNameCasing, Rule::MaintainerDeprecated]);
    assert_eq!(
        report.warnings.last().map(|warning| *warning.lines().start()),
        Some(2)
    );
    assert_eq!(
        report.error.unwrap().0[0].message,
        "cannot expand `${c:?missing}`: c: missing"
    );
    assert!(Build::new().report("ARG A\nFROM $A\n").error.is_some());
}

#[test]
fn a_warning_shows_its_lines() {
    let check =
        |text: &str, expected: &str| assert_eq!(Build::new().report(text).render(), expected, "{text}");
    let maintainer = "\nWARNING: MaintainerDeprecated - https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/\n\
        Maintainer instruction is deprecated in favor of using label\n";
    let ruler = "--------------------\n";
    check(
        "FROM a\nRUN 1\nRUN 2\nMAINTAINER m\nRUN 4\nRUN 5\nRUN 6\n",
        &format!(
            "{maintainer}Dockerfile:4\n{ruler}   2 |     RUN 1\n   3 |     RUN 2\n   4 | >>> MAINTAINER m\n   5 |     RUN 4\n   6 |     RUN 5\n{ruler}"
        ),
    );
    check(
        "FROM a\nMAINTAINER \\\n  \x1b[2J",
        &format!(
            "{maintainer}Dockerfile:2\n{ruler}   1 |     FROM a\n   2 | >>> MAINTAINER \\\n   3 | >>>   \u{fffd}[2J\n{ruler}"
        ),
    );
}

#[test]
fn the_json_is_that_of_buildkit() {
    let check = |text: &str, expected: &str| {
        let found = serde_json::to_string(&Build::new().report(text)).unwrap();
        assert_eq!(found, expected, "{text}");
    };
    check(
        "FROM a\nMAINTAINER \\\n  m",
        "{\"warnings\":[{\"ruleName\":\"MaintainerDeprecated\",\
        \"description\":\"The MAINTAINER instruction is deprecated, use a label instead to define an image author\",\
        \"url\":\"https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/\",\
        \"detail\":\"Maintainer instruction is deprecated in favor of using label\",\
        \"location\":{\"ranges\":[{\"start\":{\"line\":2},\"end\":{\"line\":2}},{\"start\":{\"line\":3},\"end\":{\"line\":3}}]}}],\
        \"sources\":[{\"filename\":\"Dockerfile\",\"language\":\"Dockerfile\",\"data\":\"RlJPTSBhCk1BSU5UQUlORVIgXAogIG0=\"}]}",
    );
    check(
        "FROM scratch\nLABEL a=${b:?c}",
        "{\"warnings\":[{\"ruleName\":\"UndefinedVar\",\"description\":\"Variables should be defined before their use\",\
        \"url\":\"https://docs.docker.com/go/dockerfile/rule/undefined-var/\",\"detail\":\"Usage of undefined variable '$b'\",\
        \"location\":{\"ranges\":[{\"start\":{\"line\":2},\"end\":{\"line\":2}}]}}],\
        \"sources\":[{\"filename\":\"Dockerfile\",\"language\":\"Dockerfile\",\"data\":\"RlJPTSBzY3JhdGNoCkxBQkVMIGE9JHtiOj9jfQ==\"}],\
        \"buildError\":{\"message\":\"cannot expand `${b:?c}`: b: c\",\"location\":{\"ranges\":[{\"start\":{\"line\":2},\"end\":{\"line\":2}}]}}}",
    );
}

const OUTLINED: &str = "ARG inherited=box
ARG unused=${inherited}
# suffix of the image's name
# sfx is a suffix
ARG sfx=usy${inherited}
FROM b${sfx} AS first
ARG FOO=123
# BAR is a number
ARG BAR=456
RUN --mount=type=secret,target=/etc/passwd,required=true --mount=type=ssh true
FROM alpine${unused} AS second
ARG BAZ
RUN --mount=type=secret,id=unused true
FROM scratch AS third
ARG ABC=a
ARG none
# target defines the build
FROM third AS target
COPY --from=first /etc/passwd /
RUN --mount=type=ssh,id=other,required true
FROM second
";

#[test]
fn an_outline_has_what_the_target_uses() {
    let dockerfile = parse(OUTLINED);
    let build = Build {
        target: Some("target"),
        ..Build::with(&[("BAR", "678")])
    };
    let outline = build
        .use_options(&dockerfile, |options| outline(&dockerfile, options))
        .unwrap_or_else(|error| panic!("{error}"));
    let expected = "TARGET:      target\nDESCRIPTION: defines the build\n\n\
        BUILD ARG   VALUE    DESCRIPTION\n\
        inherited   box      \n\
        sfx         usybox   is a suffix\n\
        FOO         123      \n\
        BAR         678      is a number\n\
        ABC         a        \n\
        none                 \n\n\
        SECRET   REQUIRED\npasswd   true\n\n\
        SSH       REQUIRED\ndefault   \nother     true\n\n";
    assert_eq!(outline.render(), expected);
    let json = serde_json::to_value(&outline).unwrap();
    let range =
        |line: usize| serde_json::json!({"ranges": [{"start": {"line": line}, "end": {"line": line}}]});
    assert_eq!(json["name"], "target");
    assert_eq!(
        json["args"][1],
        serde_json::json!({"name": "sfx", "description": "is a suffix", "value": "usybox", "location": range(5)})
    );
    assert_eq!(
        json["secrets"],
        serde_json::json!([{"name": "passwd", "required": true, "location": range(10)}])
    );
    assert_eq!(
        json["ssh"][0],
        serde_json::json!({"name": "default", "location": range(10)})
    );
}

#[test]
fn targets_are_the_stages() {
    let targets = targets(&parse(
        "FROM a\n# b is second\nFROM --platform=$p c AS b\nFROM b AS last\n",
    ));
    assert_eq!(
        targets.render(),
        "TARGET         DESCRIPTION\n               \nb              is second\nlast (default) \n"
    );
    let json = serde_json::to_value(&targets).unwrap();
    let range =
        |line: usize| serde_json::json!({"ranges": [{"start": {"line": line}, "end": {"line": line}}]});
    assert_eq!(
        json["targets"],
        serde_json::json!([
            {"base": "a", "location": range(1)},
            {"name": "b", "description": "is second", "base": "c", "platform": "$p", "location": range(3)},
            {"name": "last", "default": true, "base": "b", "location": range(4)},
        ])
    );
}
