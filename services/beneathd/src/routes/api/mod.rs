//! `/api/v1`: administration over HTTP, one file per noun, and the list of all operations.
//!
//! Reads take Basic or Bearer. Changes take Bearer only, so that no replayed password and no browser that attaches one
//! by itself changes anything; there is no CORS. Who may do what is decided by the catalog, in the transaction that acts.

mod answer;
mod audit;
mod body;
mod caller;
mod conditions;
mod document;
mod files;
mod grants;
mod groups;
mod links;
mod parameters;
mod tokens;
mod users;
mod vocabulary;

use std::sync::Arc;

use axum::Router;
use axum::middleware::map_response;
use axum::routing::get;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::rejection::Problem;
use crate::service::Service;

/// Where the operations stand.
const BASE: &str = "/api/v1";

/// The operations, and the document that describes them.
pub(super) fn router() -> Router<Arc<Service>> {
    let (operations, _) = operations().split_for_parts();
    let operations = operations
        .fallback(async || Problem::not_found("there is no such operation; GET /openapi.json lists them"))
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "the Allow field lists what there is",
            )
        })
        .layer(map_response(answer::guarded));
    Router::new()
        .nest(BASE, operations)
        .route("/openapi.json", get(document::openapi_json))
}

fn operations() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::new()
        .routes(routes!(tokens::create))
        .routes(routes!(tokens::revoke_current))
        .routes(routes!(files::list, files::publish))
        .routes(routes!(files::show, files::change, files::unpublish))
        .routes(routes!(grants::list))
        .routes(routes!(grants::show, grants::grant, grants::revoke))
        .routes(routes!(links::list_of_file, links::create))
        .routes(routes!(links::list))
        .routes(routes!(links::revoke))
        .routes(routes!(users::list, users::add))
        .routes(routes!(users::show, users::remove))
        .routes(routes!(users::set_password))
        .routes(routes!(users::set_role))
        .routes(routes!(users::set_enabled))
        .routes(routes!(tokens::revoke_all))
        .routes(routes!(groups::list, groups::add))
        .routes(routes!(groups::show, groups::remove))
        .routes(routes!(groups::members))
        .routes(routes!(groups::join, groups::leave))
        .routes(routes!(audit::list))
}
