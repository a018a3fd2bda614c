package main

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

type ask map[string]any

// reply is any response; absent members are zero.
type reply struct {
	OK       bool
	Error    string
	Refused  bool
	Username string
	UID      string
	Groups   []string
	Extra    map[string][]string
}

// A session is a conversation with one oracle, over the same lines the system tests use.
type session struct {
	t       *testing.T
	in      *io.PipeWriter
	answers *json.Decoder
}

func newSession(t *testing.T) *session {
	t.Helper()
	requests, in := io.Pipe()
	out, answers := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- serve(requests, answers) }()
	t.Cleanup(func() {
		in.Close()
		if err := <-ended; err != nil {
			t.Errorf("the oracle ended with %v", err)
		}
	})
	return &session{t, in, json.NewDecoder(out)}
}

func (s *session) say(line string) reply {
	s.t.Helper()
	if _, err := io.WriteString(s.in, line+"\n"); err != nil {
		s.t.Fatal(err)
	}
	var answer reply
	if err := s.answers.Decode(&answer); err != nil {
		s.t.Fatal(err)
	}
	return answer
}

func (s *session) ask(request ask) reply {
	s.t.Helper()
	line, err := json.Marshal(request)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.say(string(line))
}

func (s *session) open(request ask) {
	s.t.Helper()
	if answer := s.ask(request); !answer.OK {
		s.t.Fatalf("%v: %s", request["op"], answer.Error)
	}
}

func (s *session) authenticate(id, token string) reply {
	s.t.Helper()
	return s.ask(ask{"op": "authenticate", "id": id, "token": token})
}

func (s *session) accepts(id, token string) reply {
	s.t.Helper()
	answer := s.authenticate(id, token)
	if !answer.OK {
		s.t.Fatalf("refused: %s", answer.Error)
	}
	return answer
}

func (s *session) refuses(id, token, because string) {
	s.t.Helper()
	answer := s.authenticate(id, token)
	if answer.OK || !answer.Refused || !strings.Contains(answer.Error, because) {
		s.t.Fatalf("wanted a refusal saying %q, got %+v", because, answer)
	}
}

// waitUntilAccepted repeats until the token is accepted and returns how long that took.
func (s *session) waitUntilAccepted(id, token string, within time.Duration) time.Duration {
	s.t.Helper()
	began := time.Now()
	for {
		answer := s.authenticate(id, token)
		switch waited := time.Since(began); {
		case answer.OK:
			return waited
		case waited > within:
			s.t.Fatalf("still refused after %v: %s", waited, answer.Error)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func sameGroups(t *testing.T, got reply, want ...string) {
	t.Helper()
	if !slices.Equal(got.Groups, want) {
		t.Errorf("groups %q, wanted %q", got.Groups, want)
	}
}

func TestAnInvalidRequestGetsAnErrorAndTheNextOneAResponse(t *testing.T) {
	s := newSession(t)
	for line, want := range map[string]string{
		``:                               "not a JSON object",
		`nonsense`:                       "not a JSON object",
		`[]`:                             "not a JSON object",
		`{}`:                             `unknown op ""`,
		`{"op":"flags"} {"op":"flags"}`:  "not a JSON object",
		`{"op":"invent"}`:                `unknown op "invent"`,
		`{"op":"drop","id":"x"}`:         `no authenticator has the id "x"`,
		`{"op":"authenticate","id":"x"}`: `no authenticator has the id "x"`,
		`{"op":"authenticate","id":1}`:   "bad request",
		`{"op":"flags","id":"x","issuer":"https://issuer.example"}`:                                              `unknown field "issuer"`,
		`{"op":"flags","id":"x"}`:                                                                                "must be specified together",
		`{"op":"flags","id":"x","issuerURL":"https://issuer.example"}`:                                           "must be specified together",
		`{"op":"flags","issuerURL":"https://issuer.example","clientID":"c"}`:                                     "id is empty",
		`{"op":"flags","id":"x","issuerURL":"http://issuer.example","clientID":"c"}`:                             "URL scheme must be https",
		`{"op":"flags","id":"x","issuerURL":"https://issuer.example?a=b","clientID":"c"}`:                        "must not contain a query",
		`{"op":"flags","id":"x","issuerURL":"https://issuer.example","clientID":"c","caFile":"/nowhere/ca.pem"}`: "no such file",
		`{"op":"flags","id":"x","issuerURL":"https://issuer.example","clientID":"c","signingAlgs":["EdDSA"]}`:    `unsupported signing alg: "EdDSA"`,
		`{"op":"flags","id":"x","issuerURL":"https://kubernetes.default.svc.cluster.local","clientID":"c"}`:      "must not overlap with disallowed issuers",
		`{"op":"webhook","id":"x","kubeconfig":"","version":"v1"}`:                                               "kubeconfig is empty",
		`{"op":"webhook","id":"x","kubeconfig":"/nowhere/kubeconfig","version":"v1"}`:                            "no such file",
	} {
		answer := s.say(line)
		if answer.OK || answer.Refused || !strings.Contains(answer.Error, want) {
			t.Errorf("%s\nwanted an error with %q, got %+v", line, want, answer)
		}
	}
}

func TestAnIDNamesOneAuthenticatorUntilItIsDropped(t *testing.T) {
	i := newIssuer(t)
	s := newSession(t)
	s.open(flags(i, nil))

	if again := s.ask(flags(i, nil)); again.OK || !strings.Contains(again.Error, "in use") {
		t.Errorf("a second %q was answered with %+v", "flags", again)
	}
	if dropped := s.ask(ask{"op": "drop", "id": "flags"}); !dropped.OK {
		t.Error(dropped.Error)
	}
	if gone := s.authenticate("flags", "a.b.c"); gone.Refused || !strings.Contains(gone.Error, "no authenticator has the id") {
		t.Errorf("a dropped authenticator answered %+v", gone)
	}
	s.open(flags(i, nil))
}

func TestAnUnreachableIssuerIsAnErrorAndNotARefusal(t *testing.T) {
	for name, c := range map[string]struct {
		calledAs func(i *issuer) string
		caFile   bool
		want     string
	}{
		"unknown authority": {func(i *issuer) string { return i.server.URL }, false, "certificate signed by unknown authority"},
		"one slash more":    {func(i *issuer) string { return i.server.URL + "/" }, true, "issuer did not match the issuer returned by provider"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			i.setIssuer(c.calledAs(i))
			request := flags(i, ask{"issuerURL": i.server.URL})
			if !c.caFile {
				delete(request, "caFile")
			}
			s := newSession(t)
			s.open(request)

			answer := s.ask(ask{"op": "authenticate", "id": "flags", "token": "", "waitSeconds": 1})

			if answer.OK || answer.Refused || !strings.Contains(answer.Error, c.want) {
				t.Errorf("wanted an error with %q, got %+v", c.want, answer)
			}
		})
	}
}

// Kubernetes tries discovery at once and then every 10 s, so a late issuer is met at its next try.
func TestTheOracleWaitsForAnIssuerThatStartsLater(t *testing.T) {
	i := newIssuer(t)
	key := newRS256(t, "one")
	i.publish(key)
	i.setIssuer("https://elsewhere.example")
	s := newSession(t)
	s.open(flags(i, ask{"issuerURL": i.server.URL}))
	if early := s.ask(ask{"op": "authenticate", "id": "flags", "token": "", "waitSeconds": 1}); early.OK || early.Refused {
		t.Fatalf("before the issuer was ready the answer was %+v", early)
	}

	i.setIssuer(i.server.URL)

	s.accepts("flags", i.token(key, nil))
}
