//! Listeners and connections: accepted within a bound, served by hyper, drained on a stop. The only
//! code that knows hyper's server.

mod admin;
mod body;
mod connection;
mod door;
mod linger;
mod stall;
mod turns;
mod wire;
mod workers;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::assembly::keep_connections_as;
use crate::config::{Config, Position, Problem};
use crate::limits;
use crate::observe::{CUTTING, DRAINING, Metrics};
use crate::reload::{Current, Wanted};
use door::{Door, OpenConnection};
use workers::Workers;

/// Serves until it is told to stop, then drains; told again, it drains no longer.
///
/// # Errors
/// If an address cannot be listened on, in words for the operator.
pub async fn serve(
    config: &Config,
    current: &Arc<Current>,
    metrics: Arc<Metrics>,
    reloads: Wanted,
    mut stop: impl AsyncFnMut(),
) -> Result<(), String> {
    let mut sockets = Vec::new();
    for written in &config.listeners {
        let what = format!("the listener `{}`", written.name);
        let socket = listen(config, &what, written.address, Some(written.position))?;
        sockets.push(socket);
    }
    let (at, position) = (config.admin.address, config.admin.position);
    let admin = listen(config, "the admin listener", at, position)?;
    for (socket, written) in sockets.iter().zip(&config.listeners) {
        tracing::info!(listener = written.name, address = %address(socket)?, "listening");
    }
    tracing::info!(listener = "admin", address = %address(&admin)?, "listening");

    let workers = Arc::new(Workers::start(config.runtime.workers, begin_worker)?);
    let (draining, drained) = watch::channel(false);
    // The sender's `closed` tells when the last connection has let its receiver go.
    let connections = Arc::new(Semaphore::new(config.runtime.connections));
    let mut tasks = tokio::task::JoinSet::new();
    for (number, socket) in sockets.into_iter().enumerate() {
        let door = Door {
            number,
            current: Arc::clone(current),
        };
        tasks.spawn(accept(
            socket,
            door,
            Arc::clone(&metrics),
            Arc::clone(&connections),
            drained.clone(),
            Arc::clone(&workers),
        ));
    }
    let asked = admin::Asked {
        metrics: Arc::clone(&metrics),
        current: Arc::clone(current),
        reloads,
    };
    let admin = admin::start(admin, asked)?;
    drop(drained);

    stop().await;
    let drain = current.get().drain;
    tracing::info!(within = ?drain, "stopping: no new connections, draining");
    metrics.stopping.set(DRAINING);
    tasks.shutdown().await;
    let _ = draining.send(true);
    let cut = tokio::select! {
        biased;
        () = draining.closed() => None,
        () = tokio::time::sleep(drain) => Some("the time to drain is over; what is left is cut"),
        () = stop() => Some("told to stop again; what is left is cut"),
    };
    if let Some(why) = cut {
        metrics.stopping.set(CUTTING);
        tracing::warn!(connections = draining.receiver_count(), "{why}");
    }
    drop(admin);
    // What is still running after the drain is cut here, and leaves its record in the log.
    if let Some(workers) = Arc::into_inner(workers) {
        workers.stop(limits::process::CUT_WITHIN);
    }
    Ok(())
}

/// Each thread's generator is seeded at its first use, the process's in tens of milliseconds: that must
/// not be charged to the first plugin that asks.
fn begin_worker(index: usize) {
    let _ = aws_lc_rs::rand::fill(&mut [0; 8]);
    keep_connections_as(index);
}

fn listen(
    config: &Config,
    what: &str,
    address: SocketAddr,
    written: Option<Position>,
) -> Result<TcpListener, String> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    let listener = socket.and_then(|socket| {
        // Connections of a process before this one may still be coming to their end.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(limits::client::LISTEN_BACKLOG)
    });
    listener.map_err(|error| {
        let message = format!("{what} cannot listen on {address}: {error}");
        let problem = Problem::new(written, message);
        let problem = match error.kind() {
            std::io::ErrorKind::AddrInUse => problem
                .with_help("another process listens there: stop it, or write another address"),
            _ => problem,
        };
        config.source.render(&[problem])
    })
}

fn address(socket: &TcpListener) -> Result<SocketAddr, String> {
    socket
        .local_addr()
        .map_err(|error| format!("a listener has no address: {error}"))
}

/// Accepts for as long as the process takes connections. Without a permit nothing is accepted: the
/// kernel's queue is the wait, and a full one tells clients.
async fn accept(
    socket: TcpListener,
    door: Door,
    metrics: Arc<Metrics>,
    connections: Arc<Semaphore>,
    drained: watch::Receiver<bool>,
    workers: Arc<Workers>,
) {
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else {
            return;
        };
        match socket.accept().await {
            Ok((stream, peer)) => {
                let open = OpenConnection::new(&metrics, permit);
                let (door, drained) = (door.clone(), drained.clone());
                // It is taken out of this thread's reactor here, and into the worker's there.
                let Ok(stream) = stream.into_std() else {
                    continue;
                };
                workers.give(move || {
                    let stream = TcpStream::from_std(stream);
                    Box::pin(connection::serve(stream, peer, door, drained, open))
                });
            }
            Err(error) => {
                // Out of descriptors, mostly: it passes when a connection ends.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(limits::client::ACCEPT_PAUSE).await;
            }
        }
    }
}
