// Drives Dex's published Go client (github.com/dexidp/dex/api/v2) for the system tests.
//
// Each line of standard input is a call, {"method": "CreateClient", "request": {...}}, with the request in protobuf's
// JSON form. Each line of standard output is its result: {"response": {...}}, with the names of api.proto, or
// {"code": "Unknown", "message": "..."}.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/dexidp/dex/api/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

type call struct {
	Method  string          `json:"method"`
	Request json.RawMessage `json:"request"`
}

func main() {
	addr := flag.String("addr", "", "host:port of the server")
	ca := flag.String("ca", "", "PEM file of the server's authority; without it the connection is not encrypted")
	cert := flag.String("cert", "", "PEM file of the client certificate")
	key := flag.String("key", "", "PEM file of its key")
	flag.Parse()
	if err := run(*addr, *ca, *cert, *key); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(addr, ca, cert, key string) error {
	transport, err := transportCredentials(ca, cert, key)
	if err != nil {
		return err
	}
	connection, err := grpc.NewClient(addr, grpc.WithTransportCredentials(transport))
	if err != nil {
		return err
	}
	defer connection.Close()
	client := api.NewDexClient(connection)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var requested call
		if err := json.Unmarshal(lines.Bytes(), &requested); err != nil {
			return err
		}
		result, err := respond(client, requested)
		if err != nil {
			return err
		}
		fmt.Println(string(result))
	}
	return lines.Err()
}

func transportCredentials(ca, cert, key string) (credentials.TransportCredentials, error) {
	if ca == "" {
		return insecure.NewCredentials(), nil
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, errors.New("no certificate in " + ca)
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return credentials.NewTLS(config), nil
}

func respond(client api.DexClient, requested call) ([]byte, error) {
	method, known := methods(client)[requested.Method]
	if !known {
		return nil, errors.New("unknown method " + requested.Method)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	response, err := method(ctx, requested.Request)
	if err != nil {
		refused, isStatus := status.FromError(err)
		if !isStatus {
			return nil, err
		}
		return json.Marshal(map[string]string{"code": refused.Code().String(), "message": refused.Message()})
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(response)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]json.RawMessage{"response": text})
}

type method func(context.Context, json.RawMessage) (proto.Message, error)

// Every call of the service.
func methods(client api.DexClient) map[string]method {
	return map[string]method{
		"GetClient":       typed(client.GetClient, &api.GetClientReq{}),
		"CreateClient":    typed(client.CreateClient, &api.CreateClientReq{}),
		"UpdateClient":    typed(client.UpdateClient, &api.UpdateClientReq{}),
		"DeleteClient":    typed(client.DeleteClient, &api.DeleteClientReq{}),
		"ListClients":     typed(client.ListClients, &api.ListClientReq{}),
		"CreatePassword":  typed(client.CreatePassword, &api.CreatePasswordReq{}),
		"UpdatePassword":  typed(client.UpdatePassword, &api.UpdatePasswordReq{}),
		"DeletePassword":  typed(client.DeletePassword, &api.DeletePasswordReq{}),
		"ListPasswords":   typed(client.ListPasswords, &api.ListPasswordReq{}),
		"VerifyPassword":  typed(client.VerifyPassword, &api.VerifyPasswordReq{}),
		"CreateConnector": typed(client.CreateConnector, &api.CreateConnectorReq{}),
		"UpdateConnector": typed(client.UpdateConnector, &api.UpdateConnectorReq{}),
		"DeleteConnector": typed(client.DeleteConnector, &api.DeleteConnectorReq{}),
		"ListConnectors":  typed(client.ListConnectors, &api.ListConnectorReq{}),
		"GetVersion":      typed(client.GetVersion, &api.VersionReq{}),
		"GetDiscovery":    typed(client.GetDiscovery, &api.DiscoveryReq{}),
		"ListRefresh":     typed(client.ListRefresh, &api.ListRefreshReq{}),
		"RevokeRefresh":   typed(client.RevokeRefresh, &api.RevokeRefreshReq{}),
	}
}

// `empty` is a message of the call's type, which is not sent itself.
func typed[Request, Response proto.Message](
	call func(context.Context, Request, ...grpc.CallOption) (Response, error), empty Request,
) method {
	return func(ctx context.Context, raw json.RawMessage) (proto.Message, error) {
		request := proto.Clone(empty)
		if err := protojson.Unmarshal(raw, request); err != nil {
			return nil, err
		}
		return call(ctx, request.(Request))
	}
}
