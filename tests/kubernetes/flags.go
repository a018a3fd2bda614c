package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"k8s.io/apiserver/pkg/apis/apiserver"
)

// flagsRequest holds kube-apiserver's --oidc-* flags; what is absent or empty has the flag's default.
type flagsRequest struct {
	opening
	IssuerURL      string            `json:"issuerURL"`
	ClientID       string            `json:"clientID"`
	CAFile         string            `json:"caFile"`
	UsernameClaim  string            `json:"usernameClaim"`
	UsernamePrefix string            `json:"usernamePrefix"`
	GroupsClaim    string            `json:"groupsClaim"`
	GroupsPrefix   string            `json:"groupsPrefix"`
	SigningAlgs    []string          `json:"signingAlgs"`
	RequiredClaims map[string]string `json:"requiredClaims"`
}

func (r flagsRequest) run(o *oracle) (any, error) { return o.open(r.opening, r.build) }

func (r flagsRequest) build(ctx context.Context) (*authority, error) {
	if r.IssuerURL == "" || r.ClientID == "" {
		return nil, errors.New("oidc-issuer-url and oidc-client-id must be specified together when any oidc-* flags are set")
	}
	if r.UsernameClaim == "" {
		r.UsernameClaim = "sub"
	}
	if len(r.SigningAlgs) == 0 {
		r.SigningAlgs = []string{"RS256"}
	}
	jwt, err := r.jwt()
	if err != nil {
		return nil, err
	}
	config := &apiserver.AuthenticationConfiguration{JWT: []apiserver.JWTAuthenticator{jwt}}
	return newJWTAuthority(ctx, config, r.SigningAlgs)
}

// jwt translates the flags to an AuthenticationConfiguration.
func (r flagsRequest) jwt() (apiserver.JWTAuthenticator, error) {
	jwt := apiserver.JWTAuthenticator{
		Issuer: apiserver.Issuer{URL: r.IssuerURL, Audiences: []string{r.ClientID}},
		ClaimMappings: apiserver.ClaimMappings{
			Username: apiserver.PrefixedClaimOrExpression{Claim: r.UsernameClaim, Prefix: new(r.prefixOfUsername())},
		},
	}
	if r.GroupsClaim != "" {
		jwt.ClaimMappings.Groups = apiserver.PrefixedClaimOrExpression{Claim: r.GroupsClaim, Prefix: new(r.GroupsPrefix)}
	}
	for claim, value := range r.RequiredClaims {
		rule := apiserver.ClaimValidationRule{Claim: claim, RequiredValue: value}
		jwt.ClaimValidationRules = append(jwt.ClaimValidationRules, rule)
	}
	if r.CAFile != "" {
		pem, err := os.ReadFile(r.CAFile)
		if err != nil {
			return jwt, fmt.Errorf("caFile: %w", err)
		}
		jwt.Issuer.CertificateAuthority = string(pem)
	}
	return jwt, nil
}

// prefixOfUsername keeps two issuers' users apart unless configured otherwise; e-mail addresses are assumed to be unique.
func (r flagsRequest) prefixOfUsername() string {
	switch {
	case r.UsernamePrefix == "-":
		return ""
	case r.UsernamePrefix == "" && r.UsernameClaim != "email":
		return r.IssuerURL + "#"
	default:
		return r.UsernamePrefix
	}
}
