package main

import (
	"errors"
	"testing"
	"time"

	"local/{{name}}/cordboard"
)

// Somebody, as newcomer and as holder: what the policy asks of them; the other methods are those of nothing, and panic.
type newcomer struct {
	cordboard.Request
	name string
}

func (newcomer) Role() cordboard.Role            { return cordboard.Client }
func (n newcomer) Identity() *cordboard.Identity { return &cordboard.Identity{Subject: n.name} }

type holder struct {
	cordboard.Connection
	role   cordboard.Role
	name   string
	opened time.Time
}

func (h holder) Role() cordboard.Role          { return h.role }
func (h holder) Identity() *cordboard.Identity { return &cordboard.Identity{Subject: h.name} }
func (h holder) OpenedAtMS() uint64            { return uint64(h.opened.UnixMilli()) }

func TestWhoComesBackTakesItsSeatButNotAtOnceAgain(t *testing.T) {
	var p policy
	if err := p.Init("{}"); err != nil {
		t.Fatal(err)
	}
	longAgo := time.Now().Add(-time.Minute)
	said, err := p.Decide(newcomer{name: "ada"}, holder{role: cordboard.Client, name: "ada", opened: longAgo})
	if err != nil || said != cordboard.Replace {
		t.Errorf("who comes back: %v, %v", said, err)
	}
	_, err = p.Decide(newcomer{name: "ada"}, holder{role: cordboard.Client, name: "ada", opened: time.Now()})
	var rejection *cordboard.Rejection
	if !errors.As(err, &rejection) || rejection.Code != "too-soon" {
		t.Errorf("at once again: %v", err)
	}
}

func TestOfOthersTheRouteDecides(t *testing.T) {
	var p policy
	for _, other := range []holder{
		{role: cordboard.Client, name: "bob"},
		{role: cordboard.Client},
		{role: cordboard.Backend, name: "ada"},
	} {
		if said, err := p.Decide(newcomer{name: "ada"}, other); err != nil || said != cordboard.Undecided {
			t.Errorf("%v: %v, %v", other, said, err)
		}
	}
}
