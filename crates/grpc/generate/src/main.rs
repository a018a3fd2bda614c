//! Writes `../src/generated` from `../proto/api.proto`, without protoc. With `--check` it writes nothing and fails if
//! the files differ.

use std::error::Error;
use std::fs;
use std::path::Path;

use prost::Message;

/// The generated files.
const FILES: [&str; 2] = ["api.rs", "descriptor.bin"];

fn main() -> Result<(), Box<dyn Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (proto, committed) = (here.join("../proto"), here.join("../src/generated"));
    let fresh = here.join("target/generated");
    fs::create_dir_all(&fresh)?;
    let mut descriptors = protox::compile(["api.proto"], [&proto])?;
    // Comments and positions are not needed at run time, and make the descriptor several times as large.
    let documented = descriptors.clone();
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    tonic_prost_build::configure().build_client(false).out_dir(&fresh).compile_fds(documented)?;
    fs::write(fresh.join("descriptor.bin"), descriptors.encode_to_vec())?;
    let check = std::env::args().any(|argument| argument == "--check");
    for name in FILES {
        let (new, old) = (fs::read(fresh.join(name))?, committed.join(name));
        match check {
            true if fs::read(&old)? != new => {
                return Err(format!("{name} is not up to date").into());
            }
            true => {}
            false => fs::write(&old, new)?,
        }
    }
    Ok(())
}
