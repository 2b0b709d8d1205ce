//! The value of RUN's `--mount`: fields between commas, each `key=value`, with the quotes of RFC 4180.

use crate::diagnostic::Report;
use crate::directive::parse_bool;
use crate::evaluate::Evaluation;
use crate::source::Spanned;
use crate::suggest;

/// Something that is mounted while a command runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mount {
    /// `type`
    pub mount_type: MountType,
    /// `from`: a stage, an image or a named context instead of the build context.
    pub from: Option<String>,
    /// `source`: for a secret its id, else a path in what is mounted.
    pub source: Option<String>,
    /// `target`: where it is mounted; relative paths start at the working directory.
    pub target: Option<String>,
    /// Whether the command cannot write to it.
    pub read_only: bool,
    /// `size` of a tmpfs in bytes.
    pub size: Option<u64>,
    /// `id` of a cache, a secret or an SSH agent.
    pub id: Option<String>,
    /// `sharing` of a cache.
    pub sharing: Sharing,
    /// Whether the build fails without the secret or the agent.
    pub required: bool,
    /// `env`: the variable that gets the secret; an empty name stands for the secret's own.
    pub env: Option<String>,
    /// `mode`
    pub mode: Option<u32>,
    /// `uid`
    pub uid: Option<u32>,
    /// `gid`
    pub gid: Option<u32>,
}

/// What is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MountType {
    /// Files of the build context, a stage or an image.
    #[default]
    Bind,
    /// A directory that is kept between builds.
    Cache,
    /// An empty directory in memory.
    Tmpfs,
    /// A secret file.
    Secret,
    /// A socket of an SSH agent.
    Ssh,
}

/// Who may use a cache at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// Everyone.
    #[default]
    Shared,
    /// Everyone, each with a cache of their own.
    Private,
    /// One after the other.
    Locked,
}

const TYPES: [(&str, MountType); 5] = [
    ("bind", MountType::Bind),
    ("cache", MountType::Cache),
    ("tmpfs", MountType::Tmpfs),
    ("secret", MountType::Secret),
    ("ssh", MountType::Ssh),
];

const SHARINGS: [(&str, Sharing); 3] = [
    ("shared", Sharing::Shared),
    ("private", Sharing::Private),
    ("locked", Sharing::Locked),
];

/// Every key, with the key that it is another name for.
const KEYS: [(&str, &str); 19] = [
    ("type", "type"),
    ("from", "from"),
    ("source", "source"),
    ("src", "source"),
    ("target", "target"),
    ("dst", "target"),
    ("destination", "target"),
    ("readonly", "readonly"),
    ("ro", "readonly"),
    ("readwrite", "readwrite"),
    ("rw", "readwrite"),
    ("required", "required"),
    ("size", "size"),
    ("id", "id"),
    ("sharing", "sharing"),
    ("mode", "mode"),
    ("uid", "uid"),
    ("gid", "gid"),
    ("env", "env"),
];

/// A message, and what to do about it.
type Wrong = (String, Option<String>);

impl MountType {
    /// The name as it is written after `type=`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Cache => "cache",
            Self::Tmpfs => "tmpfs",
            Self::Secret => "secret",
            Self::Ssh => "ssh",
        }
    }
}

/// A mount while its fields are read, in their order.
#[derive(Default)]
struct Fields {
    mount: Mount,
    read_only: Option<bool>,
    sharing: Option<Sharing>,
    /// Whether there is a value that is not known yet.
    is_incomplete: bool,
}

impl Mount {
    /// Reads one value of `--mount`; what is wrong is reported.
    pub(super) fn evaluate(raw: &Spanned<String>, evaluation: &mut Evaluation<'_>) -> Option<Self> {
        let mut fields = Fields::default();
        let finished = match fields.read(raw, evaluation) {
            Ok(()) => fields.finish().map_err(|wrong| (raw.span, wrong)),
            Err((field, wrong)) => Err((field.span, wrong)),
        };
        let report = |(span, (message, hint))| evaluation.report.error_with_hint(span, message, hint);
        finished.map_err(report).ok()
    }
}

impl Fields {
    /// Takes in the fields one by one; an error comes with the field that it speaks of.
    fn read(
        &mut self,
        raw: &Spanned<String>,
        evaluation: &mut Evaluation<'_>,
    ) -> Result<(), (Spanned<String>, Wrong)> {
        for field in split_fields(raw).map_err(|wrong| (raw.clone(), wrong))? {
            self.take(&field, evaluation).map_err(|wrong| (field, wrong))?;
        }
        Ok(())
    }

    fn take(&mut self, field: &Spanned<String>, evaluation: &mut Evaluation<'_>) -> Result<(), Wrong> {
        let (written, value) = match field.value.split_once('=') {
            Some((written, value)) => (written.to_lowercase(), Some(value)),
            None => (field.value.to_lowercase(), None),
        };
        let Some((_, key)) = KEYS.iter().find(|(name, _)| *name == written) else {
            return Err(unknown_key(&written, &field.value, value.is_some()));
        };
        let Some(value) = value else {
            return match *key {
                "readonly" | "readwrite" | "required" => self.set(key, "true".to_owned(), &written),
                _ => Err((
                    format!("expected `key=value` in mount, found `{}`", field.value),
                    None,
                )),
            };
        };
        match evaluation.word(&Spanned::new(value.to_owned(), field.span)) {
            Some(value) => self.set(key, value, &written),
            None => {
                self.is_incomplete = true;
                Ok(())
            }
        }
    }

    /// Sets what a key stands for; messages name it as it was written.
    fn set(&mut self, key: &str, value: String, written: &str) -> Result<(), Wrong> {
        match key {
            "required" => self.only_for(key, &[MountType::Secret, MountType::Ssh])?,
            "size" => self.only_for(key, &[MountType::Tmpfs])?,
            _ => {}
        }
        let mount = &mut self.mount;
        match key {
            "type" => mount.mount_type = choice("mount type", &value.to_lowercase(), &TYPES)?,
            "from" => mount.from = non_empty(value),
            "source" => mount.source = non_empty(value),
            "target" => mount.target = non_empty(value),
            "readonly" => self.read_only = Some(boolean(written, &value)?),
            "readwrite" => self.read_only = Some(!boolean(written, &value)?),
            "required" => mount.required = boolean(written, &value)?,
            "size" => mount.size = Some(size(&value)?),
            "id" => mount.id = non_empty(value),
            "sharing" => self.sharing = Some(choice("sharing value", &value.to_lowercase(), &SHARINGS)?),
            "mode" => mount.mode = Some(number(key, &value, 8)?),
            "uid" => mount.uid = Some(number(key, &value, 10)?),
            "gid" => mount.gid = Some(number(key, &value, 10)?),
            _ => mount.env = Some(value),
        }
        Ok(())
    }

    /// Refuses a key that the type of the mount does not have, once the type is known.
    fn only_for(&self, key: &str, types: &[MountType]) -> Result<(), Wrong> {
        let mount_type = self.mount.mount_type;
        if self.is_incomplete || types.contains(&mount_type) {
            return Ok(());
        }
        let names = types.iter().map(|allowed| format!("`type={}`", allowed.name()));
        let names = names.collect::<Vec<_>>().join(" or ");
        let hint = Some(format!("it belongs to {names}, which stands in front of it"));
        Err((
            format!(
                "unexpected key `{key}` for a mount of type `{}`",
                mount_type.name()
            ),
            hint,
        ))
    }

    /// Checks the fields against each other and fills in what depends on the type.
    fn finish(mut self) -> Result<Mount, Wrong> {
        if self.is_incomplete {
            return Ok(self.mount);
        }
        let owned = [
            ("mode", self.mount.mode),
            ("uid", self.mount.uid),
            ("gid", self.mount.gid),
        ];
        if let Some((key, _)) = owned.iter().find(|(_, value)| value.is_some()) {
            self.only_for(key, &[MountType::Secret, MountType::Ssh, MountType::Cache])?;
        }
        let mount_type = self.mount.mount_type;
        if mount_type == MountType::Secret {
            check_secret(&self.mount)?;
        }
        if self.sharing.is_some() && mount_type != MountType::Cache {
            return Err((
                format!(
                    "`sharing` is for cache mounts, not for {} mounts",
                    mount_type.name()
                ),
                None,
            ));
        }
        self.mount.sharing = self.sharing.unwrap_or_default();
        let is_writable = matches!(mount_type, MountType::Cache | MountType::Tmpfs);
        self.mount.read_only = self.read_only.unwrap_or(!is_writable);
        Ok(self.mount)
    }
}

/// Reports a `from` with a variable in it, which BuildKit refuses even where nothing runs.
pub(super) fn refuse_variable_in_from(raw: &Spanned<String>, report: &mut Report) {
    for field in split_fields(raw).unwrap_or_default() {
        let Some((key, value)) = field.value.split_once('=') else {
            continue;
        };
        let has_variable = value.find('$').is_some_and(|position| position + 1 < value.len());
        if key.eq_ignore_ascii_case("from") && has_variable {
            let hint = Some("define a stage with `FROM image AS name` and mount from that name".to_owned());
            let message = format!("variables are not supported in `from` of a mount: `{value}`");
            report.error_with_hint(field.span, message, hint);
        }
    }
}

/// What a mount is taken from, as written, before its variables are known.
pub(crate) fn mount_from(raw: &Spanned<String>) -> Option<String> {
    let fields = split_fields(raw).unwrap_or_default();
    fields.iter().rev().find_map(|field| {
        let (key, value) = field.value.split_once('=')?;
        key.eq_ignore_ascii_case("from").then(|| value.to_owned())
    })
}

fn check_secret(mount: &Mount) -> Result<(), Wrong> {
    let plain = |message: &str| Err((message.to_owned(), None));
    match mount {
        Mount { from: Some(_), .. } => plain("a secret mount cannot have a `from`"),
        Mount {
            source: None,
            target: None,
            id: None,
            ..
        } => plain("a secret mount requires an `id` or a `target`"),
        Mount {
            source: Some(_),
            id: Some(_),
            ..
        } => plain("`source` and `id` of a secret mount are the same: write one"),
        _ => Ok(()),
    }
}

/// Cuts at commas; quotes around a field keep its commas, and two quotes in them are one.
fn split_fields(raw: &Spanned<String>) -> Result<Vec<Spanned<String>>, Wrong> {
    let text = raw.value.as_str();
    let wrong = |message: &str| Err((format!("{message} in mount `{text}`"), None));
    if text.is_empty() {
        return wrong("no fields");
    }
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => match take_quoted(quoted) {
                Some(taken) => taken,
                None => return wrong("missing closing quote"),
            },
            None => {
                let (field, after) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
                if field.contains('"') {
                    return wrong("quote within a field that does not start with one");
                }
                (field.to_owned(), after)
            }
        };
        fields.push(Spanned::new(
            field,
            raw.part(text.len() - rest.len()..text.len() - after.len()),
        ));
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return wrong("text after a quoted field"),
        }
    }
}

/// A quoted field, its opening quote already read, and what follows it.
fn take_quoted(mut rest: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    loop {
        let (before, after) = rest.split_once('"')?;
        field.push_str(before);
        match after.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None => return Some((field, after)),
        }
    }
}

fn non_empty(value: String) -> Option<String> {
    Some(value).filter(|value| !value.is_empty())
}

fn unknown_key(key: &str, field: &str, has_value: bool) -> Wrong {
    if has_value {
        let message = format!("unexpected key `{key}` in mount field `{field}`");
        return (message, suggest::hint(key, KEYS.map(|(name, _)| name), ""));
    }
    let message = format!("expected `key=value` in mount, found `{field}`");
    (
        message,
        suggest::hint(key, ["readonly", "readwrite", "required"], ""),
    )
}

fn choice<T: Copy>(what: &str, value: &str, names: &[(&'static str, T)]) -> Result<T, Wrong> {
    let words = || names.iter().map(|(name, _)| *name);
    let found = names
        .iter()
        .find(|(name, _)| *name == value)
        .map(|(_, chosen)| *chosen);
    found.ok_or_else(|| {
        let expected = words()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ");
        let hint = suggest::hint(value, words(), "").or(Some(format!("the choice is {expected}")));
        (format!("unsupported {what} `{value}`"), hint)
    })
}

fn boolean(key: &str, value: &str) -> Result<bool, Wrong> {
    parse_bool(value).ok_or_else(|| invalid(key, value, "`true` or `false`"))
}

fn number(key: &str, value: &str, radix: u32) -> Result<u32, Wrong> {
    let expected = if radix == 8 { "an octal number" } else { "a number" };
    let is_unsigned = !value.starts_with('+');
    u32::from_str_radix(value, radix)
        .ok()
        .filter(|_| is_unsigned)
        .ok_or_else(|| invalid(key, value, expected))
}

fn size(value: &str) -> Result<u64, Wrong> {
    parse_size(value).ok_or_else(|| invalid("size", value, "a size such as `64m`"))
}

fn invalid(key: &str, value: &str, expected: &str) -> Wrong {
    (
        format!("invalid value `{value}` for `{key}`: expected {expected}"),
        None,
    )
}

/// Reads a number of bytes as Docker does: `512`, `64m`, `1.5 GiB`; the units are powers of 1024.
fn parse_size(text: &str) -> Option<u64> {
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ')? + 1;
    let (number, suffix) = text.split_at(end);
    let number = number.strip_suffix(' ').unwrap_or(number);
    let is_decimal = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let size: f64 = number.parse().ok().filter(|_| is_decimal)?;
    let suffix = suffix.to_lowercase();
    let unit = suffix.chars().next().unwrap_or('b');
    let power = ['b', 'k', 'm', 'g', 't', 'p']
        .iter()
        .position(|name| *name == unit)?;
    let allowed = if power == 0 { ["", "", ""] } else { ["", "b", "ib"] };
    let rest = suffix.strip_prefix(unit).unwrap_or_default();
    allowed
        .contains(&rest)
        .then(|| (size * 1024f64.powi(i32::try_from(power).unwrap_or_default())) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Span;

    #[test]
    fn sizes() {
        let check = |text: &str, expected| assert_eq!(parse_size(text), expected, "{text}");
        check("512", Some(512));
        check("64m", Some(64 << 20));
        check("64MB", Some(64 << 20));
        check("1.5 GiB", Some(3 << 29));
        check("12b", Some(12));
        check("12bb", None);
        check("12kx", None);
        check("12kibb", None);
        check("", None);
        check("m", None);
        check("-1", None);
        check("x1", None);
    }

    #[test]
    fn fields_are_cut_as_rfc_4180_has_it() {
        let split = |text: &str| split_fields(&Spanned::new(text.to_owned(), Span::new(0, text.len())));
        let check = |text: &str, expected: &[&str]| {
            let fields: Vec<_> = split(text)
                .unwrap()
                .into_iter()
                .map(|field| field.value)
                .collect();
            assert_eq!(fields, expected, "{text}");
        };
        check("a=b", &["a=b"]);
        check("a,b=c,", &["a", "b=c", ""]);
        check("\"a=b,c\",d", &["a=b,c", "d"]);
        check("\"a=\"\"b\"\"\"", &["a=\"b\""]);
        let refuse = |text: &str| assert!(split(text).is_err(), "{text}");
        refuse("");
        refuse("a\"b");
        refuse("\"a");
        refuse("\"a\"b");
    }
}
