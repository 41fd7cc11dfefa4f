// Ends sessions after a time, so that who it is is asked again. How often it is asked about a session says the proxy:
// `plugins.NAME.recheck`.
package main

import (
	"slices"
	"time"

	"local/{{name}}/cordboard"
)

type policy struct {
	longest time.Duration // that a session may last
	exempt  []string      // subjects whose sessions last as long as they like
}

var _ cordboard.SessionAuthorizer = (*policy)(nil)

func (p *policy) Describe() cordboard.Info {
	return cordboard.Info{Name: "{{name}}", Version: "0.1.0", Description: "Ends sessions after a time"}
}

func (p *policy) Init(text string) error {
	config, err := cordboard.ReadConfig(text, "longest", "exempt")
	if err != nil {
		return err
	}
	seconds, err := config.Whole("longest", 0, 604800, 3600)
	if err != nil {
		return err
	}
	p.longest = time.Duration(seconds) * time.Second
	p.exempt, err = config.Texts("exempt", nil)
	return err
}

func (p *policy) Recheck(connection cordboard.Connection) *cordboard.CloseFrame {
	identity := connection.Identity()
	if identity != nil && identity.Subject != "" && slices.Contains(p.exempt, identity.Subject) {
		return nil
	}
	opened := time.UnixMilli(int64(connection.OpenedAtMS()))
	if cordboard.Now().Sub(opened) < p.longest {
		return nil
	}
	// The Close that the session gets. 4401 asks a client to sign in and dial again.
	return &cordboard.CloseFrame{Code: 4401, Reason: "sign in again"}
}

// A component is called; it does not run.
func main() {}
