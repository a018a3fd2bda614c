package main

import (
	"fmt"
	"strings"
	"testing"
)

const bySubject = `claimMappings:
  username: {claim: sub, prefix: ""}
  groups: {claim: groups, prefix: "oidc:"}`

// config requests an authenticator from an AuthenticationConfiguration with these jwt entries.
func config(id string, entries ...string) ask {
	yaml := "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n" + strings.Join(entries, "")
	return ask{"op": "config", "id": id, "yaml": yaml}
}

// jwtEntry is one item of jwt: the issuer's URL and certificate authority with more of the issuer, and what follows it.
func jwtEntry(i *issuer, moreOfIssuer, rest string) string {
	ca := fmt.Sprintf("url: %s\ncertificateAuthority: |\n%s\n", i.url, indent(i.certificate(), "  "))
	item := indent("issuer:\n"+indent(ca+moreOfIssuer, "  ")+"\n"+rest, "  ")
	return "-" + item[1:] + "\n"
}

func indent(text, by string) string {
	return by + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+by)
}

func TestEitherOfTwoAudiencesIsAccepted(t *testing.T) {
	i := newIssuer(t)
	key := newES256(t, "one")
	i.publish(key)
	s := newSession(t)
	s.open(config("any", jwtEntry(i, "audiences: [kubernetes, kubelogin]\naudienceMatchPolicy: MatchAny", bySubject)))

	anna := s.accepts("any", i.token(key, claims{"aud": "kubelogin"}))
	s.accepts("any", i.token(key, claims{"aud": []string{"grafana", "kubernetes"}}))
	s.refuses("any", i.token(key, claims{"aud": "grafana"}), "expected audience in")

	if anna.Username != "anna" {
		t.Errorf("username %q", anna.Username)
	}
	sameGroups(t, anna, "oidc:dev", "oidc:ops")
}

func TestExpressionsMapClaims(t *testing.T) {
	i := newIssuer(t)
	key := newES256(t, "one")
	i.publish(key)
	s := newSession(t)
	s.open(config("cel", jwtEntry(i, "audiences: [kubernetes]", `claimValidationRules:
- expression: claims.?email_verified.orValue(true) == true
  message: the address is not verified
- claim: tenant
  requiredValue: blue
claimMappings:
  username: {expression: "'oidc:' + claims.email"}
  groups: {expression: "dyn(claims.groups).filter(g, g != 'dev').map(g, 'oidc:' + g)"}
  uid: {claim: sub}
  extra:
  - {key: example.com/connector, valueExpression: claims.federated_claims.connector_id}
userValidationRules:
- expression: "!user.username.startsWith('oidc:system:')"
  message: the name is reserved`)))
	changed := func(changes claims) string {
		all := claims{
			"email": "anna@example.com", "email_verified": true, "tenant": "blue",
			"federated_claims": map[string]string{"connector_id": "ldap"},
		}
		for name, value := range changes {
			all[name] = value
		}
		return i.token(key, all)
	}

	anna := s.accepts("cel", changed(nil))
	s.accepts("cel", changed(claims{"email_verified": nil}))
	s.refuses("cel", changed(claims{"email_verified": false}), "the address is not verified")
	s.refuses("cel", changed(claims{"email": nil}), "no such key: email")
	s.refuses("cel", changed(claims{"email": "system:admin"}), "the name is reserved")
	s.refuses("cel", changed(claims{"tenant": "red"}), "required claim tenant value does not match")

	if anna.Username != "oidc:anna@example.com" || anna.UID != "anna" || anna.Extra["example.com/connector"][0] != "ldap" {
		t.Errorf("anna is %+v", anna)
	}
	sameGroups(t, anna, "oidc:ops")
}

func TestTwoIssuers(t *testing.T) {
	one, two, down := newIssuer(t), newIssuer(t), newIssuer(t)
	key := newES256(t, "one")
	one.publish(key)
	two.publish(key)
	down.server.Close()
	s := newSession(t)
	s.open(config("both", jwtEntry(one, "audiences: [kubernetes]", bySubject), jwtEntry(two, "audiences: [kubernetes]", bySubject)))
	s.open(config("one down", jwtEntry(down, "audiences: [kubernetes]", bySubject), jwtEntry(two, "audiences: [kubernetes]", bySubject)))

	s.accepts("both", one.token(key, nil))
	s.accepts("both", two.token(key, nil))
	s.refuses("both", two.token(key, claims{"aud": "grafana"}), "expected audience")
	s.refuses("both", two.token(key, claims{"iss": "https://elsewhere.example"}), "no authenticator recognizes the token")

	still := s.ask(ask{"op": "authenticate", "id": "one down", "token": two.token(key, nil), "waitSeconds": 1})
	if !still.OK {
		t.Errorf("an issuer that is down shut out another: %s", still.Error)
	}
}

func TestInvalidConfigurationsAreRefused(t *testing.T) {
	i := newIssuer(t)
	entry := func(moreOfIssuer, rest string) ask { return config("x", jwtEntry(i, moreOfIssuer, rest)) }
	for want, request := range map[string]ask{
		"empty config data": {"op": "config", "id": "x", "yaml": ""},
		"no kind \"AuthenticationConfiguration\" is registered for version \"apiserver.config.k8s.io/v9\"": {
			"op": "config", "id": "x", "yaml": "apiVersion: apiserver.config.k8s.io/v9\nkind: AuthenticationConfiguration"},
		"expected AuthenticationConfiguration": {
			"op": "config", "id": "x", "yaml": "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration"},
		`unknown field "jwt[0].claimMapping"`:     entry("audiences: [kubernetes]", "claimMapping: {}"),
		`key "audiences" already set`:             entry("audiences: [kubernetes]\naudiences: [kubernetes]", bySubject),
		"audiences: Required value":               entry("audiences: []", bySubject),
		"audienceMatchPolicy must be MatchAny":    entry("audiences: [kubernetes, kubelogin]", bySubject),
		"claim or expression is required":         entry("audiences: [kubernetes]", "claimMappings: {}"),
		"prefix is required when claim is set":    entry("audiences: [kubernetes]", "claimMappings: {username: {claim: sub}}"),
		"claims.email_verified must be used":      entry("audiences: [kubernetes]", "claimMappings: {username: {expression: claims.email}}"),
		"compilation failed":                      entry("audiences: [kubernetes]", "claimMappings: {username: {expression: nobody.email}}"),
		"jwt[1].issuer.url: Duplicate value":      config("x", jwtEntry(i, "audiences: [a]", bySubject), jwtEntry(i, "audiences: [b]", bySubject)),
		"discoveryURL must be different from URL": entry("audiences: [a]\ndiscoveryURL: "+i.url, bySubject),
	} {
		answer := newSession(t).ask(request)
		if answer.OK || answer.Refused || !strings.Contains(answer.Error, want) {
			t.Errorf("wanted an error with %q, got %+v", want, answer)
		}
	}
}

// An API server inside the cluster may read discovery from elsewhere; iss is unchanged.
func TestASeparateDiscoveryURL(t *testing.T) {
	i := newIssuer(t)
	key := newES256(t, "one")
	i.publish(key)
	i.setIssuer("https://login.example.com")
	s := newSession(t)
	discovery := "discoveryURL: " + i.server.URL + "/.well-known/openid-configuration"
	s.open(config("inside", jwtEntry(i, "audiences: [kubernetes]\n"+discovery, bySubject)))

	s.accepts("inside", i.token(key, nil))
}
