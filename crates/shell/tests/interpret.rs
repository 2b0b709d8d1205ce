//! What a line comes to beside files and messages, which tests/differential.rs compares with the real thing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod support;

use onlay_layer::Tree;
use onlay_shell::{CommandLine, Expectation, FailureCause, Line, Outcome, Tools, interpret};
use support::{ALPINE, COMMANDS, DEBIAN, FEDORA, base, listing};

/// An outcome in one line.
fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done(done) => format!("done {}", String::from_utf8_lossy(&done.output))
            .trim_end()
            .to_owned(),
        Outcome::Failed(failure) => {
            let output = String::from_utf8_lossy(&failure.output);
            format!(
                "failed {} at {} `{}`: {}",
                failure.status,
                failure.offset,
                failure.command,
                output.trim_end()
            )
        }
        Outcome::Needs(need) => format!("needs {:?} {:?}", need.expectation, need.paths),
        Outcome::NotUnderstood(refusal) => format!("refused {} {refusal}", refusal.offset),
    }
}

fn check_changes(tree: &Tree, text: &str, expected: &[&str]) {
    match support::run(text, tree) {
        Outcome::Done(done) => assert_eq!(support::difference(tree, &done.tree), expected, "{text}"),
        other => panic!("{text}: {}", told(&other)),
    }
}

#[test]
fn the_vault_line() {
    let tree = base(ALPINE, COMMANDS, "");
    check_changes(
        &tree,
        "mkdir /etc/vault && chmod 777 /etc/vault",
        &["d 777 0:0 etc/vault"],
    );
}

#[test]
fn times_of_the_base_stay_where_nothing_was_written() {
    let tree = base(DEBIAN, COMMANDS, "f 644 0:0 a one\nf 600 33:33 b two\nl l -> a");
    for (text, expected) in [
        ("touch a", vec!["f 644 0:0 a one"]),
        ("chmod 600 a", vec!["f 600 0:0 a one @"]),
        ("chmod 644 a", vec![]),
        ("mv a c", vec!["- a", "f 644 0:0 c one @"]),
        ("cp a c", vec!["f 644 0:0 c one"]),
        ("cp -p b c", vec!["f 600 33:33 c two @"]),
        ("cp -a l m", vec!["l m -> a @"]),
        ("rm a && echo one > a", vec!["f 644 0:0 a one\\n"]),
        ("echo -n > b", vec!["f 600 33:33 b"]),
        ("cat b >> a", vec!["f 644 0:0 a onetwo"]),
        ("mkdir d && rmdir d", vec![]),
    ] {
        check_changes(&tree, text, &expected);
    }
}

#[test]
fn contents_that_are_not_at_hand_move_by_reference() {
    let tree = base(DEBIAN, COMMANDS, "x 755 0:0 app\nf 644 0:0 note new");
    check_changes(&tree, "cp app copy", &["x 755 0:0 copy"]);
    check_changes(&tree, "cat app note > both", &["x 644 0:0 both"]);
    check_changes(&tree, "cat note >> app", &["x 755 0:0 app"]);
    assert_eq!(
        told(&support::run("cat app", &tree)),
        "refused 0 `cat`: the contents of this file are not at hand"
    );
}

#[test]
fn hard_links_of_one_line_stay_together() {
    let tree = base(ALPINE, COMMANDS, "f 644 0:0 a one");
    check_changes(&tree, "ln a b && chmod 600 b", &["f 600 0:0 a one @", "h b = a"]);
}

#[test]
fn a_change_of_owner_takes_set_id_bits_and_capabilities() {
    let mut layer = listing(
        &[
            support::PLACES,
            DEBIAN,
            "x 755 0:0 bin/chown\nx 755 0:0 bin/cp\nf 6755 0:0 ping x",
        ]
        .join("\n"),
    );
    let entry = layer
        .entries
        .iter_mut()
        .find(|entry| entry.path.to_string() == "/ping")
        .unwrap();
    entry.metadata.xattrs = vec![
        ("security.capability".to_owned(), b"cap".to_vec()),
        ("user.note".to_owned(), b"n".to_vec()),
    ];
    let tree = Tree::unread().over(&layer).completed();
    let xattrs = |text: &str, name: &str| match support::run(text, &tree) {
        Outcome::Done(done) => support::find(&done.tree, name).unwrap().metadata.clone(),
        other => panic!("{text}: {}", told(&other)),
    };
    let changed = xattrs("chown 1000 ping", "ping");
    assert_eq!(
        (changed.mode, changed.uid, changed.xattrs.len()),
        (0o755, 1000, 1)
    );
    assert_eq!(xattrs("cp -a ping pong", "pong").xattrs.len(), 2);
    assert_eq!(xattrs("cp -p ping pong", "pong").xattrs.len(), 0);
    assert_eq!(xattrs("echo y > ping", "ping").xattrs.len(), 1);
}

#[test]
fn what_is_not_understood_is_named_with_its_place() {
    let tree = base(DEBIAN, COMMANDS, "f 644 0:0 a one");
    for (text, expected) in [
        (
            "apt-get update",
            "refused 0 `apt-get`: not a command that is interpreted",
        ),
        (
            "mkdir a2 && curl x",
            "refused 12 `curl`: not a command that is interpreted",
        ),
        (
            "if false; then wget x; fi",
            "refused 15 `wget`: not a command that is interpreted",
        ),
        (
            "true || useradd x",
            "refused 8 `useradd`: not a command that is interpreted",
        ),
        (
            "mkdir --context=x y",
            "refused 6 `--context=x`: not an option of `mkdir` that is interpreted",
        ),
        (
            "false && cp -l a b",
            "refused 12 `-l`: not an option of `cp` that is interpreted",
        ),
        (
            "touch $(date)",
            "refused 8 `date`: not a command that is interpreted",
        ),
        (
            "touch `date`",
            "refused 6 ```: command substitution with backquotes is not interpreted",
        ),
        ("sleep 1 &", "refused 8 `&`: a background job is not interpreted"),
        (
            "while true; do true; done",
            "refused 0 `while`: a loop of this kind is not interpreted",
        ),
        ("f() { true; }", "refused 1 `(`: a function is not interpreted"),
        ("echo 'a", "refused 5 `'`: this quote is not closed"),
        ("mkdir x; }", "refused 9 `}`: not expected here"),
        ("echo a >&3", "refused 9 `3`: this redirection is not interpreted"),
        ("cat <<EOF\na", "refused 6 `E`: this heredoc is not closed"),
        (
            "C=apt-get; $C update",
            "refused 11 `apt-get`: not a command that is interpreted",
        ),
        (
            "O=--context; mkdir $O x",
            "refused 13 `--context`: not an option of `mkdir` that is interpreted",
        ),
        ("IFS=:", "refused 0 `IFS`: this variable is the shell's own"),
        (
            "touch /dev/x",
            "refused 0 `/dev`: what is there while a RUN runs does not come from the image",
        ),
        (
            "echo a >> /etc/hosts",
            "refused 0 `/etc/hosts`: what is there while a RUN runs does not come from the image",
        ),
        (
            "rm -rf /etc",
            "refused 0 `/etc/hosts`: what is there while a RUN runs does not come from the image",
        ),
        (
            "[ -e /proc/self/fd/1 ]",
            "refused 0 `/proc`: what is there while a RUN runs does not come from the image",
        ),
        (
            "chmod 700 /",
            "refused 0 `/`: a change of the root directory is not interpreted",
        ),
        (
            "set -o pipefail",
            "refused 0 `-o`: not an option of `set` that is interpreted",
        ),
    ] {
        assert_eq!(told(&support::run(text, &tree)), expected, "{text}");
    }
}

#[test]
fn failures_name_the_command_and_its_place() {
    let tree = base(DEBIAN, COMMANDS, "");
    for (text, expected) in [
        (
            "mkdir /etc",
            "failed 1 at 0 `mkdir /etc`: mkdir: cannot create directory '/etc': File exists",
        ),
        (
            "true && rm nothing",
            "failed 1 at 8 `rm nothing`: rm: cannot remove 'nothing': No such file or directory",
        ),
        ("set -e\nmkdir x\n! true\nfalse", "failed 1 at 22 `false`: "),
        ("(exit 3)", "failed 3 at 1 `exit 3`: "),
    ] {
        assert_eq!(told(&support::run(text, &tree)), expected, "{text}");
    }
}

#[test]
fn tools_come_from_the_image_or_from_onlay() {
    let bare = support::tree("d 755 0:0 etc");
    let partial = base(ALPINE, &["chmod"], "");
    let variables = [("HOME", "/root")];
    for (tree, tools, expected) in [
        (
            &bare,
            Tools::Image,
            "failed 127 at 0 `/bin/sh`: exec: `/bin/sh` is not in the image",
        ),
        (&bare, Tools::Builtin, "done"),
        (&bare, Tools::ImageElseBuiltin, "done"),
        (
            &partial,
            Tools::Image,
            "failed 127 at 0 `mkdir x`: /bin/sh: mkdir: not found",
        ),
        (&partial, Tools::ImageElseBuiltin, "done"),
    ] {
        assert_eq!(
            told(&support::run_with("mkdir x", tree, &variables, tools)),
            expected,
            "{tools:?}"
        );
    }
    let cause = |tree, text| match support::run(text, tree) {
        Outcome::Failed(failure) => failure.cause,
        other => panic!("{}", told(&other)),
    };
    assert_eq!(cause(&bare, "mkdir x"), FailureCause::NoShell);
    assert_eq!(cause(&partial, "mkdir x"), FailureCause::NoCommand);
    assert_eq!(cause(&partial, "chmod 7 x"), FailureCause::Command);
}

#[test]
fn flavours_are_read_from_the_image() {
    let unusual = |release: &str, more: &str| {
        let lines = [
            support::PLACES,
            "x 755 0:0 bin/dash\nl bin/sh -> dash\nx 755 0:0 bin/mkdir",
            release,
            more,
        ];
        told(&support::run("mkdir /etc", &support::tree(&lines.join("\n"))))
    };
    let gnu = "failed 1 at 0 `mkdir /etc`: mkdir: cannot create directory '/etc': File exists";
    let busybox = "failed 1 at 0 `mkdir /etc`: mkdir: can't create directory '/etc': File exists";
    let unknown = "refused 0 `mkdir`: `/bin/mkdir` is of a make whose behaviour is not known, expected busybox, dash, bash or GNU";
    assert_eq!(
        unusual("f 644 0:0 etc/os-release ID=ubuntu\\nVERSION_ID=\"24.04\"\\n", ""),
        gnu
    );
    assert_eq!(
        unusual("f 644 0:0 etc/os-release ID=ubuntu\\nVERSION_ID=\"25.10\"\\n", ""),
        unknown
    );
    assert_eq!(unusual("f 644 0:0 etc/os-release ID=\"rocky\"\\n", ""), gnu);
    assert_eq!(unusual("f 644 0:0 etc/os-release ID=alpine\\n", ""), unknown);
    assert_eq!(unusual("", ""), unknown);
    // busybox as hard links, as its own image has it.
    assert_eq!(
        unusual("x 755 0:0 bin/busybox", "h bin/mkdir = bin/busybox"),
        busybox
    );
    // A command that came by COPY is somebody's own.
    assert!(unusual("f 644 0:0 etc/os-release ID=debian\\n", "f 755 0:0 bin/mkdir x").starts_with("refused"));
}

#[test]
fn shells_differ_in_echo_and_braces() {
    for (distribution, text, expected) in [
        (DEBIAN, r"echo 'a\nb'", "done a\nb"),
        (ALPINE, r"echo 'a\nb'", r"done a\nb"),
        (FEDORA, r"echo 'a\nb'", r"done a\nb"),
        (DEBIAN, "echo -e a", "done -e a"),
        (ALPINE, "echo -e a", "done a"),
        (DEBIAN, "echo {a,b}", "done {a,b}"),
        (FEDORA, "echo {a,b}", "done a b"),
    ] {
        assert_eq!(
            told(&support::run(text, &base(distribution, COMMANDS, ""))),
            expected,
            "{text}"
        );
    }
}

fn line<'a>(command: CommandLine<'a>, shell: &'a [String], user: &'a str) -> Line<'a> {
    Line {
        command,
        shell,
        environment: &[],
        working_directory: b"/",
        user,
        tools: Tools::Builtin,
    }
}

#[test]
fn users_shells_and_directories() {
    let owned = |words: &[&str]| -> Vec<String> { words.iter().map(|word| (*word).to_owned()).collect() };
    let tree = Tree::scratch();
    let text = CommandLine::Shell("false; true");
    let sh = owned(&["/bin/sh", "-c"]);
    for user in ["", "root", "0", "0:0", "root:staff"] {
        assert_eq!(told(&interpret(&line(text, &sh, user), &tree)), "done", "{user}");
    }
    let refusal = "refused 0 `1000`: only commands of root are interpreted";
    assert_eq!(told(&interpret(&line(text, &sh, "1000"), &tree)), refusal);
    for (shell, expected) in [
        (&["/bin/bash", "-ec"] as &[&str], "failed 1"),
        (&["/bin/sh", "-exc"], "failed 1"),
        (&["/bin/sh", "-eo", "pipefail", "-c"], "failed 1"),
        (&["/bin/sh", "-o", "pipefail", "-c"], "done"),
        (&["/bin/sh", "-lc"], "refused"),
        (&["/bin/zsh", "-c"], "refused"),
        (&["/bin/sh"], "refused"),
        (&["powershell", "-Command"], "refused"),
        (&[], "refused"),
    ] {
        let outcome = told(&interpret(&line(text, &owned(shell), ""), &tree));
        assert!(outcome.starts_with(expected), "{shell:?}: {outcome}");
    }
    let elsewhere = Line {
        working_directory: b"/nothing",
        ..line(text, &sh, "")
    };
    assert!(told(&interpret(&elsewhere, &tree)).starts_with("refused 0 `/nothing`"));
}

#[test]
fn the_exec_form_has_no_shell() {
    let tree = base(DEBIAN, COMMANDS, "");
    let environment = [("PATH".to_owned(), "/bin".to_owned())];
    let run = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let command = CommandLine::Exec(&words);
        told(&interpret(
            &Line {
                environment: &environment,
                tools: Tools::Image,
                ..line(command, &[], "")
            },
            &tree,
        ))
    };
    assert_eq!(run(&["echo", "$HOME", "a\\nb", "*"]), r"done $HOME a\nb *");
    assert_eq!(
        run(&["mkdir", "/etc"]),
        "failed 1 at 0 `mkdir`: mkdir: cannot create directory '/etc': File exists"
    );
    assert_eq!(
        run(&["cd", "/"]),
        "refused 0 `cd`: not a command that is interpreted"
    );
    assert_eq!(
        run(&["/usr/bin/mkdir", "x"]),
        "failed 127 at 0 `/usr/bin/mkdir`: exec: `/usr/bin/mkdir` is not in the image"
    );
    assert!(run(&[]).starts_with("refused"));
}

#[test]
fn what_is_not_read_yet_is_asked_for() {
    let top = listing("d 755 0:0 etc\nd 755 0:0 opt\nf 644 0:0 opt/a one");
    let bottom = listing(
        &[
            support::PLACES,
            ALPINE,
            "l bin/mkdir -> busybox\nl bin/rm -> busybox\nl bin/cp -> busybox",
        ]
        .join("\n"),
    );
    let unread = Tree::unread().over(&top);
    let builtin = |text: &str| told(&support::run_with(text, &unread, &[], Tools::Builtin));
    for (text, expected) in [
        ("mkdir /etc/vault", "needs Absence [/etc/vault]"),
        ("mkdir -p /srv/a/b", "needs Presence [/srv]"),
        ("touch /opt/b", "needs Absence [/opt/b]"),
        ("rm /opt/b", "needs Presence [/opt/b]"),
        ("chmod 700 /opt/a", "done"),
        ("rm -rf /opt", "done"),
        ("echo /opt/*", "needs Absence [/opt]"),
        ("rmdir /opt", "needs Absence [/opt]"),
        ("mv /opt /opt2", "needs Absence [/opt2]"),
        (
            "mkdir /opt/a",
            "failed 1 at 0 `mkdir /opt/a`: mkdir: can't create directory '/opt/a': File exists",
        ),
        ("cp -r /opt /new", "needs Absence [/new]"),
    ] {
        assert_eq!(builtin(text), expected, "{text}");
    }
    assert_eq!(
        told(&support::run("mkdir /etc/vault", &unread)),
        "needs Absence [/bin]"
    );
    // Once the rest is read the whole line is interpreted again, and the answer is that of a tree read at once.
    let complete = unread.over(&bottom).completed();
    check_changes(&complete, "mkdir /etc/vault", &["d 755 0:0 etc/vault"]);
    assert!(matches!(
        support::run("mkdir /etc/vault", &Tree::unread().over(&top).over(&bottom)),
        Outcome::Needs(need) if need.expectation == Expectation::Absence
    ));
}

/// Deterministic noise: no line, however broken, may make the interpreter panic or run for ever.
#[test]
fn no_line_makes_it_panic() {
    const PIECES: &[&str] = &[
        "mkdir",
        "rm -rf",
        "cp -a",
        "mv",
        "ln -s",
        "chmod",
        "chown",
        "touch",
        "echo",
        "printf",
        "cat",
        "test",
        "[",
        "]",
        "cd",
        "tee",
        "install -D",
        "set -e",
        "export A=1",
        "exit",
        "a",
        "/",
        "..",
        "d/*",
        "~",
        "$A",
        "${A",
        "${A:-",
        "}",
        "${#A}",
        "${A%*}",
        "\"",
        "'",
        "\\",
        "\n",
        " ",
        ";",
        "&&",
        "||",
        "|",
        "&",
        "(",
        ")",
        "{",
        "<",
        ">",
        ">>",
        "2>&1",
        "<<E",
        "E",
        "if",
        "then",
        "fi",
        "for x in",
        "do",
        "done",
        "case",
        "in",
        "esac",
        ";;",
        "!",
        "*",
        "[a-",
        "%s",
        "%",
        "-m",
        "u+x",
        "755",
        "0",
        "-",
        "--",
        "=",
        "#",
        "$",
        "`",
        "{a,",
        "é",
        "\u{0}",
        "%9999999999d",
        "99999999999",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap()
    };
    let bases = [DEBIAN, FEDORA, ALPINE]
        .map(|distribution| base(distribution, COMMANDS, "d 755 0:0 d\nf 644 0:0 d/a x"));
    for _ in 0..20_000 {
        let length = 1 + next() % 12;
        let mut text = String::new();
        for _ in 0..length {
            text.push_str(PIECES[next() % PIECES.len()]);
            text.push_str(["", " "][next() % 2]);
        }
        let _outcome = support::run(&text, &bases[next() % 3]);
    }
    for deep in [
        "(",
        "{ ",
        "${a:-",
        "\"${a:-",
        "if ",
        "$(",
        "! ",
        "{a,",
        "case x in x) ",
    ] {
        let _outcome = support::run(&deep.repeat(10_000), &bases[1]);
    }
    let braces = ["{a,".repeat(5_000), "}".repeat(5_000)].concat();
    assert!(matches!(
        support::run(&format!("echo {braces}"), &bases[1]),
        Outcome::NotUnderstood(_)
    ));
    assert!(matches!(
        support::run(&format!("echo {}", "{a,b}".repeat(64)), &bases[1]),
        Outcome::NotUnderstood(_)
    ));
    let doubling = format!("A=x; {}", "A=$A$A; ".repeat(64));
    assert!(matches!(
        support::run(&doubling, &bases[0]),
        Outcome::NotUnderstood(_)
    ));
    let many = format!(
        "for a in {0}; do for b in {0}; do for c in {0}; do true; done; done; done",
        "1 ".repeat(100)
    );
    assert!(matches!(
        support::run(&many, &bases[0]),
        Outcome::NotUnderstood(_)
    ));
}
