package main

import (
	"fmt"
	"testing"

	"local/{{name}}/cordboard"
)

// A connection of which the policy asks these only; the other methods are those of nothing, and panic.
type connection struct{ cordboard.Connection }

func (connection) OpenedAtMS() uint64            { return 1000 }
func (connection) Identity() *cordboard.Identity { return &cordboard.Identity{Subject: "ada"} }

func TestSessionsThatEndAreToldOf(t *testing.T) {
	closed := func(code string) cordboard.Event {
		return cordboard.Event{Name: "closed", AtMS: 4500, Attributes: cordboard.Attributes{"code": code, "by": "peer"}}
	}
	for _, of := range []struct {
		brokenOnly bool
		event      cordboard.Event
		want       string
	}{
		{false, closed("1000"), "a session ended [{seconds 3} {subject ada} {by peer} {code 1000}]"},
		{false, closed("1006"), "a session broke [{seconds 3} {subject ada} {by peer} {code 1006}]"},
		{true, closed("1006"), "a session broke [{seconds 3} {subject ada} {by peer} {code 1006}]"},
		{true, closed("1000"), " []"},
		{false, cordboard.Event{Name: "struck-by-lightning"}, " []"},
	} {
		p := policy{of.brokenOnly}
		_, message, fields := p.line(connection{}, of.event)
		if line := fmt.Sprint(message, " ", fields); line != of.want {
			t.Errorf("%v: %s", of.event, line)
		}
	}
}
