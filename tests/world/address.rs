//! A loopback address for each server, so that ports and cookies never clash and no two tests compete for a
//! port.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

static NEXT: AtomicU16 = AtomicU16::new(0);

/// Returns an address of 127.64.0.0/10 that no other test process uses: the middle comes from the process id,
/// the end from a counter. The ports of a server are free on it.
pub fn own() -> Ipv4Addr {
    for _ in 0..2000 {
        let ip = nth(std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        if [5554, 5556, 5558].iter().all(|port| TcpListener::bind((ip, *port)).is_ok()) {
            return ip;
        }
    }
    panic!("no loopback address is free");
}

fn nth(pid: u32, counter: u16) -> Ipv4Addr {
    let [_, _, high, low] = pid.to_be_bytes();
    let [carry, last] = (1 + counter % 254 + (counter / 254) * 256).to_be_bytes();
    Ipv4Addr::new(127, 64 + (high.wrapping_add(carry) % 128), low, last)
}

/// True for the addresses of servers in these tests. Everything else, including 127.0.0.1, counts as an
/// external host.
pub fn is_own(host: &str) -> bool {
    host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback() && ip.octets()[1] >= 64)
}

#[test]
fn two_servers_never_share_an_address() {
    assert_ne!(own(), own());
    assert_ne!(nth(70_000, 0), nth(70_001, 0));
    assert!(is_own(&own().to_string()));
    assert!(!is_own("127.0.0.1"));
    assert!(!is_own("app.example.com"));
    for counter in 0..1000 {
        let last = nth(1, counter).octets()[3];
        assert!(last != 0 && last != 255);
    }
}
