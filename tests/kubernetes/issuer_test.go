package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	jose "gopkg.in/go-jose/go-jose.v2"
)

type claims map[string]any

// An issuer is an identity provider of this test's own: discovery and keys over TLS, and any number of keys.
type issuer struct {
	t      *testing.T
	server *httptest.Server
	mux    *http.ServeMux

	// mu guards what the server reads while the test changes it.
	mu sync.Mutex
	// url is the issuer in discovery and tokens.
	url       string
	published []any
	// keyHeaders are sent with the keys, such as Cache-Control.
	keyHeaders map[string]string
	keyFetches int
}

// newIssuer starts an issuer that listens but publishes no key yet.
func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{t: t, mux: http.NewServeMux()}
	i.mux.HandleFunc("GET /.well-known/openid-configuration", i.serveDiscovery)
	i.mux.HandleFunc("GET /keys", i.serveKeys)
	i.server = httptest.NewTLSServer(i.mux)
	i.url = i.server.URL
	t.Cleanup(i.server.Close)
	return i
}

func (i *issuer) serveDiscovery(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.write(w, map[string]string{"issuer": i.url, "jwks_uri": i.server.URL + "/keys"})
}

func (i *issuer) serveKeys(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keyFetches++
	for name, value := range i.keyHeaders {
		w.Header().Set(name, value)
	}
	i.write(w, map[string]any{"keys": i.published})
}

func (i *issuer) write(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(body); err != nil {
		i.t.Error(err)
	}
}

func (i *issuer) certificate() string {
	block := &pem.Block{Type: "CERTIFICATE", Bytes: i.server.Certificate().Raw}
	return string(pem.EncodeToMemory(block))
}

func (i *issuer) caFile() string {
	return writeFile(i.t, "ca.pem", i.certificate())
}

func (i *issuer) setIssuer(url string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.url = url
}

func (i *issuer) answerKeysWith(headers map[string]string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keyHeaders = headers
}

// publish makes these, and no others, the content of /keys.
func (i *issuer) publish(keys ...any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.published = keys
}

func (i *issuer) fetches() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keyFetches
}

// A signingKey signs tokens. Encoded as JSON it is the public JWK.
type signingKey struct {
	id        string
	algorithm jose.SignatureAlgorithm
	private   crypto.Signer
}

func (k signingKey) MarshalJSON() ([]byte, error) {
	return json.Marshal(jose.JSONWebKey{Key: k.private.Public(), KeyID: k.id, Algorithm: string(k.algorithm), Use: "sig"})
}

func newRS256(t *testing.T, id string) signingKey {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return signingKey{id, jose.RS256, private}
}

func newES256(t *testing.T, id string) signingKey {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signingKey{id, jose.ES256, private}
}

// token issues a token for anna and the client "kubernetes" that is valid for an hour, with these changes; nil removes a claim.
func (i *issuer) token(key signingKey, changes claims) string {
	i.t.Helper()
	now := time.Now()
	all := claims{
		"iss": i.url, "aud": "kubernetes", "sub": "anna", "groups": []string{"dev", "ops"},
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	for name, value := range changes {
		if value == nil {
			delete(all, name)
		} else {
			all[name] = value
		}
	}
	return sign(i.t, jose.SigningKey{Algorithm: key.algorithm, Key: jose.JSONWebKey{Key: key.private, KeyID: key.id}}, all)
}

func sign(t *testing.T, key jose.SigningKey, all claims) string {
	t.Helper()
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := signature.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
