//! `beneathd check`: what cannot be used is named before anybody needs it, all of it at once.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests build their own trees by name, and stop at the first surprise"
)]

use std::fs;
use std::os::unix::fs::FileExt as _;

use beneath_tests::House;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

#[test]
fn check_reports_all_problems_at_once() {
    let house = House::build();
    house.configure(
        "listen = \"nowhere\"\npublic_url = \"https://x@x:443\"\nrevocation_bound = \"soon\"\ntrusted_proxies = [\"10.0.0.1\", \"proxy\", \"::/0\"]\n[roots.\"a/b\"]\npath = \"x\"\n[limits]\nconnections = 0\n\
         failed_logins = 0\n[audit]\nretention = \"1s\"\nrecords = 3\n",
    );
    house.run(&["check"]).fails(
        2,
        &[
            "nowhere",
            "`public_url`: \"https://x@x:443\"",
            "soon",
            "`trusted_proxies`: \"proxy\"",
            "`trusted_proxies`: \"::/0\"",
            "a/b",
            "limits.connections",
            "limits.failed_logins",
            "audit.retention",
            "audit.records",
        ],
    );
    let told = house.run(&["check", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(told["ok"], false);
    assert!(
        told["problems"][0].as_str().unwrap().contains("nowhere"),
        "{told}"
    );
}

#[test]
fn check_names_a_root_that_is_missing_and_one_that_is_a_file() {
    let house = House::build();
    house.configure("[roots.gone]\npath = \"gone\"\n[roots.file]\npath = \"files/report.txt\"\n");
    house
        .run(&["check"])
        .fails(2, &["roots.gone", "no such file", "roots.file", "directory"]);
    let told = house.run(&["check", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(
        (&told["ok"], told["problems"].as_array().unwrap().len()),
        (&false.into(), 2),
        "{told}"
    );
}

#[test]
fn what_is_wrong_in_the_configuration_is_exit_code_2_for_whoever_needs_it_and_said_once() {
    let house = House::build();
    house.configure("listen = \"127.0.0.1:0\"\n[roots.files]\npath = \"gone\"\n");
    for command in [
        &["check"] as &[_],
        &["serve"],
        &["publish", "files:report.txt"],
        &["publish", "files:", "--recursive"],
    ] {
        let outcome = house.run(command);
        outcome.fails(2, &["roots.files", "no such file"]);
        let said = outcome.stderr.to_lowercase();
        assert_eq!(said.matches("no such file").count(), 1, "{said}");
    }
    let said = house.run(&["list"]);
    said.fails(1, &["catalog.db does not exist"]);
    assert!(!said.stderr.contains("No such"), "{said:?}");
}

#[test]
fn check_names_an_address_that_is_none_of_this_machine() {
    let house = House::build();
    let plain = "plaintext = \"behind-proxy\"";
    for config in [
        format!("listen = \"192.0.2.1:8080\"\n{plain}"),
        "listen = \"127.0.0.1:0\"\n[metrics]\nlisten = \"192.0.2.1:8080\"".to_owned(),
    ] {
        house.configure(&format!("{config}\n[roots.files]\npath = \"files\"\n"));
        for command in [&["check"] as &[_], &["serve"]] {
            house.run(command).fails(1, &["cannot listen on 192.0.2.1:8080"]);
        }
    }
}

#[test]
fn check_names_a_catalog_that_is_damaged() {
    let house = House::build();
    house.add_user("alice");
    let file = fs::File::options().write(true).open(house.path("catalog.db"));
    file.unwrap().write_all_at(&[0x55; 16_384], 8192).unwrap();
    house.run(&["check"]).fails(1, &["catalog.db", "failed"]);
}

#[test]
fn check_names_the_directory_that_the_catalog_has_not_got() {
    let house = House::build();
    house.configure(
        "listen = \"127.0.0.1:0\"\ncatalog = \"sqlite:gone/catalog.db\"\n[roots.files]\npath = \"files\"\n",
    );
    for command in [&["check"] as &[_], &["serve"]] {
        house.run(command).fails(2, &["gone/catalog.db", "no directory"]);
    }
}

/// It may be the clock that is wrong, and clients that go on: the service starts.
#[test]
fn check_remarks_that_a_certificate_has_expired_and_that_is_no_failure() {
    const REMARK: &str = "the TLS certificate has expired";
    let house = House::build();
    house.configure(
        "listen = \"127.0.0.1:0\"\n[roots.files]\npath = \"files\"\n[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n",
    );
    for (first_year, last_year, remarked) in [(2019, 2020, true), (2019, 4000, false)] {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(first_year, 1, 1);
        params.not_after = date_time_ymd(last_year, 1, 1);
        let key = KeyPair::generate().unwrap();
        fs::write(house.path("cert.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(house.path("key.pem"), key.serialize_pem()).unwrap();

        let outcome = house.run(&["check"]);
        assert_eq!(
            outcome.succeeds().stderr.contains(REMARK),
            remarked,
            "{outcome:?}"
        );
        assert!(outcome.stdout.starts_with("ready"), "{outcome:?}");
        // Whoever reads the JSON reads nothing else.
        let checked = house.json(&["check"]);
        assert_eq!(checked["ok"], true);
        assert!(house.serve().started.url.starts_with("https://"));
    }
}

#[test]
fn check_names_a_certificate_that_cannot_be_used_and_not_when_it_expires() {
    let house = House::build();
    house
        .configure("[roots.files]\npath = \"files\"\n[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n");
    for command in [&["check"] as &[_], &["serve"]] {
        house.run(command).fails(2, &["tls: ", "cert.pem"]);
    }
    assert!(!house.run(&["check"]).stderr.contains("expired"));
}
