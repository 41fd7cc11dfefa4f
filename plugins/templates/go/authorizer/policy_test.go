package main

import (
	"testing"

	"local/{{name}}/cordboard"
)

// A request of which the policy asks the header only; the other methods are those of nothing, and panic.
type request struct {
	cordboard.Request
	key string
}

func (r request) Header(string) (string, bool) { return r.key, r.key != "" }

func TestOnlyKnownKeysEnter(t *testing.T) {
	var p policy
	if err := p.Init(`{"keys": {"k-1": "ada"}}`); err != nil {
		t.Fatal(err)
	}
	if identity, err := p.Authorize(request{key: "k-1"}); err != nil || identity.Subject != "ada" {
		t.Errorf("a known key: %v, %v", identity, err)
	}
	for _, key := range []string{"", "k-2"} {
		if identity, err := p.Authorize(request{key: key}); err == nil {
			t.Errorf("%q enters as %v", key, identity)
		}
	}
}
