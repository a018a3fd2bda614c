package main

import (
	"context"
	"errors"
	"time"

	"k8s.io/apiserver/pkg/authentication/token/cache"
	webhookutil "k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/webhook"
)

// firstRetryAfter begins kube-apiserver's default backoff: five attempts, each pause half as long again as the one before.
const firstRetryAfter = 500 * time.Millisecond

// webhookRequest holds kube-apiserver's --authentication-token-webhook-* flags.
type webhookRequest struct {
	opening
	Kubeconfig string `json:"kubeconfig"`
	// Version is "v1" or "v1beta1"; the flag's default is v1beta1, here it is required.
	Version string `json:"version"`
	// CacheTTLSeconds is how long a result without an error is cached. 0 is never; the flag's default is 120.
	CacheTTLSeconds uint `json:"cacheTTLSeconds"`
}

func (r webhookRequest) run(o *oracle) (any, error) { return o.open(r.opening, r.build) }

func (r webhookRequest) build(context.Context) (*authority, error) {
	if r.Kubeconfig == "" {
		return nil, errors.New("kubeconfig is empty")
	}
	client, err := webhookutil.LoadKubeconfig(r.Kubeconfig, nil)
	if err != nil {
		return nil, err
	}
	backoff := webhookutil.DefaultRetryBackoffWithInitialDelay(firstRetryAfter)
	token, err := webhook.New(client, r.Version, apiAudiences, backoff)
	if err != nil {
		return nil, err
	}
	ttl := time.Duration(r.CacheTTLSeconds) * time.Second
	return &authority{
		token:  cache.New(token, false, ttl, ttl),
		health: func() error { return nil },
	}, nil
}
