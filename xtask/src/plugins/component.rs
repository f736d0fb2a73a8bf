//! From a core WebAssembly module to one portable plugin file. Pure: bytes in, bytes out.

use anyhow::{Context as _, Result, ensure};
use wasm_encoder::{ComponentSection as _, CustomSection};
use wit_component::ComponentEncoder;

/// The custom section in which a plugin carries its manifest. `host/plugin` reads the same name.
pub(crate) const MANIFEST_SECTION: &str = "simplenetes:manifest";

/// Wraps a core module built with wit-bindgen as a component that carries `manifest`.
pub(crate) fn encode(module: &[u8], manifest: &str) -> Result<Vec<u8>> {
    let mut encoder = ComponentEncoder::default();
    encoder
        .validate(true)
        .module(module)
        .context("the module does not carry the plugin contract")?;
    let mut component = encoder
        .encode()
        .context("the module does not fit the plugin contract")?;
    let section = CustomSection {
        name: MANIFEST_SECTION.into(),
        data: manifest.as_bytes().into(),
    };
    section.append_to_component(&mut component);
    Ok(component)
}

/// Insists that the manifest speaks of the package that carries it: the file's name is made from the
/// package, and the daemon compares it with the manifest.
pub(crate) fn check_manifest(manifest: &str, name: &str, version: &str) -> Result<()> {
    let tree: serde_json::Value = serde_yaml::from_str(manifest)?;
    for (key, wanted) in [("id", name), ("version", version)] {
        let found = tree.get(key).and_then(serde_json::Value::as_str);
        let shown = found.unwrap_or("nothing");
        ensure!(
            found == Some(wanted),
            "`{key}` is {shown}, but the package says {wanted}"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_must_speak_of_its_package() {
        let check = |text| check_manifest(text, "native-runtime", "0.1.0");
        check("id: native-runtime\nversion: 0.1.0\n").unwrap();
        let error = check("id: native-runtime\nversion: 0.2.0\n")
            .unwrap_err()
            .to_string();
        assert_eq!(error, "`version` is 0.2.0, but the package says 0.1.0");
        let error = check("version: 0.1.0\n").unwrap_err().to_string();
        assert_eq!(
            error,
            "`id` is nothing, but the package says native-runtime"
        );
    }

    #[test]
    fn a_module_without_the_contract_still_becomes_a_component_with_its_manifest() {
        let empty_module = b"\0asm\x01\0\0\0";
        let component = encode(empty_module, "id: x").unwrap();
        let tail = b"\x14simplenetes:manifestid: x";
        assert!(component.ends_with(tail), "{component:?}");
    }

    #[test]
    fn something_else_is_refused() {
        assert!(encode(b"#!/bin/sh\n", "id: x").is_err());
    }
}
