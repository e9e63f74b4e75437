//! A client of the administration API: over a real socket, with exactly the credentials it was given.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::http::{Answer, exchange};

/// Somebody who calls the API, and where it is.
#[derive(Clone, Debug)]
pub struct Api {
    server: SocketAddr,
    authorization: Option<String>,
}

/// That a change is made, and how far it is known to have come.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Effect {
    /// The revision of the catalog that has it.
    pub revision: u64,
    /// `acknowledged` or `bound_passed`.
    pub effective: String,
}

impl Api {
    /// Without credentials.
    pub const fn anonymous(server: SocketAddr) -> Self {
        Self {
            server,
            authorization: None,
        }
    }

    /// With name and password: may read.
    pub fn basic(server: SocketAddr, user: &str, password: &str) -> Self {
        Self::with(
            server,
            format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))),
        )
    }

    /// With a token: may read and change.
    pub fn bearer(server: SocketAddr, token: &str) -> Self {
        Self::with(server, format!("Bearer {token}"))
    }

    /// With whatever `Authorization` says.
    pub const fn with(server: SocketAddr, authorization: String) -> Self {
        Self {
            server,
            authorization: Some(authorization),
        }
    }

    /// Gets a token with name and password.
    pub fn login(server: SocketAddr, user: &str, password: &str) -> Self {
        let answer = Self::basic(server, user, password).call("POST", "/api/v1/tokens", None);
        let token = ok(&answer)["token"].as_str().expect("a token").to_owned();
        Self::bearer(server, &token)
    }

    /// The value of its `Authorization` field.
    pub fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    /// One request; a body is sent as JSON.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        match body {
            Some(body) => self.send(
                method,
                path,
                "Content-Type: application/json\r\n",
                body.to_string(),
            ),
            None => self.send(method, path, "", ""),
        }
    }

    /// One request with more field lines, each ending in CRLF, and a body as it is.
    pub fn send(&self, method: &str, path: &str, more: &str, body: impl AsRef<[u8]>) -> Answer {
        let body = body.as_ref();
        let authorization = self
            .authorization
            .as_ref()
            .map_or_else(String::new, |value| format!("Authorization: {value}\r\n"));
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{authorization}Connection: close\r\n\
             Content-Length: {}\r\n{more}\r\n",
            body.len()
        );
        exchange(self.server, [head.as_bytes(), body].concat())
    }

    /// The JSON of a GET that must succeed.
    pub fn get(&self, path: &str) -> Value {
        ok(&self.call("GET", path, None))
    }

    /// Publishes a file, and returns its ID.
    pub fn publish(&self, root: &str, path: &str) -> String {
        let body = json!({"root": root, "path": path});
        let answer = ok(&self.call("POST", "/api/v1/files", Some(&body)));
        answer["file"]["id"].as_str().expect("an ID").to_owned()
    }

    /// Takes a file out of the catalog.
    pub fn unpublish(&self, id: &str) -> Effect {
        self.change("DELETE", &format!("/api/v1/files/{id}"), None)
    }

    /// Grants a file to `user:NAME` or `group:NAME`.
    pub fn grant(&self, id: &str, subject: &str) -> Effect {
        let path = format!("/api/v1/files/{id}/grants/{}", segment(subject));
        self.change("PUT", &path, Some(&json!({})))
    }

    /// Takes a grant back.
    pub fn revoke(&self, id: &str, subject: &str) -> Effect {
        let path = format!("/api/v1/files/{id}/grants/{}", segment(subject));
        self.change("DELETE", &path, None)
    }

    /// Adds a user.
    pub fn add_user(&self, name: &str, password: &str, role: &str) -> Effect {
        let body = json!({"name": name, "password": password, "role": role});
        self.change("POST", "/api/v1/users", Some(&body))
    }

    /// Takes a user's rights away.
    pub fn disable(&self, user: &str) -> Effect {
        self.set_enabled(user, false)
    }

    /// Gives a user's rights back.
    pub fn enable(&self, user: &str) -> Effect {
        self.set_enabled(user, true)
    }

    /// Gives a user another password.
    pub fn set_password(&self, user: &str, password: &str) -> Effect {
        let path = format!("/api/v1/users/{}/password", segment(user));
        self.change("PUT", &path, Some(&json!({ "password": password })))
    }

    /// Gives its own user another password.
    pub fn set_own_password(&self, user: &str, present: &str, password: &str) -> Effect {
        let path = format!("/api/v1/users/{}/password", segment(user));
        let passwords = json!({ "password": password, "current_password": present });
        self.change("PUT", &path, Some(&passwords))
    }

    /// Gives a user another role.
    pub fn set_role(&self, user: &str, role: &str) -> Effect {
        let path = format!("/api/v1/users/{}/role", segment(user));
        self.change("PUT", &path, Some(&json!({ "role": role })))
    }

    /// Adds a group.
    pub fn add_group(&self, name: &str) -> Effect {
        self.change("POST", "/api/v1/groups", Some(&json!({ "name": name })))
    }

    /// Puts a user into a group.
    pub fn join(&self, group: &str, user: &str) -> Effect {
        let path = format!("/api/v1/groups/{}/members/{}", segment(group), segment(user));
        self.change("PUT", &path, None)
    }

    /// Takes a user out of a group.
    pub fn leave(&self, group: &str, user: &str) -> Effect {
        let path = format!("/api/v1/groups/{}/members/{}", segment(group), segment(user));
        self.change("DELETE", &path, None)
    }

    /// A change that must succeed.
    pub fn change(&self, method: &str, path: &str, body: Option<&Value>) -> Effect {
        let mut answer = ok(&self.call(method, path, body));
        serde_json::from_value(answer["change"].take()).expect("every change says how far it came")
    }

    fn set_enabled(&self, user: &str, enabled: bool) -> Effect {
        let path = format!("/api/v1/users/{}/enabled", segment(user));
        self.change("PUT", &path, Some(&json!({ "enabled": enabled })))
    }
}

/// The JSON of an answer that must be 2xx.
#[track_caller]
pub fn ok(answer: &Answer) -> Value {
    assert!(
        (200..300).contains(&answer.status),
        "{} {}\n{}",
        answer.status,
        answer.head,
        String::from_utf8_lossy(&answer.body)
    );
    serde_json::from_slice(&answer.body).expect("JSON")
}

/// Text as one segment of a path.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
