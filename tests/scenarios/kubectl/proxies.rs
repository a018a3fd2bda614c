//! Proxies of the environment, between the engineer's machine and the issuer.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::world::{Client, World};

/// kubectl's documentation has `HTTPS_PROXY=socks5://localhost:1080` for clusters behind a jump host. The proxy gets the name
/// of the issuer, as from kubectl and kubelogin, because this machine may not know its address.
#[tokio::test]
async fn a_socks_proxy_gets_the_issuers_name() {
    let server = World::new().client(Client::public("kubectl")).start().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let proxy = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // RFC 1928 section 3: version and number of methods, then the methods.
        let greeting = read(&mut stream, 2);
        read(&mut stream, greeting[1]);
        stream.write_all(&[5, 0]).unwrap();
        // Section 4: the fourth byte is the type of the address, 3 for a name, whose length follows.
        let request = read(&mut stream, 5);
        (request[3], String::from_utf8(read(&mut stream, request[4])).unwrap())
    });
    let alice = server.workstation().env("HTTPS_PROXY", &format!("socks5://{address}"));
    let mut line = alice.get_token();
    line.retain(|flag| !flag.starts_with("--oidc-issuer-url"));
    line.push("--oidc-issuer-url=https://login.example.invalid".to_owned());
    let refused = alice.runs_command(&line);
    assert!(refused.failure().contains("cannot reach"), "{}", refused.stderr);
    // If the proxy was not used, this connection ends its thread.
    TcpStream::connect(address).ok();
    assert_eq!(proxy.join().unwrap(), (3, "login.example.invalid".to_owned()));
}

fn read(stream: &mut TcpStream, length: u8) -> Vec<u8> {
    let mut bytes = vec![0; length.into()];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}
