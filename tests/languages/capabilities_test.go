package main

import (
	"os"
	"testing"

	"local/probe/cordboard"
)

// The doubles of the host say what the host says.
func TestTheDoublesAreLikeTheHost(t *testing.T) {
	tagged := cordboard.Endpoint{Address: "10.0.0.3:8003", Healthy: true,
		Metadata: []cordboard.Header{{Name: "env_tag", Value: "dev"}}}
	cordboard.Endpoints["users"] = []cordboard.Endpoint{tagged, {Address: "10.0.0.4:8004", Healthy: true}}
	cordboard.Answer = func(request cordboard.HTTPRequest) (*cordboard.HTTPResponse, error) {
		if request.URL != "http://site.example/" {
			return nil, &cordboard.HostError{Code: "denied"}
		}
		said := []cordboard.Header{{Name: "x-said", Value: request.Method + " " + request.Headers[0].Value}}
		return &cordboard.HTTPResponse{Status: 203, Headers: said, Body: append(request.Body, '!')}, nil
	}
	wanted, err := os.ReadFile("said.txt")
	if err != nil {
		t.Fatal(err)
	}
	var p policy
	if err := p.Init("{}"); err != nil {
		t.Fatal(err)
	}
	_, refused := p.Authorize(nil)
	if said := refused.(*cordboard.Rejection).Body; said != string(wanted) {
		t.Errorf("it said\n%s", said)
	}
}
