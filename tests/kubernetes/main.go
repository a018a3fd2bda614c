// Command oracle authenticates tokens as a Kubernetes API server does.
//
// It has no rules of its own. The authenticators come from k8s.io/apiserver, the library kube-apiserver is built from, and are
// put together as kube-apiserver puts them together from its --oidc-* flags, from an AuthenticationConfiguration file or from a
// webhook kubeconfig. The system tests start it as a child process and send it JSON, one object per line each way, in order:
//
//	{"op":"flags","id":"a","issuerURL":"https://…","clientID":"…","caFile":"…","usernameClaim":"email",
//	 "usernamePrefix":"oidc:","groupsClaim":"groups","groupsPrefix":"oidc:","signingAlgs":["RS256"],"requiredClaims":{"k":"v"}}
//	{"op":"config","id":"b","yaml":"apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt: …"}
//	{"op":"webhook","id":"w","kubeconfig":"…path…","version":"v1","cacheTTLSeconds":0}
//	{"op":"authenticate","id":"a","token":"…","waitSeconds":15}
//	{"op":"drop","id":"a"}
//
// The first three build an authenticator named id, as an API server does when it starts, and do not wait for its issuer.
// An id belongs to one authenticator until it is dropped. With "cache":true the API server's own cache of successes (10 s) stands in
// front; without it every token is verified again.
//
// Answers are {"ok":true}, {"ok":true,"username":…,"uid":…,"groups":[…],"extra":{…}} or {"ok":false,"error":"…"}. An error
// carries "refused":true only if a ready authenticator examined and refused the token. Tests of a refusal should check it,
// or they pass on a misspelt id.
//
// The groups are the authenticator's; "system:authenticated", which the API server adds afterwards, is not among them.
// Standard output carries answers only; Kubernetes logs to standard error. End of input ends the program.
//
// It never serves HTTP, never writes a file, never authorizes, and never replaces a rule of Kubernetes by one of ours.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(1)
	}
}

// serve answers every line of in with one line of out, until in ends.
func serve(in io.Reader, out io.Writer) error {
	oracle := newOracle()
	defer oracle.close()

	lines := bufio.NewReader(in)
	answers := json.NewEncoder(out)
	answers.SetEscapeHTML(false)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			if err := answers.Encode(oracle.answer(line)); err != nil {
				return fmt.Errorf("write answer: %w", err)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read request: %w", err)
		}
	}
}
