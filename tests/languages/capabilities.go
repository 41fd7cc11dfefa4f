// Asks the host for all that there is, and says what it got in the body of a refusal.
package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"local/probe/cordboard"
)

type policy struct{ site string }

var _ cordboard.Authorizer = (*policy)(nil)

func (p *policy) Describe() cordboard.Info {
	return cordboard.Info{Name: "probe", Version: "0.1.0", Description: "Says what the host gives"}
}

func (p *policy) Init(text string) (err error) {
	config, err := cordboard.ReadConfig(text, "site")
	if err != nil {
		return err
	}
	p.site, err = config.Text("site", "http://site.example/")
	return err
}

func (p *policy) Authorize(request cordboard.Request) (*cordboard.Identity, error) {
	var said strings.Builder
	say := func(what string, values ...any) { fmt.Fprintln(&said, append([]any{what + ":"}, values...)...) }

	some, others := cordboard.RandomBytes(100_000), cordboard.RandomBytes(100_000)
	say("random", len(some), len(others), bytes.Equal(some, others))

	cordboard.AddToCounter("asked", 2)
	cordboard.AddToCounter("asked", 1, cordboard.Header{Name: "by", Value: "go"})
	cordboard.SetGauge("depth", -1.5, cordboard.Header{Name: "of", Value: "a"}, cordboard.Header{Name: "in", Value: "b"})
	cordboard.RecordInHistogram("took", 0.25)

	kept := cordboard.Bucket("kept")
	value, err := kept.Get("a")
	say("absent", value == nil, err)
	say("set", kept.Set("a", []byte("seven"), time.Minute), kept.Set("empty", nil, 0))
	value, err = kept.Get("a")
	say("got", string(value), err)
	value, err = kept.Get("empty")
	say("empty", value != nil, len(value), err)
	sum, err := kept.Increment("n", -5, 0)
	say("sum", sum, err)
	sum, err = kept.Increment("n", 1<<40, 0)
	say("sum", sum, err)
	_, err = kept.Increment("a", 1, 0)
	say("no number", err.(*cordboard.HostError).Code)
	for _, expected := range [][]byte{nil, []byte("six"), []byte("seven")} {
		did, err := kept.CompareAndSet("a", expected, []byte("eight"), time.Nanosecond+time.Hour)
		say("compared", did, err)
	}
	did, err := kept.CompareAndSet("new", nil, []byte("1"), 0)
	say("compared", did, err)
	say("deleted", kept.Delete("new"), kept.Delete("new"))
	value, err = kept.Get("new")
	say("absent", value == nil, err)

	_, err = cordboard.Lookup("nowhere", "")
	say("no service", err.(*cordboard.HostError).Code)
	for _, tag := range []string{"", "dev", "other"} {
		endpoints, err := cordboard.Lookup("users", tag)
		say("endpoints", len(endpoints), err)
		for _, each := range endpoints {
			say("endpoint", each.Address, each.TLS, each.Healthy, each.ActiveConnections, each.Metadata)
		}
	}

	answer, err := cordboard.HTTPRequest{
		Method: "POST", URL: p.site, Headers: []cordboard.Header{{Name: "x-a", Value: "b"}}, Body: []byte("hello"),
		Timeout: 5 * time.Second,
	}.Send()
	if err != nil {
		say("no answer", err)
	} else {
		say("answer", answer.Status, answer.Headers[0], string(answer.Body))
	}
	_, err = cordboard.HTTPRequest{URL: "http://elsewhere.example/"}.Send()
	say("elsewhere", err.(*cordboard.HostError).Code)

	return nil, &cordboard.Rejection{Status: 418, Code: "probed", Body: said.String()}
}

// A component is called; it does not run.
func main() {}
