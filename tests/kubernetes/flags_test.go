package main

import (
	"encoding/base64"
	"maps"
	"strings"
	"testing"
	"time"

	jose "gopkg.in/go-jose/go-jose.v2"
)

// flags requests an authenticator of the same id, for this issuer and the client "kubernetes", with these changes.
func flags(i *issuer, changes ask) ask {
	request := ask{
		"op": "flags", "id": "flags", "issuerURL": i.url, "clientID": "kubernetes", "caFile": i.caFile(),
		"groupsClaim": "groups",
	}
	maps.Copy(request, changes)
	return request
}

func TestFlagsAcceptAValidToken(t *testing.T) {
	i := newIssuer(t)
	key := newRS256(t, "one")
	i.publish(key)
	s := newSession(t)
	s.open(flags(i, nil))

	anna := s.accepts("flags", i.token(key, claims{"jti": "t1"}))

	if want := i.url + "#anna"; anna.Username != want {
		t.Errorf("username %q, wanted %q", anna.Username, want)
	}
	sameGroups(t, anna, "dev", "ops")
	if id := anna.Extra["authentication.kubernetes.io/credential-id"]; len(id) != 1 || id[0] != "JTI=t1" {
		t.Errorf("credential id %q", id)
	}
	s.accepts("flags", i.token(key, claims{"aud": []string{"grafana", "kubernetes"}}))
	s.accepts("flags", i.token(key, claims{"iat": nil}))
	s.accepts("flags", i.token(key, claims{"nbf": time.Now().Add(50 * time.Second).Unix()})) // a minute's grace, which exp has not
	sameGroups(t, s.accepts("flags", i.token(key, claims{"groups": "ops"})), "ops")
	sameGroups(t, s.accepts("flags", i.token(key, claims{"groups": nil})))
}

func TestFlagsRefuseInvalidTokens(t *testing.T) {
	i := newIssuer(t)
	key := newRS256(t, "one")
	i.publish(key)
	s := newSession(t)
	s.open(flags(i, nil))
	right := i.token(key, nil)
	s.accepts("flags", right)

	now := time.Now()
	s.refuses("flags", i.token(key, claims{"aud": "grafana"}), `expected audience "kubernetes" got ["grafana"]`)
	s.refuses("flags", i.token(key, claims{"aud": nil}), "expected audience")
	s.refuses("flags", i.token(key, claims{"exp": now.Add(-time.Second).Unix()}), "token is expired")
	s.refuses("flags", i.token(key, claims{"exp": nil}), "token is expired")
	s.refuses("flags", i.token(key, claims{"nbf": now.Add(2 * time.Minute).Unix()}), "before the nbf")
	s.refuses("flags", i.token(key, claims{"iss": "https://elsewhere.example"}), "no authenticator recognizes the token")
	s.refuses("flags", i.token(key, claims{"iss": i.url + "/"}), "no authenticator recognizes the token")
	s.refuses("flags", i.token(key, claims{"sub": nil}), `parse username claims "sub": claim not present`)
	s.refuses("flags", i.token(key, claims{"groups": []int{1}}), `parse groups claim "groups"`)
	s.refuses("flags", i.token(newRS256(t, "one"), nil), "failed to verify id token signature")
	s.refuses("flags", tampered(t, right, i.token(key, claims{"sub": "root"})), "failed to verify id token signature")
	s.refuses("flags", strings.Join(strings.Split(right, ".")[:2], ".")+".", "failed to verify id token signature")
	s.refuses("flags", strings.Join(strings.Split(right, ".")[:2], "."), "no authenticator recognizes the token")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"one"}`))
	s.refuses("flags", none+"."+strings.Split(right, ".")[1]+".", "unsupported algorithm")
	s.refuses("flags", "", "no authenticator recognizes the token")
	hmac := jose.SigningKey{Algorithm: jose.HS256, Key: []byte("a secret everybody knows, at least 32 bytes")}
	s.refuses("flags", sign(t, hmac, claims{"iss": i.url, "aud": "kubernetes", "sub": "root"}), "unsupported algorithm")
}

// tampered is the signature of one token under the payload of another.
func tampered(t *testing.T, signed, wanted string) string {
	t.Helper()
	parts, payload := strings.Split(signed, "."), strings.Split(wanted, ".")
	if len(parts) != 3 || len(payload) != 3 {
		t.Fatal("not a compact JWS")
	}
	return parts[0] + "." + payload[1] + "." + parts[2]
}

func TestPrefixesOfFlags(t *testing.T) {
	i := newIssuer(t)
	key := newRS256(t, "one")
	i.publish(key)
	token := i.token(key, claims{"email": "anna@example.com", "email_verified": true})
	for name, c := range map[string]struct {
		flags    ask
		username string
		group    string
	}{
		"sub, default":   {ask{}, i.url + "#anna", "dev"},
		"sub, none":      {ask{"usernamePrefix": "-"}, "anna", "dev"},
		"sub, own":       {ask{"usernamePrefix": "oidc:"}, "oidc:anna", "dev"},
		"email, default": {ask{"usernameClaim": "email"}, "anna@example.com", "dev"},
		"email, none":    {ask{"usernameClaim": "email", "usernamePrefix": "-"}, "anna@example.com", "dev"},
		"email, own":     {ask{"usernameClaim": "email", "usernamePrefix": "oidc:"}, "oidc:anna@example.com", "dev"},
		"groups, own":    {ask{"groupsPrefix": "oidc:"}, i.url + "#anna", "oidc:dev"},
		"groups, dash":   {ask{"groupsPrefix": "-"}, i.url + "#anna", "-dev"}, // "-" is nothing special here
	} {
		t.Run(name, func(t *testing.T) {
			s := newSession(t)
			s.open(flags(i, c.flags))

			anna := s.accepts("flags", token)

			if anna.Username != c.username || anna.Groups[0] != c.group {
				t.Errorf("%q in %q, wanted %q in %q", anna.Username, anna.Groups[0], c.username, c.group)
			}
		})
	}
}

func TestAnUnverifiedEmailIsRefused(t *testing.T) {
	i := newIssuer(t)
	key := newRS256(t, "one")
	i.publish(key)
	s := newSession(t)
	s.open(flags(i, ask{"usernameClaim": "email"}))
	token := func(verified any) string {
		return i.token(key, claims{"email": "anna@example.com", "email_verified": verified})
	}

	s.accepts("flags", token(true))
	s.accepts("flags", token(nil))
	s.refuses("flags", token(false), "email not verified")
	s.refuses("flags", token("true"), "parse 'email_verified' claim")
	s.refuses("flags", i.token(key, nil), `parse username claims "email": claim not present`)
}

func TestRequiredClaimsOfFlags(t *testing.T) {
	i := newIssuer(t)
	key := newRS256(t, "one")
	i.publish(key)
	s := newSession(t)
	s.open(flags(i, ask{"requiredClaims": ask{"tenant": "blue", "level": "2"}}))

	s.accepts("flags", i.token(key, claims{"tenant": "blue", "level": "2"}))
	s.refuses("flags", i.token(key, claims{"tenant": "blue"}), "required claim level not present")
	s.refuses("flags", i.token(key, claims{"tenant": "red", "level": "2"}), "required claim tenant value does not match")
	s.refuses("flags", i.token(key, claims{"tenant": "blue", "level": 2}), "parse claim level") // only strings can be required
}

func TestES256MustBeConfigured(t *testing.T) {
	i := newIssuer(t)
	key := newES256(t, "one")
	i.publish(key)
	token := i.token(key, nil)
	s := newSession(t)
	s.open(flags(i, nil))
	s.open(flags(i, ask{"id": "named", "signingAlgs": []string{"RS256", "ES256"}}))
	s.open(config("file", jwtEntry(i, "audiences: [kubernetes]", bySubject)))

	s.refuses("flags", token, `unsupported algorithm, expected ["RS256"] got "ES256"`)
	s.accepts("named", token)
	s.accepts("file", token)
}

// An API server caches accepted tokens for 10 s, so a token outlives its expiry by as much. Without the cache it does not.
func TestTheCacheKeepsAcceptedTokens(t *testing.T) {
	i := newIssuer(t)
	key := newRS256(t, "one")
	i.publish(key)
	s := newSession(t)
	s.open(flags(i, nil))
	s.open(flags(i, ask{"id": "caching", "cache": true}))
	s.accepts("flags", i.token(key, nil))
	s.refuses("caching", i.token(newRS256(t, "one"), nil), "failed to verify id token signature")
	end := time.Now().Add(2 * time.Second)
	token := i.token(key, claims{"exp": end.Unix()})
	s.accepts("caching", token)
	s.accepts("flags", token)

	time.Sleep(time.Until(end))

	s.refuses("flags", token, "token is expired")
	s.accepts("caching", token)
}
