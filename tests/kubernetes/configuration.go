package main

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/install"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"
)

// configRequest holds the text of the file given to --authentication-config.
type configRequest struct {
	opening
	YAML string `json:"yaml"`
}

func (r configRequest) run(o *oracle) (any, error) { return o.open(r.opening, r.build) }

func (r configRequest) build(ctx context.Context) (*authority, error) {
	config, err := decodeConfiguration([]byte(r.YAML))
	if err != nil {
		return nil, err
	}
	// With a file kube-apiserver accepts the algorithm of the issuer's key; only the flags limit it to RS256.
	return newJWTAuthority(ctx, config, oidc.AllValidSigningAlgorithms())
}

// decodeConfiguration reads any served version strictly, applies its defaults and converts it to the internal one.
func decodeConfiguration(text []byte) (*apiserver.AuthenticationConfiguration, error) {
	if len(text) == 0 {
		return nil, errors.New("empty config data")
	}
	scheme := runtime.NewScheme()
	install.Install(scheme)
	codecs := serializer.NewCodecFactory(scheme, serializer.EnableStrict)
	object, err := runtime.Decode(codecs.UniversalDecoder(), text)
	if err != nil {
		return nil, err
	}
	config, ok := object.(*apiserver.AuthenticationConfiguration)
	if !ok {
		return nil, fmt.Errorf("expected AuthenticationConfiguration, got %T", object)
	}
	return config, nil
}
