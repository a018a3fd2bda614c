package main

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// A token may refer to its groups instead of listing them. Kubernetes then requests them at every authentication; the response is
// itself a token of an issuer it can discover, for the same audience.
func TestDistributedGroupsAreReadAtEveryAuthentication(t *testing.T) {
	i := newIssuer(t)
	key := newRS256(t, "one")
	i.publish(key)
	var requests atomic.Int64
	var answer atomic.Value
	answer.Store(i.token(key, claims{"groups": []string{"dev"}}))
	i.mux.HandleFunc("GET /groups", func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if r.Header.Get("Authorization") != "Bearer handle" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(answer.Load().(string)))
	})
	token := i.token(key, claims{
		"groups":         nil,
		"_claim_names":   map[string]string{"groups": "here"},
		"_claim_sources": map[string]any{"here": map[string]string{"endpoint": i.url + "/groups", "access_token": "handle"}},
	})
	s := newSession(t)
	s.open(flags(i, nil))

	// The issuer of the response gets a verifier of its own, which reads discovery when it is first needed.
	s.refuses("flags", token, "verifier not initialized for issuer")
	s.waitUntilAccepted("flags", token, 5*time.Second)
	before := requests.Load()
	sameGroups(t, s.accepts("flags", token), "dev")
	answer.Store(i.token(key, claims{"groups": []string{"ops"}}))
	sameGroups(t, s.accepts("flags", token), "ops")
	if now := requests.Load(); now != before+2 {
		t.Errorf("two authentications sent %d requests", now-before)
	}

	answer.Store(i.token(key, claims{"groups": []string{"ops"}, "aud": "grafana"}))
	s.refuses("flags", token, "expected audience")
	answer.Store(i.token(key, claims{"groups": nil}))
	s.refuses("flags", token, "did not contain claim")
	answer.Store("")
	s.refuses("flags", token, "could not expand distributed claims")
}
