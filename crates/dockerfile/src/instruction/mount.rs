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
        let result = fields.read(raw, evaluation).and_then(|()| fields.finish());
        result
            .map_err(|(message, hint)| evaluation.report.error_with_hint(raw.span, message, hint))
            .ok()
    }
}

impl Fields {
    fn read(&mut self, raw: &Spanned<String>, evaluation: &mut Evaluation<'_>) -> Result<(), Wrong> {
        for field in split_fields(&raw.value)? {
            let (key, value) = match field.split_once('=') {
                Some((key, value)) => (key.to_lowercase(), Some(value)),
                None => (field.to_lowercase(), None),
            };
            let Some((_, key)) = KEYS.iter().find(|(name, _)| *name == key) else {
                return Err(unknown_key(&key, &field, value.is_some()));
            };
            let value = match value {
                None => None,
                Some(value) => match evaluation.word(&Spanned::new(value.to_owned(), raw.span)) {
                    Some(value) => Some(value),
                    None => {
                        self.is_incomplete = true;
                        continue;
                    }
                },
            };
            self.set(key, value, &field)?;
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: Option<String>, field: &str) -> Result<(), Wrong> {
        let is_switch = matches!(key, "readonly" | "readwrite" | "required");
        let value = match value {
            Some(value) => value,
            None if is_switch => "true".to_owned(),
            None => return Err((format!("expected `key=value` in mount, found `{field}`"), None)),
        };
        let mount = &mut self.mount;
        match key {
            "type" => mount.mount_type = choice("mount type", &value.to_lowercase(), &TYPES)?,
            "from" => mount.from = non_empty(value),
            "source" => mount.source = non_empty(value),
            "target" => mount.target = non_empty(value),
            "readonly" => self.read_only = Some(boolean(key, &value)?),
            "readwrite" => self.read_only = Some(!boolean(key, &value)?),
            "required" => {
                only_for(key, mount.mount_type, &[MountType::Secret, MountType::Ssh])?;
                mount.required = boolean(key, &value)?;
            }
            "size" => {
                only_for(key, mount.mount_type, &[MountType::Tmpfs])?;
                mount.size =
                    Some(parse_size(&value).ok_or_else(|| invalid(key, &value, "a size such as `64m`"))?);
            }
            "id" => mount.id = non_empty(value),
            "sharing" => self.sharing = Some(choice("sharing value", &value.to_lowercase(), &SHARINGS)?),
            "mode" => mount.mode = Some(number(key, &value, 8)?),
            "uid" => mount.uid = Some(number(key, &value, 10)?),
            "gid" => mount.gid = Some(number(key, &value, 10)?),
            _ => mount.env = Some(value),
        }
        Ok(())
    }

    /// Checks the fields against each other and fills in what depends on the type.
    fn finish(self) -> Result<Mount, Wrong> {
        let Self {
            mut mount,
            read_only,
            sharing,
            is_incomplete,
        } = self;
        if is_incomplete {
            return Ok(mount);
        }
        let plain = |message: String| Err((message, None));
        let mount_type = mount.mount_type;
        let owned = [("mode", mount.mode), ("uid", mount.uid), ("gid", mount.gid)];
        if let Some((key, _)) = owned.iter().find(|(_, value)| value.is_some()) {
            only_for(
                key,
                mount_type,
                &[MountType::Secret, MountType::Ssh, MountType::Cache],
            )?;
        }
        if mount_type == MountType::Secret {
            check_secret(&mount)?;
        }
        if sharing.is_some() && mount_type != MountType::Cache {
            return plain(format!(
                "`sharing` is for cache mounts, not for {} mounts",
                mount_type.name()
            ));
        }
        mount.sharing = sharing.unwrap_or_default();
        mount.read_only = read_only.unwrap_or(!matches!(mount_type, MountType::Cache | MountType::Tmpfs));
        Ok(mount)
    }
}

/// Reports a `from` with a variable in it, which BuildKit refuses even where nothing runs.
pub(super) fn refuse_variable_in_from(raw: &Spanned<String>, report: &mut Report) {
    for field in split_fields(&raw.value).unwrap_or_default() {
        let Some((key, value)) = field.split_once('=') else {
            continue;
        };
        let has_variable = value.find('$').is_some_and(|position| position + 1 < value.len());
        if key.eq_ignore_ascii_case("from") && has_variable {
            let hint = Some("define a stage with `FROM image AS name` and mount from that name".to_owned());
            report.error_with_hint(
                raw.span,
                format!("variables are not supported in `from` of a mount: `{value}`"),
                hint,
            );
        }
    }
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
fn split_fields(text: &str) -> Result<Vec<String>, Wrong> {
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
        fields.push(field);
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
    let hint = suggest::hint(key, KEYS.map(|(name, _)| name), "");
    let message = if has_value {
        format!("unexpected key `{key}` in mount field `{field}`")
    } else {
        format!("expected `key=value` in mount, found `{field}`")
    };
    (message, hint)
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

fn only_for(key: &str, mount_type: MountType, types: &[MountType]) -> Result<(), Wrong> {
    if types.contains(&mount_type) {
        return Ok(());
    }
    let names = types
        .iter()
        .map(|allowed| format!("`type={}`", allowed.name()))
        .collect::<Vec<_>>()
        .join(" or ");
    let hint = Some(format!("it belongs to {names}, which stands in front of it"));
    Err((
        format!(
            "unexpected key `{key}` for a mount of type `{}`",
            mount_type.name()
        ),
        hint,
    ))
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
        let check =
            |text: &str, expected: &[&str]| assert_eq!(split_fields(text).unwrap(), expected, "{text}");
        check("a=b", &["a=b"]);
        check("a,b=c,", &["a", "b=c", ""]);
        check("\"a=b,c\",d", &["a=b,c", "d"]);
        check("\"a=\"\"b\"\"\"", &["a=\"b\""]);
        let refuse = |text: &str| assert!(split_fields(text).is_err(), "{text}");
        refuse("");
        refuse("a\"b");
        refuse("\"a");
        refuse("\"a\"b");
    }
}
