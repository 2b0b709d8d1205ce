//! Writes `fixtures/base` anew: `cargo run -p onlay-testkit --example make-fixtures`.

use fs_err as fs;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/base");
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    onlay_testkit::write_fixture_base(&dir);
    Ok(())
}
