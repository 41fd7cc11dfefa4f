// A line in the log for each session that ends: how long it was, whose, and why it ended.
package main

import (
	"strconv"

	"local/{{name}}/cordboard"
)

// What stands in for a Close where there was none (RFC 6455, section 7.1.5).
const noClose = "1006"

type policy struct {
	brokenOnly bool
}

var _ cordboard.Observer = (*policy)(nil)

func (p *policy) Describe() cordboard.Info {
	return cordboard.Info{Name: "{{name}}", Version: "0.1.0", Description: "Logs how sessions end"}
}

func (p *policy) Init(text string) error {
	config, err := cordboard.ReadConfig(text, "broken")
	if err != nil {
		return err
	}
	p.brokenOnly, err = config.Flag("broken", false)
	return err
}

// Told beside the data path: nothing waits for this, and nothing can be decided here.
func (p *policy) OnEvent(connection cordboard.Connection, event cordboard.Event) {
	level, message, fields := p.line(connection, event)
	if message != "" {
		cordboard.Log(level, message, fields...)
	}
}

// What is logged of it; an empty message is nothing.
func (p *policy) line(
	connection cordboard.Connection, event cordboard.Event,
) (level cordboard.Level, message string, fields []cordboard.Header) {
	broken := event.Attributes["code"] == noClose
	// Names and attributes are open sets: what is not known is ignored.
	if event.Name != "closed" || p.brokenOnly && !broken {
		return
	}
	seconds := (event.AtMS - min(connection.OpenedAtMS(), event.AtMS)) / 1000
	var subject string
	if identity := connection.Identity(); identity != nil {
		subject = identity.Subject
	}
	fields = []cordboard.Header{
		{Name: "seconds", Value: strconv.FormatUint(seconds, 10)},
		{Name: "subject", Value: known(subject)},
		{Name: "by", Value: known(event.Attributes["by"])},
		{Name: "code", Value: known(event.Attributes["code"])},
	}
	if broken {
		return cordboard.Warn, "a session broke", fields
	}
	return cordboard.Notice, "a session ended", fields
}

func known(value string) string {
	if value == "" {
		return "?"
	}
	return value
}

// A component is called; it does not run.
func main() {}
