package main

import (
	"testing"
	"time"

	"local/{{name}}/cordboard"
)

// A connection of which the policy asks these only; the other methods are those of nothing, and panic.
type connection struct {
	cordboard.Connection
	subject string
	age     time.Duration
}

func (c connection) Identity() *cordboard.Identity { return &cordboard.Identity{Subject: c.subject} }
func (c connection) OpenedAtMS() uint64            { return uint64(time.Now().Add(-c.age).UnixMilli()) }

func TestASessionEndsWhenItHasLastedTooLong(t *testing.T) {
	var p policy
	if err := p.Init(`{"longest": 60, "exempt": ["monitor", ""]}`); err != nil {
		t.Fatal(err)
	}
	for _, of := range []struct {
		connection connection
		ends       bool
	}{
		{connection{subject: "ada", age: 30 * time.Second}, false},
		{connection{subject: "ada", age: time.Minute}, true},
		{connection{subject: "monitor", age: time.Hour}, false},
		{connection{subject: "", age: time.Hour}, true},
	} {
		if said := p.Recheck(of.connection); (said != nil) != of.ends {
			t.Errorf("%v: %v", of.connection, said)
		}
	}
}
