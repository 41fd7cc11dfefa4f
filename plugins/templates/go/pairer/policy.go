// Who comes back takes the seat that it still holds, as after a page was loaded anew.
package main

import (
	"strconv"
	"time"

	"local/{{name}}/cordboard"
)

type policy struct {
	patience time.Duration // for which a seat is not taken again, so that two pages do not fight
}

var _ cordboard.Pairer = (*policy)(nil)

func (p *policy) Describe() cordboard.Info {
	return cordboard.Info{Name: "{{name}}", Version: "0.1.0", Description: "Gives a seat back to who comes back"}
}

func (p *policy) Init(text string) error {
	config, err := cordboard.ReadConfig(text, "patience")
	if err != nil {
		return err
	}
	seconds, err := config.Whole("patience", 0, 3600, 10)
	p.patience = time.Duration(seconds) * time.Second
	return err
}

func (p *policy) Decide(
	newcomer cordboard.Request, holder cordboard.Connection,
) (cordboard.PairingDecision, error) {
	// Asked about the one on the other side as well, whom it is to be joined with.
	sameSeat := newcomer.Role() == holder.Role()
	who := subject(newcomer.Identity())
	if !sameSeat || who == "" || who != subject(holder.Identity()) {
		return cordboard.Undecided, nil // the next plugin is asked, and last the route's rule holds
	}
	opened := time.UnixMilli(int64(holder.OpenedAtMS()))
	if cordboard.Now().Sub(opened) < p.patience {
		seconds := strconv.Itoa(int(p.patience.Seconds()))
		return cordboard.Undecided, &cordboard.Rejection{
			Status:  429,
			Code:    "too-soon",
			Body:    "This seat was taken a moment ago.\n",
			Headers: []cordboard.Header{{Name: "retry-after", Value: seconds}},
		}
	}
	return cordboard.Replace, nil
}

// Who it is, as an authorizer said. Empty is somebody without a name: two of them are not the same.
func subject(identity *cordboard.Identity) string {
	if identity == nil {
		return ""
	}
	return identity.Subject
}

// A component is called; it does not run.
func main() {}
