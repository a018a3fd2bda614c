//! `grpc`, and the address of the command line.

use std::path::Path;

use super::super::listen::Listen;
use super::{Addresses, load, problems, read_blocks, with};

fn read(text: &str, addresses: &Addresses, has_switch: bool) -> super::Loaded {
    let env =
        |name: &str| (has_switch && name == "DEX_API_CONNECTORS_CRUD").then(|| "true".to_owned());
    countersign_config::read(text, Path::new("config.yaml"), &env, false, |root| {
        read_blocks(root, &env, addresses)
    })
}

#[test]
fn an_address_is_enough_and_that_of_the_command_line_comes_first() {
    let grpc = load(&with("grpc: {addr: '127.0.0.1:5557', reflection: true}")).config.unwrap().grpc;
    let grpc = grpc.unwrap();
    assert_eq!(grpc.listen.to_string(), "127.0.0.1:5557");
    assert!(grpc.reflection && grpc.tls.is_none() && !grpc.has_connectors);
    let addresses = Addresses { grpc: Listen::parse("127.0.0.1:1"), ..Addresses::default() };
    let both = read(&with("grpc: {addr: '127.0.0.1:5557'}"), &addresses, true).config.unwrap();
    let grpc = both.grpc.unwrap();
    assert_eq!(grpc.listen.to_string(), "127.0.0.1:1");
    assert!(grpc.has_connectors);
    let only_flag = read(&with("enablePasswordDB: true"), &addresses, false).config.unwrap();
    assert_eq!(only_flag.grpc.unwrap().listen.to_string(), "127.0.0.1:1");
    assert!(load(&with("enablePasswordDB: true")).config.unwrap().grpc.is_none());
}

#[test]
fn certificates_come_in_pairs_and_authorities_need_them() {
    for (block, expected) in [
        (
            "grpc: {addr: '127.0.0.1:1', tlsCert: /etc/hostname}",
            "2:7: grpc.tlsKey: is missing, and tlsCert needs it",
        ),
        (
            "grpc: {addr: '127.0.0.1:1', tlsKey: /etc/hostname}",
            "2:7: grpc.tlsCert: is missing, and tlsKey needs it",
        ),
        (
            "grpc: {addr: '127.0.0.1:1', tlsClientCA: /etc/hostname}",
            "2:42: grpc.tlsClientCA: has no effect without tlsCert and tlsKey",
        ),
        (
            "grpc: {tlsCert: /etc/hostname, tlsKey: /etc/hostname}",
            "2:7: grpc.addr: is missing: host:port such as 127.0.0.1:5557",
        ),
        (
            "grpc: {addr: '127.0.0.1:1', tlsMinVersion: '1.3', tlsMaxVersion: '1.2'}",
            "2:66: grpc.tlsMaxVersion: is lower than tlsMinVersion",
        ),
        (
            "grpc: {addr: nowhere}",
            "2:14: grpc.addr: found \"nowhere\", expected host:port such as 127.0.0.1:5556",
        ),
    ] {
        assert_eq!(problems(block), [expected], "{block}");
    }
}
