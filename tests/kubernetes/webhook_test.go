package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// reviewer is a TokenReview endpoint: "anna" is anna, "error" is refused with a reason, all else without one.
func reviewer(t *testing.T) (kubeconfig string, reviews *atomic.Int64) {
	t.Helper()
	reviews = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reviews.Add(1)
		var review struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
			Spec       struct {
				Token     string   `json:"token"`
				Audiences []string `json:"audiences"`
			} `json:"spec"`
		}
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Error(err)
		}
		if len(review.Spec.Audiences) != 1 || review.Spec.Audiences[0] != apiAudiences[0] {
			t.Errorf("asked for audiences %q", review.Spec.Audiences)
		}
		status := map[string]any{"authenticated": false}
		switch review.Spec.Token {
		case "anna":
			status = map[string]any{"authenticated": true, "user": map[string]any{"username": "anna", "uid": "7", "groups": []string{"dev"}}}
		case "error":
			status["error"] = "the session has ended"
		}
		w.Header().Set("Content-Type", "application/json")
		answer := map[string]any{"apiVersion": review.APIVersion, "kind": review.Kind, "status": status}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return writeFile(t, "kubeconfig", fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: countersign, cluster: {server: "%s/review"}}]
users: [{name: apiserver}]
contexts: [{name: webhook, context: {cluster: countersign, user: apiserver}}]
current-context: webhook
`, server.URL)), reviews
}

func TestAWebhookIsCalledEveryTimeWithoutACache(t *testing.T) {
	for _, version := range []string{"v1", "v1beta1"} {
		kubeconfig, reviews := reviewer(t)
		s := newSession(t)
		s.open(ask{"op": "webhook", "id": "hook", "kubeconfig": kubeconfig, "version": version})

		anna := s.accepts("hook", "anna")
		s.accepts("hook", "anna")
		s.refuses("hook", "error", "the session has ended")
		s.refuses("hook", "mallory", "no authenticator recognizes the token")

		if anna.Username != "anna" || anna.UID != "7" || reviews.Load() != 4 {
			t.Errorf("%s: %+v after %d reviews", version, anna, reviews.Load())
		}
		sameGroups(t, anna, "dev")
	}
	if unknown := newSession(t).ask(ask{"op": "webhook", "id": "hook", "kubeconfig": writeFile(t, "k", ""), "version": "v2"}); unknown.OK {
		t.Error("version v2 was accepted")
	}
}

// Results of a webhook are cached, refusals too; only a refusal with an error is not.
func TestAWebhooksResponseIsCached(t *testing.T) {
	for token, want := range map[string]int64{"anna": 1, "mallory": 1, "error": 3} {
		kubeconfig, reviews := reviewer(t)
		s := newSession(t)
		s.open(ask{"op": "webhook", "id": "hook", "kubeconfig": kubeconfig, "version": "v1", "cacheTTLSeconds": 60})

		for range 3 {
			s.authenticate("hook", token)
		}

		if reviews.Load() != want {
			t.Errorf("%s was reviewed %d times, wanted %d", token, reviews.Load(), want)
		}
	}
}

// With a TTL of 0 the API server still caches successes, and this cache cannot be disabled.
func TestTheAPIServersOwnCacheIsInFrontOfTheWebhook(t *testing.T) {
	kubeconfig, reviews := reviewer(t)
	s := newSession(t)
	s.open(ask{"op": "webhook", "id": "hook", "kubeconfig": kubeconfig, "version": "v1", "cache": true})

	for range 3 {
		s.accepts("hook", "anna")
		s.refuses("hook", "mallory", "no authenticator recognizes the token")
	}

	if reviews.Load() != 4 {
		t.Errorf("%d reviews, wanted 1 for anna and 3 for mallory", reviews.Load())
	}
}
