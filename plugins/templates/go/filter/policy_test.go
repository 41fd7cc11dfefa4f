package main

import "testing"

func TestWordsAreMasked(t *testing.T) {
	p := policy{words: []string{"secret", "", "größe"}}
	for text, want := range map[string]string{
		"a secret":           "a ***",
		"größe secretsecret": "*** ******",
		"Secret":             "Secret",
	} {
		if masked := p.mask(text); masked != want {
			t.Errorf("%q became %q, not %q", text, masked, want)
		}
	}
}
