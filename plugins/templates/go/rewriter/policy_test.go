package main

import (
	"slices"
	"testing"

	"local/{{name}}/cordboard"
)

func TestFieldsAreTakenOutAndPutIn(t *testing.T) {
	var p policy
	if err := p.Init(`{"set": {"x-via": "us", "x-user": "ada"}, "remove": ["x-user"], "hide": ["server"]}`); err != nil {
		t.Fatal(err)
	}
	edits, err := p.RewriteRequest(nil)
	want := []cordboard.Edit{
		cordboard.Remove("x-user"), cordboard.Set("x-user", "ada"), cordboard.Set("x-via", "us"),
	}
	if err != nil || !slices.Equal(edits, want) {
		t.Errorf("of a request: %v, %v", edits, err)
	}
	edits, err = p.RewriteResponse(nil, 200, nil)
	if err != nil || !slices.Equal(edits, []cordboard.Edit{cordboard.Remove("server")}) {
		t.Errorf("of an answer: %v, %v", edits, err)
	}
}
