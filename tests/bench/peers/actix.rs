//! actix-files over a directory.

use actix_files::Files;
use actix_web::{App, HttpServer};

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let (port, root) = (arguments[1].clone(), arguments[2].clone());
    HttpServer::new(move || App::new().service(Files::new("/", root.clone())))
        .workers(1)
        .bind(format!("127.0.0.1:{port}"))?
        .run()
        .await
}
