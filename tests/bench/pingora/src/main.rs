//! The least that pingora needs to be a proxy: one upstream, whose connections it keeps, no filters, no
//! log. `bench-pingora LISTEN UPSTREAM THREADS`, the first two as `address:port`.

use std::error::Error;
use std::net::SocketAddr;

use async_trait::async_trait;
use pingora_core::Result;
use pingora_core::server::Server;
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

struct Forward {
    upstream: SocketAddr,
}

#[async_trait]
impl ProxyHttp for Forward {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, upstream, threads] = arguments.as_slice() else {
        return Err("usage: bench-pingora LISTEN UPSTREAM THREADS".into());
    };
    let settings = ServerConf {
        threads: threads.parse()?,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, settings);
    server.bootstrap();
    let upstream = upstream.parse()?;
    let mut service = http_proxy_service(&server.configuration, Forward { upstream });
    service.add_tcp(listen);
    server.add_service(service);
    server.run_forever()
}
