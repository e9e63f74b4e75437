//! The example of a configuration, `beneathd.toml` beside this crate, is whole and true.

use super::*;

const EXAMPLE: &str = include_str!("../../beneathd.toml");

/// What is commented out, but for sentences, is said.
fn uncommented() -> String {
    let lines = EXAMPLE.lines().map(|line| match line.strip_prefix('#') {
        Some(said) if said.starts_with(|first: char| first == '[' || first.is_ascii_lowercase()) => said,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn parse(text: &str) -> Config {
    let raw: Raw = toml::from_str(text).unwrap();
    raw.parse(Path::new("/etc/beneath")).unwrap()
}

#[test]
fn the_example_says_what_holds_without_it() {
    let (example, silent) = (parse(EXAMPLE), parse(""));
    assert_eq!(example.listen, silent.listen);
    assert_eq!(example.limits, silent.limits);
    assert_eq!(example.limits.proxies, Proxies::default());
    let said = parse(&uncommented());
    assert_eq!(said.roots.len(), 1);
    // What the machine decides, and what has no default.
    assert_eq!(said.options.kept_open(0), silent.options.kept_open(0));
    let mut limits = said.limits.clone();
    limits.connections = silent.limits.connections;
    limits.connections_per_address = silent.limits.connections_per_address;
    limits.proxies = Proxies::default();
    assert_eq!(limits, silent.limits);
}

#[test]
fn the_example_has_every_key() {
    let table: toml::Table = uncommented().parse().unwrap();
    for section in ["", "roots.reports", "tls", "limits", "metrics", "audit"] {
        let within = section.split('.').filter(|name| !name.is_empty());
        let section_table = within.fold(&table, |table, name| table[name].as_table().unwrap());
        let head = if section.is_empty() {
            String::new()
        } else {
            format!("[{section}]\n")
        };
        let refused = toml::from_str::<Raw>(&format!("{head}no_such_key = 1"))
            .err()
            .unwrap()
            .to_string();
        let (_, known) = refused.split_once(", expected ").unwrap();
        // Each key stands between two grave accents.
        let keys: Vec<_> = known.split('`').skip(1).step_by(2).collect();
        assert!(!keys.is_empty(), "{refused}");
        for key in keys {
            assert!(
                section_table.contains_key(key),
                "`{key}` of [{section}] is not in the example"
            );
        }
    }
}
