//! `/openapi.json`: what the operations say of themselves, and what holds for all of them.

use std::sync::LazyLock;

use axum::body::Bytes;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{Schema, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Required, Response as Described};
use utoipa::{OpenApi, PartialSchema as _};

use super::{BASE, operations, vocabulary};
use crate::rejection::Problem;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "beneathd",
        description = "Administration of beneath: who may have which file, as of when.\n\n\
            Reads take Basic or Bearer, changes Bearer only: `POST /api/v1/tokens` gives a token for name and password. \
            A change is answered when it is effective: no decision that is made from then on, and no transfer, goes by \
            what was before. What somebody may not know of is answered like what is not there.",
    ),
    components(schemas(Problem)),
    tags(
        (name = "tokens", description = "What changes are made with"),
        (name = "files", description = "What is published"),
        (name = "grants", description = "Who may have a file"),
        (name = "links", description = "Downloads without a name or password, so many and for so long"),
        (name = "users", description = "Who there is"),
        (name = "groups", description = "Users who are granted something together"),
        (name = "audit", description = "What happened"),
    )
)]
struct Document;

/// The document. Anyone may read it: it says nothing of what is published.
pub(super) async fn openapi_json() -> Response {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| document().to_json().unwrap_or_default().into());
    let fields = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "no-cache"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (fields, TEXT.clone()).into_response()
}

fn document() -> utoipa::openapi::OpenApi {
    let (_, operations) = operations().split_for_parts();
    let mut document = Document::openapi().nest(BASE, operations);
    let components = document.components.get_or_insert_default();
    for (name, scheme) in [
        ("basic", HttpAuthScheme::Basic),
        ("bearer", HttpAuthScheme::Bearer),
    ] {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(scheme).build());
        components.add_security_scheme(name, scheme);
    }
    for refusal in REFUSALS {
        components
            .responses
            .insert(refusal.name.to_owned(), refusal.describe().into());
    }
    if let Some(RefOr::T(Schema::Object(change))) = components.schemas.get_mut("FileChange") {
        change.min_properties = Some(1);
    }
    for (name, pattern) in vocabulary::patterns() {
        if let Some(RefOr::T(Schema::Object(text))) = components.schemas.get_mut(name) {
            text.pattern = Some(pattern);
        }
    }
    for (path, item) in &mut document.paths.paths {
        let named = path.contains('{');
        for (operation, reads) in [
            (&mut item.get, true),
            (&mut item.post, false),
            (&mut item.put, false),
            (&mut item.patch, false),
            (&mut item.delete, false),
        ] {
            if let Some(operation) = operation {
                complete(operation, reads, named);
            }
        }
    }
    document
}

/// What holds for every operation of its kind.
fn complete(operation: &mut Operation, reads: bool, named: bool) {
    if let (Some(act), Some(noun)) = (
        &mut operation.operation_id,
        operation.tags.iter().flatten().next(),
    ) {
        *act = format!("{noun}_{act}");
    }
    let schemes: &[&str] = if reads { &["basic", "bearer"] } else { &["bearer"] };
    if let (Some(RefOr::T(body)), Some(id)) = (&mut operation.request_body, &operation.operation_id) {
        body.required = Some(if OPTIONAL_BODIES.contains(&id.as_str()) {
            Required::False
        } else {
            Required::True
        });
    }
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(Parameter {
            name,
            schema: Some(RefOr::T(Schema::Object(text))),
            ..
        }) = parameter
            && name.starts_with("If-")
        {
            // A header field may be missing, never null.
            text.schema_type = SchemaType::Type(Type::String);
            if name == "If-Match" {
                text.pattern = Some(IF_MATCH.to_owned());
            }
        }
    }
    operation.security.get_or_insert_with(|| {
        let requirement = |scheme: &&str| SecurityRequirement::new(*scheme, [] as [&str; 0]);
        schemes.iter().map(requirement).collect()
    });
    for refusal in REFUSALS {
        let applies = match refusal.of {
            Of::All => true,
            Of::Named => named,
            Of::Bodies => operation.request_body.is_some(),
        };
        if applies {
            let reference = RefOr::Ref(Ref::from_response_name(refusal.name));
            let status = refusal.status.as_str().to_owned();
            operation.responses.responses.entry(status).or_insert(reference);
        }
    }
}

/// Those whose body may be missing: it says nothing that has no default.
const OPTIONAL_BODIES: [&str; 3] = ["tokens_create", "grants_grant", "links_create"];

/// What is worth sending. Lists of tags and weak ones are understood, too.
const IF_MATCH: &str = r#"^(\*|"[1-9][0-9]{0,18}")$"#;

/// A refusal that many operations share.
struct Refusal {
    status: StatusCode,
    name: &'static str,
    description: &'static str,
    fields: &'static [(&'static str, &'static str)],
    of: Of,
}

/// Which operations can refuse so.
enum Of {
    All,
    /// Those on something that has a name.
    Named,
    /// Those that take a body.
    Bodies,
}

const REFUSALS: &[Refusal] = &[
    Refusal {
        status: StatusCode::BAD_REQUEST,
        name: "BadRequest",
        description: "A parameter or header field is not what it has to be, the body is not JSON, or there is one where none is taken",
        fields: &[],
        of: Of::All,
    },
    Refusal {
        status: StatusCode::UNAUTHORIZED,
        name: "Unauthorized",
        description: "No credentials, none that are known, or not of a scheme that will do here",
        fields: &[("WWW-Authenticate", "The schemes that will do")],
        of: Of::All,
    },
    Refusal {
        status: StatusCode::FORBIDDEN,
        name: "Forbidden",
        description: "The role is not enough, whatever it is asked of",
        fields: &[],
        of: Of::All,
    },
    Refusal {
        status: StatusCode::NOT_FOUND,
        name: "NotFound",
        description: "There is no such thing, or not for whoever asks: that is not told apart",
        fields: &[],
        of: Of::Named,
    },
    Refusal {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        name: "PayloadTooLarge",
        description: "The body is longer than 64 KiB",
        fields: &[],
        of: Of::Bodies,
    },
    Refusal {
        status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
        name: "UnsupportedMediaType",
        description: "The body is not said to be application/json, or is encoded",
        fields: &[],
        of: Of::Bodies,
    },
    Refusal {
        status: StatusCode::UNPROCESSABLE_ENTITY,
        name: "UnprocessableEntity",
        description: "The body is JSON but not of the schema; `pointer` says where",
        fields: &[],
        of: Of::Bodies,
    },
    Refusal {
        status: StatusCode::TOO_MANY_REQUESTS,
        name: "TooManyRequests",
        description: "Too many logins failed from there, or for that name",
        fields: &[("Retry-After", "Seconds")],
        of: Of::All,
    },
    Refusal {
        status: StatusCode::SERVICE_UNAVAILABLE,
        name: "ServiceUnavailable",
        description: "Too much is going on, or the catalog cannot be asked",
        fields: &[("Retry-After", "Seconds")],
        of: Of::All,
    },
];

impl Refusal {
    fn describe(&self) -> Described {
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Problem")))
            .build();
        let mut response = ResponseBuilder::new()
            .description(self.description)
            .content("application/problem+json", content);
        for (field, description) in self.fields {
            let header = HeaderBuilder::new()
                .schema(Some(String::schema()))
                .description(Some(*description))
                .build();
            response = response.header(*field, header);
        }
        response.build()
    }
}
