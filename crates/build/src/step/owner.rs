use onlay_layer::{Content, ImagePath, LastLink, NodeKind, ResolveError, Tree};

/// Why a USER has no number.
pub(crate) enum OwnerError {
    /// A layer that was not read yet may say.
    Unknown,
    /// The image has no such name.
    NoSuchName(String),
    /// The image does not say.
    Message(String),
}

/// The user and group that WORKDIR makes directories as, and that `--chown` names.
///
/// A name is looked up in the image's own `/etc/passwd`, with its primary group; a bare number is its own group, unlike
/// in RUN (dockerfile.md §5.1, BuildKit). `root` is 0 in every image, one without such files too. A name that is not
/// there is an error; BuildKit silently takes 0.
pub(crate) fn owner(tree: &Tree, user: &str) -> Result<(u32, u32), OwnerError> {
    let (user, group) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (user, None),
    };
    let (uid, primary) = match user {
        "" | "root" => (0, 0),
        user => match user.parse::<u32>() {
            Ok(number) => (number, number),
            Err(_) => account(tree, user)?,
        },
    };
    let gid = match group {
        None | Some("") => primary,
        Some("root") => 0,
        Some(group) => match group.parse::<u32>() {
            Ok(number) => number,
            Err(_) => numbers(tree, b"/etc/group", group)?.0,
        },
    };
    Ok((uid, gid))
}

fn account(tree: &Tree, user: &str) -> Result<(u32, u32), OwnerError> {
    let (uid, gid) = numbers(tree, b"/etc/passwd", user)?;
    Ok((uid, gid.unwrap_or(uid)))
}

/// The third and fourth field of the line that starts with `name`.
fn numbers(tree: &Tree, file: &[u8], name: &str) -> Result<(u32, Option<u32>), OwnerError> {
    let place = String::from_utf8_lossy(file).into_owned();
    let text = read(tree, file)?;
    let found = text.split(|byte| *byte == b'\n').find_map(|line| {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let number = |field: &&[u8]| std::str::from_utf8(field).ok()?.trim().parse::<u32>().ok();
        (*fields.first()? == name.as_bytes())
            .then(|| Some((number(fields.get(2)?)?, fields.get(3).and_then(number))))?
    });
    found.ok_or_else(|| OwnerError::NoSuchName(format!("`{name}` is not in the image's {place}")))
}

fn read(tree: &Tree, file: &[u8]) -> Result<Vec<u8>, OwnerError> {
    let place = String::from_utf8_lossy(file).into_owned();
    let missing = || OwnerError::NoSuchName(format!("the image has no {place} to look names up in"));
    let resolved = match tree.resolve(file, &ImagePath::root(), LastLink::Follow) {
        Ok(resolved) => resolved,
        Err(ResolveError::Unknown(_)) => return Err(OwnerError::Unknown),
        Err(_) => return Err(missing()),
    };
    match resolved.node.as_deref().map(|node| &node.kind) {
        Some(NodeKind::File(Content::Bytes(bytes))) => Ok(bytes.to_vec()),
        Some(NodeKind::File(_)) => Err(OwnerError::Message(format!(
            "the image's {place} is too large to be read"
        ))),
        _ => Err(missing()),
    }
}
