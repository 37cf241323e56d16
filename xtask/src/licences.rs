//! Which licences may be linked: those that `deny.toml` allows, for every crate of the product.
//!
//! cargo-deny says more, and runs where it is installed; this needs nothing that cargo has not.

use crate::shell::root;
use std::collections::BTreeSet;
use std::process::Command;

/// Holds every dependency against the list in `deny.toml`.
pub fn check() -> Result<(), String> {
    let allowed = allowed()?;
    // What is linked into the product. Test-only crates are not, and may be under weaker copyleft.
    let words = ["tree", "--locked", "--package", "rolecall", "--edges", "normal,build", "--target", "all"];
    let form = ["--prefix", "none", "--no-dedupe", "--format", "{p}|{l}"];
    let out = Command::new("cargo").args(words).args(form).current_dir(root()).output();
    let out = out.map_err(|error| format!("cargo tree: {error}"))?;
    if !out.status.success() {
        return Err(format!("cargo tree failed: {}", String::from_utf8_lossy(&out.stderr)));
    }
    let text = String::from_utf8_lossy(&out.stdout);
    let packages: BTreeSet<(&str, &str)> = text.lines().filter_map(|line| line.split_once('|')).collect();
    // Older manifests separate choices by a slash.
    let refused: Vec<String> = packages
        .iter()
        .filter(|(_, licence)| !permits(&licence.replace('/', " OR "), &allowed))
        .map(|(name, licence)| format!("{name}: {licence}"))
        .collect();
    if refused.is_empty() {
        eprintln!("\nlicences: {} packages, all allowed", packages.len());
        Ok(())
    } else {
        Err(format!("licences that deny.toml does not allow:\n  {}", refused.join("\n  ")))
    }
}

fn allowed() -> Result<Vec<String>, String> {
    let text = std::fs::read_to_string(root().join("deny.toml")).map_err(|error| format!("deny.toml: {error}"))?;
    let list = text.split_once("allow = [").and_then(|(_, rest)| rest.split_once(']'));
    let (list, _) = list.ok_or("deny.toml has no list of allowed licences")?;
    Ok(list.split('"').skip(1).step_by(2).map(str::to_owned).collect())
}

/// Whether an SPDX expression can be met by allowed licences alone. `AND` binds tighter than `OR`.
fn permits(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace(" WITH ", "\u{0}");
    let words: Vec<String> = spaced.split_whitespace().map(|word| word.replace('\u{0}', " WITH ")).collect();
    let mut rest = words.as_slice();
    either(&mut rest, allowed) && rest.is_empty()
}

fn either(words: &mut &[String], allowed: &[String]) -> bool {
    let mut met = both(words, allowed);
    while let Some((_, tail)) = words.split_first().filter(|(word, _)| *word == "OR") {
        *words = tail;
        met |= both(words, allowed);
    }
    met
}

fn both(words: &mut &[String], allowed: &[String]) -> bool {
    let mut met = one(words, allowed);
    while let Some((_, tail)) = words.split_first().filter(|(word, _)| *word == "AND") {
        *words = tail;
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut &[String], allowed: &[String]) -> bool {
    let Some((word, tail)) = words.split_first() else { return false };
    *words = tail;
    if word != "(" {
        return allowed.contains(word);
    }
    let met = either(words, allowed);
    match words.split_first().filter(|(word, _)| *word == ")") {
        Some((_, tail)) => {
            *words = tail;
            met
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_met_by_allowed_licences_alone() {
        let allowed = ["MIT".to_owned(), "Apache-2.0".to_owned(), "Apache-2.0 WITH LLVM-exception".to_owned()];
        for (expression, met) in [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("GPL-3.0-only OR MIT", true),
            ("GPL-3.0-only AND MIT", false),
            ("(MIT OR GPL-2.0) AND Apache-2.0", true),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("Apache-2.0 WITH other", false),
            ("", false),
        ] {
            assert_eq!(permits(expression, &allowed), met, "{expression:?}");
        }
    }
}
