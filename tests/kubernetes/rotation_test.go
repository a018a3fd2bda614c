package main

import (
	"net/http"
	"testing"
	"time"
)

// Kubernetes fetches keys when it meets a token that no key it holds has signed, and only once what it holds is within 30 s of
// expiring by the headers of its response. Until then a new key is unknown.
func TestWhenANewKeyIsFetched(t *testing.T) {
	longAgo := time.Now().Add(-100 * time.Hour).UTC().Format(http.TimeFormat)
	for name, c := range map[string]struct {
		headers map[string]string
		atOnce  bool
	}{
		"no header":                 {nil, true},
		"max-age=0":                 {map[string]string{"Cache-Control": "max-age=0"}, true},
		"max-age=30":                {map[string]string{"Cache-Control": "max-age=30"}, true},
		"max-age=300":               {map[string]string{"Cache-Control": "public, max-age=300"}, false},
		"an ETag changes nothing":   {map[string]string{"Cache-Control": "max-age=300", "ETag": `"x"`}, false},
		"must-revalidate":           {map[string]string{"Cache-Control": "max-age=300, must-revalidate"}, false},
		"no-cache":                  {map[string]string{"Cache-Control": "no-cache"}, true},
		"no-cache does not win":     {map[string]string{"Cache-Control": "no-cache, max-age=300"}, false},
		"no-store does not win":     {map[string]string{"Cache-Control": "no-store, max-age=300"}, false},
		"s-maxage wins":             {map[string]string{"Cache-Control": "max-age=0, s-maxage=300"}, false},
		"Last-Modified is a guess":  {map[string]string{"Last-Modified": longAgo}, false}, // a tenth of its age
		"max-age ends the guessing": {map[string]string{"Last-Modified": longAgo, "Cache-Control": "max-age=0"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			before, after := newRS256(t, "before"), newRS256(t, "after")
			i.answerKeysWith(c.headers)
			i.publish(before)
			s := newSession(t)
			s.open(flags(i, nil))
			s.accepts("flags", i.token(before, nil))

			i.publish(before, after)

			if c.atOnce {
				s.accepts("flags", i.token(after, nil))
			} else {
				s.refuses("flags", i.token(after, nil), "failed to verify id token signature")
			}
		})
	}
}

func TestANewKeyIsFetchedThirtySecondsBeforeTheOldOnesExpire(t *testing.T) {
	i := newIssuer(t)
	before, after := newRS256(t, "before"), newES256(t, "after")
	i.answerKeysWith(map[string]string{"Cache-Control": "max-age=32"})
	i.publish(before)
	s := newSession(t)
	s.open(flags(i, ask{"signingAlgs": []string{"RS256", "ES256"}}))
	s.accepts("flags", i.token(before, nil))
	i.publish(before, after)
	token := i.token(after, nil)

	s.refuses("flags", token, "failed to verify id token signature")
	waited := s.waitUntilAccepted("flags", token, 4*time.Second)

	if waited < time.Second || i.fetches() != 2 {
		t.Errorf("met after %v and %d fetches, wanted about 2 s and 2", waited, i.fetches())
	}
}

// A key that is published for longer than max-age before it signs is known in time, at the cost of one fetch.
func TestAKeyPublishedBeforeItSignsIsAcceptedAtOnce(t *testing.T) {
	i := newIssuer(t)
	now, next := newRS256(t, "now"), newRS256(t, "next")
	i.answerKeysWith(map[string]string{"Cache-Control": "max-age=300"})
	i.publish(now, next)
	s := newSession(t)
	s.open(flags(i, nil))
	s.accepts("flags", i.token(now, nil))

	s.accepts("flags", i.token(next, nil))

	if i.fetches() != 1 {
		t.Errorf("%d fetches", i.fetches())
	}
}

// Staleness alone removes nothing: a removed key verifies until a token of an unknown key causes a fetch.
func TestARemovedKeyIsAcceptedUntilTheNextFetch(t *testing.T) {
	i := newIssuer(t)
	stolen, canary := newRS256(t, "stolen"), newRS256(t, "canary")
	i.answerKeysWith(map[string]string{"Cache-Control": "max-age=0"})
	i.publish(stolen)
	s := newSession(t)
	s.open(flags(i, nil))
	s.accepts("flags", i.token(stolen, nil))

	i.publish(canary)

	s.accepts("flags", i.token(stolen, nil))
	s.accepts("flags", i.token(stolen, nil))
	s.accepts("flags", i.token(canary, nil))
	s.refuses("flags", i.token(stolen, nil), "failed to verify id token signature")
}

// Anybody can send a token that names an unknown key: each causes a request for /keys if the keys are stale at once, and none otherwise.
func TestForgedTokensCauseFetchesOnlyWhenKeysAreStale(t *testing.T) {
	for headers, want := range map[string]int{"max-age=0": 4, "max-age=300": 1} {
		i := newIssuer(t)
		key := newRS256(t, "one")
		i.answerKeysWith(map[string]string{"Cache-Control": headers})
		i.publish(key)
		s := newSession(t)
		s.open(flags(i, nil))
		s.accepts("flags", i.token(key, nil))

		for range 3 {
			s.refuses("flags", i.token(newRS256(t, "forged"), claims{"aud": "nobody", "exp": 1}), "failed to verify id token signature")
		}

		if i.fetches() != want {
			t.Errorf("%s: %d fetches, wanted %d", headers, i.fetches(), want)
		}
	}
}

// One key of a type Kubernetes does not know makes it reject the whole set.
func TestAKeyOfAnUnknownTypeInvalidatesTheSet(t *testing.T) {
	i := newIssuer(t)
	key := newRS256(t, "one")
	i.publish(key, map[string]string{"kty": "AKP", "kid": "pq", "alg": "ML-DSA-65", "pub": "AA"})
	s := newSession(t)
	s.open(flags(i, nil))

	s.refuses("flags", i.token(key, nil), "failed to decode keys")

	i.publish(key, map[string]string{"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
	s.accepts("flags", i.token(key, nil))
}
