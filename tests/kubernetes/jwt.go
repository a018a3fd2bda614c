package main

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/cel"
	"k8s.io/apiserver/pkg/authentication/token/union"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"
)

// newJWTAuthority validates config and makes one authenticator per issuer, tried in order. The first to accept a token
// decides, and so does the first error: an authenticator ignores tokens of other issuers, so its error is about its own.
func newJWTAuthority(ctx context.Context, config *apiserver.AuthenticationConfiguration, signingAlgs []string) (*authority, error) {
	compiler := cel.NewDefaultCompiler()
	if errs := validation.ValidateAuthenticationConfiguration(compiler, config, apiAudiences); len(errs) > 0 {
		return nil, fmt.Errorf("invalid authentication configuration: %w", errs.ToAggregate())
	}

	var tokens []authenticator.Token
	var checks []func() error
	for _, jwt := range config.JWT {
		token, err := oidc.New(ctx, oidc.Options{
			JWTAuthenticator:     jwt,
			CAContentProvider:    caOf(jwt),
			Compiler:             compiler,
			SupportedSigningAlgs: signingAlgs,
			DisallowedIssuers:    apiAudiences,
			APIServerID:          "oracle",
		})
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, token)
		checks = append(checks, token.HealthCheck)
	}
	return &authority{
		token: authenticator.WrapAudienceAgnosticToken(apiAudiences, union.NewFailOnError(tokens...)),
		health: func() error {
			var errs []error
			for _, check := range checks {
				errs = append(errs, check())
			}
			return errors.Join(errs...)
		},
	}, nil
}

// pemBundle is the issuer's certificate authority as configured. Kubernetes reads it once and does not follow changes.
type pemBundle string

func (b pemBundle) CurrentCABundleContent() []byte { return []byte(b) }

// caOf is nil for an issuer without its own authority: then the host's roots decide.
func caOf(jwt apiserver.JWTAuthenticator) oidc.CAContentProvider {
	if jwt.Issuer.CertificateAuthority == "" {
		return nil
	}
	return pemBundle(jwt.Issuer.CertificateAuthority)
}
