// Masks words in messages, and ends sessions in which that happens too often.
package main

import (
	"fmt"
	"strconv"
	"strings"

	"local/{{name}}/cordboard"
)

const longestMessage = 65536

type policy struct {
	words []string
	most  int64
}

var (
	_ cordboard.MessageFilter  = (*policy)(nil)
	_ cordboard.FilterMigrator = (*policy)(nil)
)

func (p *policy) Describe() cordboard.Info {
	return cordboard.Info{Name: "{{name}}", Version: "0.1.0", Description: "Masks words in messages"}
}

func (p *policy) Init(text string) error {
	config, err := cordboard.ReadConfig(text, "words", "most")
	if err != nil {
		return err
	}
	if p.words, err = config.Texts("words", []string{"secret"}); err != nil {
		return err
	}
	p.most, err = config.Whole("most", 0, 1000000, 3)
	return err
}

// What is not asked for passes without a call.
func (p *policy) Open(_ cordboard.Request, _ cordboard.Connection, interest cordboard.Interest) {
	interest.Messages(cordboard.ToBackend, cordboard.Text, longestMessage, cordboard.Pass)
	interest.Messages(cordboard.ToClient, cordboard.Text, longestMessage, cordboard.Pass)
}

func (p *policy) OnMessage(
	connection cordboard.Connection, message cordboard.Message, _ cordboard.Interest,
) []cordboard.Action {
	text, _ := message.Text()
	masked := p.mask(text)
	if masked == text {
		return []cordboard.Action{cordboard.Forward()}
	}
	// This instance serves any connection: what belongs to one is its attachment, which the host keeps.
	count, _ := strconv.ParseInt(string(connection.Attachment()), 10, 64)
	count++
	if count > p.most {
		return []cordboard.Action{cordboard.CloseWith(1008, "too many masked messages")}
	}
	if err := connection.SetAttachment(strconv.AppendInt(nil, count, 10)); err != nil {
		cordboard.Log(cordboard.Warn, "a masked message was not counted: "+err.Error())
	}
	return []cordboard.Action{cordboard.Emit(masked)}
}

func (p *policy) mask(text string) string {
	for _, word := range p.words {
		if word != "" {
			text = strings.ReplaceAll(text, word, "***")
		}
	}
	return text
}

// Whether this version takes over a session that another one began (`reload.sessions: migrate`), with what that one
// kept of it.
func (p *policy) Migrate(connection cordboard.Connection, fromVersion string) error {
	if kept := connection.Attachment(); strings.Trim(string(kept), "0123456789") != "" {
		return fmt.Errorf("%s kept something else than a count", fromVersion)
	}
	return nil
}

// A component is called; it does not run.
func main() {}
