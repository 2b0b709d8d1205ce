//! What instructions mean, read and expanded.

use onlay_dockerfile::{
    CommandForm, Dockerfile, Escape, ExpandedArg, ExpandedInstruction, ExpandedTransfer, Healthcheck,
    InlineFile, Instruction, Located, Mount, MountType, Network, Rules, Scope, Script, Security, Sharing,
    SourceFile, normalise, parse_instructions,
};
use std::borrow::Cow;
use std::time::Duration;

/// `A` is `value`, `S` has a space; `GIVEN` comes from outside, `GLOBAL` from in front of the first FROM.
struct Variables;

impl Scope for Variables {
    fn variable(&self, name: &str) -> Option<Cow<'_, str>> {
        match name {
            "A" => Some("value".into()),
            "S" => Some("80 81".into()),
            _ => None,
        }
    }

    fn build_argument(&self, name: &str) -> Option<Cow<'_, str>> {
        (name == "GIVEN").then_some("given".into())
    }

    fn global_argument(&self, name: &str) -> Option<Cow<'_, str>> {
        (name == "GLOBAL" || name == "GIVEN").then_some("global".into())
    }
}

fn read(text: &str) -> Located<Instruction> {
    let instructions =
        parse_instructions(SourceFile::new("argument 1", text)).unwrap_or_else(|error| panic!("{error}"));
    let [instruction] = <[_; 1]>::try_from(instructions).unwrap();
    instruction
}

fn expand(text: &str) -> ExpandedInstruction {
    read(text)
        .expand(&Variables)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn strings(expected: &[&str]) -> Vec<String> {
    expected.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn env_and_label() {
    let check = |arguments: &str, expected: &[(&str, &str)]| {
        assert_eq!(
            expand(&format!("ENV {arguments}")),
            ExpandedInstruction::Env(pairs(expected)),
            "{arguments}"
        );
        assert_eq!(
            expand(&format!("label {arguments}")),
            ExpandedInstruction::Label(pairs(expected)),
            "{arguments}"
        );
    };
    check("a=1", &[("a", "1")]);
    check("a=1 b=$A", &[("a", "1"), ("b", "value")]);
    check("a=1 b=$a", &[("a", "1"), ("b", "")]);
    check("$A=1", &[("value", "1")]);
    check(
        "a=\"1 2\" b='$A' c=3\\ 4",
        &[("a", "1 2"), ("b", "$A"), ("c", "3 4")],
    );
    check("a=b=c", &[("a", "b=c")]);
    check("a=", &[("a", "")]);
    check("a 1", &[("a", "1")]);
    check("a  two  words $A ", &[("a", "two  words value")]);
    check("a b=c", &[("a", "b=c")]);
    check("a \"1 2\"", &[("a", "1 2")]);
    check("a=1 \\\n  # comment\n  b=2", &[("a", "1"), ("b", "2")]);
}

#[test]
fn arg() {
    let check = |arguments: &str, expected: &[(&str, Option<&str>)]| {
        let expected = expected.iter().map(|(name, value)| ExpandedArg {
            name: (*name).to_owned(),
            value: value.map(str::to_owned),
        });
        assert_eq!(
            expand(&format!("ARG {arguments}")),
            ExpandedInstruction::Arg(expected.collect()),
            "{arguments}"
        );
    };
    check("X", &[("X", None)]);
    check("X=1", &[("X", Some("1"))]);
    check("X=", &[("X", Some(""))]);
    check("X=\"$A b\"", &[("X", Some("value b"))]);
    check("GIVEN", &[("GIVEN", Some("given"))]);
    check("GIVEN=default", &[("GIVEN", Some("given"))]);
    check("GLOBAL", &[("GLOBAL", Some("global"))]);
    check("GLOBAL=local", &[("GLOBAL", Some("local"))]);
    check("X=1 Y=$X", &[("X", Some("1")), ("Y", Some("1"))]);
    check(
        "GIVEN=1 Y=$GIVEN Z",
        &[("GIVEN", Some("given")), ("Y", Some("given")), ("Z", None)],
    );
    check("$A=1", &[("$A", Some("1"))]);
}

#[test]
fn expose() {
    let check = |arguments: &str, expected: &[&str]| match expand(&format!("EXPOSE {arguments}")) {
        ExpandedInstruction::Expose(expose) => assert_eq!(expose.ports, expected, "{arguments}"),
        other => panic!("{other:?}"),
    };
    check("80", &["80/tcp"]);
    check("81 80", &["80/tcp", "81/tcp"]);
    check("9 80", &["80/tcp", "9/tcp"]);
    check("$S", &["80/tcp", "81/tcp"]);
    check("$NONE", &[]);
    check("7000-7001/udp", &["7000/udp", "7001/udp"]);
    check("${P:-8080}", &["8080/tcp"]);
}

#[test]
fn volume() {
    let check = |arguments: &str, expected: &[&str]| {
        let expected = ExpandedInstruction::Volume(strings(expected));
        assert_eq!(expand(&format!("VOLUME {arguments}")), expected, "{arguments}");
    };
    check("/a", &["/a"]);
    check("/a /b", &["/a", "/b"]);
    check("[\"/a\", \"/b c\"]", &["/a", "/b c"]);
    check("[/a, /b]", &["[/a,", "/b]"]);
    check("[\"/$A\"]", &["/value"]);
    check("/$A", &["/value"]);
    let error = read("VOLUME $NONE").expand(&Variables).unwrap_err();
    assert_eq!(error.0[0].message, "a VOLUME cannot be an empty string");
}

#[test]
fn settings() {
    let check = |text: &str, expected| assert_eq!(expand(text), expected, "{text}");
    check("USER app:staff", ExpandedInstruction::User("app:staff".into()));
    check("USER a b", ExpandedInstruction::User("a b".into()));
    check("USER $NONE", ExpandedInstruction::User(String::new()));
    check(
        "WORKDIR /$A/b c",
        ExpandedInstruction::Workdir("/value/b c".into()),
    );
    check(
        "STOPSIGNAL sigterm",
        ExpandedInstruction::StopSignal("sigterm".into()),
    );
    check("STOPSIGNAL ${X:-9}", ExpandedInstruction::StopSignal("9".into()));
    check(
        "MAINTAINER $A <a@b>",
        ExpandedInstruction::Maintainer("$A <a@b>".into()),
    );
    check(
        "SHELL [\"/bin/sh\", \"-ec\"]",
        ExpandedInstruction::Shell(strings(&["/bin/sh", "-ec"])),
    );
    assert!(read("STOPSIGNAL $A").expand(&Variables).is_err());
}

#[test]
fn commands_have_two_forms() {
    let check = |arguments: &str, expected: CommandForm| {
        let text = format!("CMD {arguments}");
        assert_eq!(
            expand(&text),
            ExpandedInstruction::Cmd(expected.clone()),
            "{text}"
        );
        let text = format!("ENTRYPOINT {arguments}");
        assert_eq!(expand(&text), ExpandedInstruction::Entrypoint(expected), "{text}");
    };
    let shell = |text: &str| CommandForm::Shell(text.to_owned());
    let exec = |words: &[&str]| CommandForm::Exec(strings(words));
    check("", shell(""));
    check("a  $A 'b'", shell("a  $A 'b'"));
    check("[]", exec(&[]));
    check("[\"a\", \"$A\"]", exec(&["a", "$A"]));
    check("['a']", shell("['a']"));
    check("[\"a\",]", shell("[\"a\",]"));
    check("[\"a\"] b", shell("[\"a\"] b"));
}

#[test]
fn healthcheck() {
    assert_eq!(
        expand("HEALTHCHECK --interval=x NONE"),
        ExpandedInstruction::Healthcheck(Healthcheck::None)
    );
    let ExpandedInstruction::Healthcheck(Healthcheck::Probe(probe)) = expand(
        "HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=1h --start-interval=2s --retries=5 cmd [\"a\"]",
    ) else {
        panic!("no probe")
    };
    assert_eq!(probe.command, CommandForm::Exec(strings(&["a"])));
    assert_eq!(
        (probe.interval, probe.timeout),
        (Duration::from_secs(90), Duration::from_millis(500))
    );
    assert_eq!(
        (probe.start_period, probe.start_interval),
        (Duration::from_secs(3600), Duration::from_secs(2))
    );
    assert_eq!(probe.retries, 5);
}

#[test]
fn on_build() {
    let check = |text: &str, expected: &str| match expand(text) {
        ExpandedInstruction::OnBuild(on_build) => assert_eq!(on_build.trigger, expected, "{text}"),
        other => panic!("{other:?}"),
    };
    check("ONBUILD RUN a", "RUN a");
    check("onbuild  copy --form=x a b", "copy --form=x a b");
    check("ONBUILD NONSENSE x", "NONSENSE x");
    check("ONBUILD RUN a \\\n  b", "RUN a   b");
    check("ONBUILD RUN <<EOF\na\nEOF\n", "RUN <<EOF\na\nEOF");
}

#[test]
fn run_puts_heredocs_in_their_places() {
    let check = |text: &str, expected: Script| match expand(text) {
        ExpandedInstruction::Run(run) => assert_eq!(run.script, expected, "{text}"),
        other => panic!("{other:?}"),
    };
    let shell = |text: &str| Script::Shell(text.to_owned());
    check("RUN mkdir  $A", shell("mkdir  $A"));
    check("RUN", shell(""));
    check("RUN [\"a\", \"b\"]", Script::Exec(strings(&["a", "b"])));
    check("RUN <<EOF\na $A\n# b\nEOF", shell("a $A\n# b\n"));
    check("RUN << EOF\r\na\r\nEOF\r\n", shell("a\r\n"));
    check("RUN <<-EOF\n\ta\n\tEOF", shell("a\n"));
    check("RUN <<EOF sh\na\nEOF", shell("<<EOF sh\na\nEOF"));
    check(
        "RUN cat <<a - <<-b\n1\na\n\t2\n\tb\n",
        shell("cat <<a - <<-b\n1\na\n\t2\nb"),
    );
    let content = "#!/bin/sh\na\n".to_owned();
    check(
        "RUN <<'EOF'\n#!/bin/sh\na\nEOF",
        Script::File {
            name: "EOF".into(),
            content,
        },
    );
    check("RUN echo '<<EOF'", shell("echo '<<EOF'"));
}

#[test]
fn run_flags() {
    let text = "RUN --network=none --security=insecure --mount=type=cache,dst=/c/$A,id=i,sharing=locked,uid=1,mode=0700 \\\n \
                --mount=type=secret,id=s,required,env=TOKEN --mount=src=a,target=/b,rw --mount=type=tmpfs,target=/t,size=1k x";
    let ExpandedInstruction::Run(run) = expand(text) else {
        panic!("no RUN")
    };
    assert_eq!((run.network, run.security), (Network::None, Security::Insecure));
    let text = |text: &str| Some(text.to_owned());
    let cache = Mount {
        mount_type: MountType::Cache,
        target: text("/c/value"),
        id: text("i"),
        sharing: Sharing::Locked,
        uid: Some(1),
        mode: Some(0o700),
        ..Mount::default()
    };
    let secret = Mount {
        mount_type: MountType::Secret,
        id: text("s"),
        required: true,
        env: text("TOKEN"),
        read_only: true,
        ..Mount::default()
    };
    let bind = Mount {
        source: text("a"),
        target: text("/b"),
        ..Mount::default()
    };
    let tmpfs = Mount {
        mount_type: MountType::Tmpfs,
        target: text("/t"),
        size: Some(1024),
        ..Mount::default()
    };
    assert_eq!(run.mounts, [cache, secret, bind, tmpfs]);
}

#[test]
fn a_mount_of_unknown_type_is_checked_once_the_type_is_known() {
    let run = read("RUN --mount=type=$TYPE,required,id=a,size=$SIZE x");
    let typed = |name: &str| Some(if name == "TYPE" { "secret" } else { "1" }.to_owned());
    assert_eq!(
        run.expand(&typed).unwrap_err().0[0].message,
        "unexpected key `size` for a mount of type `secret`"
    );
}

fn transfer(text: &str) -> ExpandedTransfer {
    match expand(text) {
        ExpandedInstruction::Copy(copy) => copy.transfer,
        ExpandedInstruction::Add(add) => add.transfer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn copy_and_add_take_sources_and_a_destination() {
    let check = |text: &str, sources: &[&str], destination: &str| {
        let transfer = transfer(text);
        assert_eq!(
            (transfer.sources.as_slice(), transfer.destination.as_str()),
            (&*strings(sources), destination),
            "{text}"
        );
    };
    check("COPY a /b", &["a"], "/b");
    check("COPY a b\tc /d/", &["a", "b", "c"], "/d/");
    check("COPY [\"a b\", \"/c d\"]", &["a b"], "/c d");
    check("COPY [\"$A\", '/b']", &["[value,"], "/b]");
    check("COPY -- --a /b", &["--a"], "/b");
    check("ADD $A/* ${B:-/c}", &["value/*"], "/c");
    check(
        "ADD https://example.com/$A /b",
        &["https://example.com/value"],
        "/b",
    );
    check("COPY arr\\[0] \"b\"", &["arr[0]"], "b");
}

#[test]
fn copy_flags() {
    let text = "COPY --from=Build --chown=\"$A:staff\" --chmod=$NONE --link --parents=false --exclude=*.$A --exclude=b a /b";
    let ExpandedInstruction::Copy(copy) = expand(text) else {
        panic!("no COPY")
    };
    assert_eq!(copy.from.as_deref(), Some("Build"));
    assert!(!copy.parents && copy.transfer.link);
    assert_eq!(copy.transfer.chown.as_deref(), Some("value:staff"));
    assert_eq!(copy.transfer.chmod, None);
    assert_eq!(copy.transfer.exclude, ["*.$A", "b"]);
}

#[test]
fn add_flags() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let text = format!("ADD --checksum={digest} --unpack --keep-git-dir=FALSE https://example.com/a /b");
    let ExpandedInstruction::Add(add) = expand(&text) else {
        panic!("no ADD")
    };
    assert_eq!(add.checksum, Some(digest));
    assert_eq!((add.unpack, add.keep_git_dir), (Some(true), Some(false)));
}

#[test]
fn heredocs_are_files_of_copy() {
    let file = |name: &str, content: &str| InlineFile {
        name: name.to_owned(),
        content: content.to_owned(),
    };
    let check = |text: &str, expected: &[InlineFile]| assert_eq!(transfer(text).files, expected, "{text}");
    check(
        "COPY <<a /b\n$A \"q\" \\$A \\n\na\n",
        &[file("a", "value \"q\" $A n\n")],
    );
    check("COPY <<\"a\" /b\n$A\na", &[file("a", "$A\n")]);
    check(
        "ADD <<-a <<'c' /b/\n\t\t1\n\ta\n\t2\nc\n",
        &[file("a", "1\n"), file("c", "\t2\n")],
    );
    check(
        "COPY <<a <<a /b/\n1\na\n2\na\n",
        &[file("a", "2\n"), file("a", "2\n")],
    );
    check("COPY x <<a /b/\na\n", &[file("a", "")]);
}

#[test]
fn stages_arguments_and_directives() {
    let text = "# syntax=docker/dockerfile:1.7-labs\n# Escape = `\n# check=skip=A,B;error=true\n\
                ARG BASE=debian\nARG TAG\nFROM --platform=$P ${BASE}:$TAG AS Build\nRUN dir C:\\\nfrom Build as x\nCMD [\"a\"]\n";
    let dockerfile = Dockerfile::parse(SourceFile::new("Dockerfile", text)).unwrap();
    let directives = &dockerfile.directives;
    assert_eq!(directives.escape, Escape::Backtick);
    assert_eq!(
        directives.syntax.as_ref().unwrap().value,
        "docker/dockerfile:1.7-labs"
    );
    assert_eq!(
        directives.check.as_ref().unwrap().value.skip,
        Rules::Named(strings(&["A", "B"]))
    );
    assert_eq!(dockerfile.global_args.len(), 2);
    let names: Vec<_> = dockerfile
        .stages
        .iter()
        .map(|stage| stage.from.value.name.clone().unwrap().value)
        .collect();
    assert_eq!(names, ["build", "x"]);
    let run = &dockerfile.stages[0].instructions[0];
    assert_eq!((run.text.as_str(), run.line_column()), ("RUN dir C:\\", (7, 1)));

    let scope = |name: &str| Some(if name == "TAG" { "12" } else { "linux/arm64" }.to_owned());
    let from = dockerfile.stages[0].from.expand(&scope).unwrap();
    assert_eq!(
        (from.image.as_str(), from.platform.as_deref()),
        ("linux/arm64:12", Some("linux/arm64"))
    );
    let nothing = |_: &str| None;
    let error = dockerfile.stages[0].from.expand(&nothing).unwrap_err();
    assert_eq!(error.0[0].message, "the platform `$P` is empty after expansion");
}

#[test]
fn frontends_that_speak_the_language() {
    let check = |image: &str, expected: bool| {
        let text = format!("# syntax={image}\nFROM a\n");
        assert_eq!(
            Dockerfile::parse(SourceFile::new("Dockerfile", text)).is_ok(),
            expected,
            "{image}"
        );
    };
    check("docker/dockerfile", true);
    check("docker/dockerfile:1", true);
    check("docker.io/docker/dockerfile:1.4-labs@sha256:00", true);
    check("mirror.example.com:5000/docker/dockerfile-upstream:master", true);
    check("example.com/dockerfile", false);
    check("notdocker/dockerfile", false);
}

#[test]
fn directives_end_at_the_first_other_line() {
    let check = |text: &str, expected: Escape| {
        let dockerfile = Dockerfile::parse(SourceFile::new("Dockerfile", text)).unwrap();
        assert_eq!(dockerfile.directives.escape, expected, "{text}");
    };
    check("# escape=`\nFROM a", Escape::Backtick);
    check("\u{feff}#escape=`\r\nFROM a", Escape::Backtick);
    check("  # escape=`\nFROM a", Escape::Backtick);
    check("# ESCAPE = ` \nFROM a", Escape::Backtick);
    check(
        "# syntax=docker/dockerfile:1\n# escape=`\nFROM a",
        Escape::Backtick,
    );
    check("\n# escape=`\nFROM a", Escape::Backslash);
    check("# comment\n# escape=`\nFROM a", Escape::Backslash);
    check("# key=value\n# escape=`\nFROM a", Escape::Backslash);
    check("#!/bin/x\n# escape=`\nFROM a", Escape::Backslash);
    check("FROM a\n# escape=`", Escape::Backslash);
}

#[test]
fn the_normal_form() {
    let check = |text: &str, expected: &str| {
        let instructions = parse_instructions(SourceFile::new("argument 1", text)).unwrap();
        assert_eq!(normalise(&instructions), expected, "{text}");
    };
    check("run  mkdir   a ", "RUN mkdir   a\n");
    check("# c\nENV a=1 \\\n# c\n\n  b=2\nuser x", "ENV a=1   b=2\nUSER x\n");
    check("RUN <<EOF\n  a\nEOF\nUSER x", "RUN <<EOF\n  a\nEOF\nUSER x\n");
    check("CMD", "CMD\n");
    check("# escape=`\nRUN a `\n b", "# escape=`\nRUN a  b\n");
    check("RUN a \\ \\", "RUN a \\ \\\n");
}
