package main

import "testing"

func TestTheLongestKeyWins(t *testing.T) {
	p := policy{services: map[string]string{"/ws": "all", "/ws/echo": "echo"}}
	for path, want := range map[string]string{"/ws": "all", "/ws/echo/1": "echo", "/ws/echoes": "all", "/wss": ""} {
		if service, _ := p.service(path); service != want {
			t.Errorf("%s leads to %q, not to %q", path, service, want)
		}
	}
}
