package main

import (
	"errors"
	"testing"

	"local/{{name}}/cordboard"
)

// A request of which the policy asks the parameter only; the other methods are those of nothing, and panic.
type request struct {
	cordboard.Request
	parameters map[string]string
}

func (r request) QueryParam(name string) (string, bool) {
	value, there := r.parameters[name]
	return value, there
}

func TestAChannelIsNeeded(t *testing.T) {
	var p policy
	if err := p.Init(`{"parameter": "room"}`); err != nil {
		t.Fatal(err)
	}
	channel, err := p.ExtractChannel(request{parameters: map[string]string{"room": "7"}})
	if err != nil || channel.ID != "7" {
		t.Errorf("with a room: %v, %v", channel, err)
	}
	_, err = p.ExtractChannel(request{})
	var rejection *cordboard.Rejection
	if !errors.As(err, &rejection) || rejection.Status != 400 {
		t.Errorf("without a room: %v", err)
	}
}
