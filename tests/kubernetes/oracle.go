package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/token/cache"
	"k8s.io/klog/v2"
)

const (
	// successTTL is the lifetime of kube-apiserver's cache of accepted tokens. Refused tokens are not cached.
	successTTL = 10 * time.Second
	// requestTimeout is kube-apiserver's default for a whole request, authentication included.
	requestTimeout = time.Minute
	// defaultWait outlasts one of the 10 s pauses between two attempts at discovery.
	defaultWait = 15 * time.Second
)

// apiAudiences is the issuer of an API server set up by kubeadm: the issuer of its service account tokens, which is why no
// configured issuer may have that URL, and the audience it names in the TokenReviews it sends.
var apiAudiences = authenticator.Audiences{"https://kubernetes.default.svc.cluster.local"}

// An authority is the token authentication of one API server.
type authority struct {
	token authenticator.Token
	// health is an error until everything the authority needs to know about its issuers has been read.
	health func() error
	cancel context.CancelFunc
}

// An oracle holds the authorities by id. It handles one request at a time.
type oracle struct {
	authorities map[string]*authority
}

func newOracle() *oracle {
	return &oracle{authorities: map[string]*authority{}}
}

func (o *oracle) close() {
	for _, a := range o.authorities {
		a.cancel()
	}
}

// failure is the response to a request that failed or a token that was refused.
type failure struct {
	OK      bool   `json:"ok"`
	Error   string `json:"error"`
	Refused bool   `json:"refused,omitempty"`
}

type done struct {
	OK bool `json:"ok"`
}

// identity is the user of an accepted token.
type identity struct {
	OK       bool                `json:"ok"`
	Username string              `json:"username"`
	UID      string              `json:"uid"`
	Groups   []string            `json:"groups"`
	Extra    map[string][]string `json:"extra"`
}

// opening has the fields of all requests that build an authority.
type opening struct {
	Op    string `json:"op"`
	ID    string `json:"id"`
	Cache bool   `json:"cache"`
}

type authenticateRequest struct {
	Op    string `json:"op"`
	ID    string `json:"id"`
	Token string `json:"token"`
	// WaitSeconds is how long to wait for the issuers; absent is 15, 0 uses the authority as it is.
	WaitSeconds *uint `json:"waitSeconds"`
}

type dropRequest struct {
	Op string `json:"op"`
	ID string `json:"id"`
}

// answer executes one request. A panic in an authenticator is a response too: in kube-apiserver it is a 500, not the end.
func (o *oracle) answer(line []byte) (reply any) {
	defer func() {
		if cause := recover(); cause != nil {
			klog.Errorf("panic: %v\n%s", cause, debug.Stack())
			reply = failure{Error: fmt.Sprintf("panic: %v", cause)}
		}
	}()
	reply, err := o.perform(line)
	if err != nil {
		return failure{Error: err.Error()}
	}
	return reply
}

func (o *oracle) perform(line []byte) (any, error) {
	var request struct {
		Op string `json:"op"`
	}
	if err := json.Unmarshal(line, &request); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	switch request.Op {
	case "flags":
		return run[flagsRequest](o, line)
	case "config":
		return run[configRequest](o, line)
	case "webhook":
		return run[webhookRequest](o, line)
	case "authenticate":
		return run[authenticateRequest](o, line)
	case "drop":
		return run[dropRequest](o, line)
	default:
		return nil, fmt.Errorf("unknown op %q", request.Op)
	}
}

// run refuses unknown keys: a misspelt option would otherwise be a test of something else.
func run[Request interface{ run(*oracle) (any, error) }](o *oracle, line []byte) (any, error) {
	var request Request
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil {
		return nil, fmt.Errorf("bad request: %w", err)
	}
	return request.run(o)
}

// open builds an authority and names it.
func (o *oracle) open(request opening, build func(context.Context) (*authority, error)) (any, error) {
	if request.ID == "" {
		return nil, errors.New("id is empty")
	}
	if _, taken := o.authorities[request.ID]; taken {
		return nil, fmt.Errorf("id %q is in use, drop it first", request.ID)
	}
	ctx, cancel := context.WithCancel(context.Background())
	opened, err := build(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	opened.cancel = cancel
	if request.Cache {
		opened.token = cache.New(opened.token, true, successTTL, 0)
	}
	o.authorities[request.ID] = opened
	return done{OK: true}, nil
}

func (r dropRequest) run(o *oracle) (any, error) {
	a, err := o.authority(r.ID)
	if err != nil {
		return nil, err
	}
	a.cancel()
	delete(o.authorities, r.ID)
	return done{OK: true}, nil
}

func (o *oracle) authority(id string) (*authority, error) {
	a, ok := o.authorities[id]
	if !ok {
		return nil, fmt.Errorf("no authenticator has the id %q", id)
	}
	return a, nil
}

// run uses the authority also after the wait timed out: of several issuers, one that is down does not shut out the others.
func (r authenticateRequest) run(o *oracle) (any, error) {
	a, err := o.authority(r.ID)
	if err != nil {
		return nil, err
	}
	wait := defaultWait
	if r.WaitSeconds != nil {
		wait = time.Duration(*r.WaitSeconds) * time.Second
	}
	unready := a.awaitHealth(wait)

	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	response, accepted, err := a.token.AuthenticateToken(authenticator.WithAudiences(ctx, apiAudiences), r.Token)
	switch {
	case accepted && err == nil:
		return identityOf(response), nil
	case unready != nil:
		return nil, fmt.Errorf("not ready after %v: %w", wait, errors.Join(unready, err))
	case err != nil:
		return failure{Error: err.Error(), Refused: true}, nil
	default:
		return failure{Error: "no authenticator recognizes the token", Refused: true}, nil
	}
}

func (a *authority) awaitHealth(limit time.Duration) error {
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		if err := a.health(); err == nil || !time.Now().Before(deadline) {
			return err
		}
	}
}

func identityOf(response *authenticator.Response) identity {
	user := response.User
	who := identity{OK: true, Username: user.GetName(), UID: user.GetUID(), Groups: user.GetGroups(), Extra: user.GetExtra()}
	if who.Groups == nil {
		who.Groups = []string{}
	}
	if who.Extra == nil {
		who.Extra = map[string][]string{}
	}
	return who
}
